//! Facts between the database, the nodes and the contract.

use std::time::Duration;

use chrono::{DateTime, Utc};
use madang_proto::v1;

use super::store::{Item, Member, Person, Room};
use crate::{
    error::Error,
    ids::{RoomId, SessionId},
    realtime::{ClosingReason, Entry, Happened, Report, Session, wire::timestamp},
    rooms,
};

/// A person; devices and the place in the room are added.
pub(super) fn person(person: &Person, now: DateTime<Utc>) -> v1::PersonStand {
    let shut = person.account.check(now).err().map(Error::into_refusal);
    v1::PersonStand {
        user_id: person.user_id.to_string(),
        login: person.login.clone(),
        shut: shut.map(|refusal| refusal.message).unwrap_or_default(),
        user_rev: person.user_rev,
        member: None,
        devices: Vec::new(),
    }
}

pub(super) fn room(room: &Room) -> v1::RoomStand {
    v1::RoomStand {
        room_id: room.id.to_string(),
        state: room.state.into(),
        large: room.large,
        member_count: room.member_count,
        seq: room.seq,
        count: room.count,
        first_count: room.first_count,
        rev: room.rev,
    }
}

pub(super) fn item(item: &Item) -> v1::StoredItem {
    v1::StoredItem {
        room_id: item.room_id.to_string(),
        seq: item.seq,
        rev: item.rev,
        count: item.count,
        sender_id: item.sender_id.to_string(),
        client_message_id: item.client_message_id.map(|id| id.to_string()).unwrap_or_default(),
        created_at: Some(timestamp(item.created_at)),
        edited_at: item.edited_at.map(timestamp),
        deleted_at: item.deleted_at.map(timestamp),
        deleted_by: item.deleted_by.map(|id| id.to_string()).unwrap_or_default(),
    }
}

pub(super) fn member(member: &Member, room: &Room) -> v1::MemberStand {
    v1::MemberStand {
        state: member.state.into(),
        joined_at: Some(timestamp(member.joined_at)),
        left_at: member.left_at.map(timestamp),
        history_from_seq: member.history_from_seq,
        rev: member.rev,
        last_read_seq: member.last_read_seq,
        read_count: member.read_count,
        read_generation: member.read_generation,
        unread: rooms::unread_of((room.count, room.first_count), member.read_count),
        delivered_seq: member.told_delivered,
    }
}

pub(super) fn stream(session: &Session, report: &Report, listening: bool) -> v1::StreamReport {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    v1::StreamReport {
        session_id: session.id().to_string(),
        user_id: session.user_id().to_string(),
        device_id: session.opener().device_id.to_string(),
        opened_at: Some(timestamp(report.opened_at)),
        live: report.live,
        closing: report.closing.map_or(v1::ClosingReason::Unspecified, closing).into(),
        user_rev: report.user_rev,
        waiting_frames: number(report.waiting.0),
        waiting_bytes: i64::try_from(report.waiting.1).unwrap_or(i64::MAX),
        dirty_rooms: number(report.dirty_rooms),
        room_dirty: report.room_dirty,
        listening,
        focused: report.focused,
        silent_for: Some(duration(report.silent_for)),
        stuck_for: Some(duration(report.stuck_for)),
    }
}

pub(super) fn entry(entry: &Entry) -> v1::StreamEntry {
    use v1::StreamEntryKind as Kind;
    let (kind, from_rev, rev) = match entry.happened {
        Happened::Opened => (Kind::Opened, 0, 0),
        Happened::Live => (Kind::Live, 0, 0),
        Happened::Overflowed(_) => (Kind::Overflowed, 0, 0),
        Happened::Dirtied(_) => (Kind::Dirtied, 0, 0),
        Happened::Told(_, from, to) => (Kind::Told, from, to),
        Happened::Fetched(_, from, to) => (Kind::Fetched, from, to),
        Happened::Closing(_) => (Kind::Closing, 0, 0),
        Happened::Closed => (Kind::Closed, 0, 0),
    };
    let reason = match entry.happened {
        Happened::Closing(reason) => closing(reason),
        _ => v1::ClosingReason::Unspecified,
    };
    v1::StreamEntry {
        at: Some(timestamp(entry.at)),
        session_id: text(entry.session_id),
        user_id: entry.user_id.to_string(),
        device_id: entry.device_id.to_string(),
        kind: kind.into(),
        room_id: entry.happened.room_id().map(|id: RoomId| id.to_string()).unwrap_or_default(),
        from_rev,
        rev,
        reason: reason.into(),
    }
}

fn text(id: Option<SessionId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn closing(reason: ClosingReason) -> v1::ClosingReason {
    crate::realtime::wire::number(reason)
}

fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap_or_default()
}
