//! Rooms and members between rows and the contract.

use madang_proto::v1::{self, room_event::Change, room_summary::Verdict};

use super::{
    Member, Summary,
    store::{Gone, MOST_MENTIONS},
};
use crate::{
    access::{JOINED, RoomAccess, RoomRow},
    ids::{RoomId, UserId},
    realtime::{
        PersonEvent,
        wire::{person_event, timestamp},
    },
    timeline,
};

/// A change of a room, as the contract has it.
pub type Event = v1::RoomEvent;

/// A room.
pub fn room(row: &RoomRow) -> v1::Room {
    let notice = (!row.notice_text.is_empty()).then(|| v1::RoomNotice {
        text: row.notice_text.clone(),
        set_by: row.notice_by.map(|id| id.to_string()).unwrap_or_default(),
        set_at: row.notice_at.map(timestamp),
    });
    v1::Room {
        id: row.id.to_string(),
        kind: i32::from(row.kind),
        state: i32::from(row.state),
        name: row.name.clone(),
        topic: row.topic.clone(),
        photo_file_id: String::new(),
        notice,
        settings: Some(settings(row)),
        last_active_at: Some(timestamp(row.last_active_at)),
        created_by: row.created_by.to_string(),
        created_at: Some(timestamp(row.created_at)),
        member_count: row.member_count,
        seq: row.seq,
        count: row.count,
        first_seq: row.first_seq,
        first_count: row.first_count,
        rev: row.rev,
        large: row.large,
        direct_user_ids: [row.direct_a, row.direct_b].into_iter().flatten().map(|id| id.to_string()).collect(),
    }
}

fn settings(row: &RoomRow) -> v1::RoomSettings {
    v1::RoomSettings {
        who_may_post: i32::from(row.who_may_post),
        who_may_invite: i32::from(row.who_may_invite),
        who_may_pin: i32::from(row.who_may_pin),
        history_hidden_from_newcomers: row.history_hidden,
        retention_days: row.retention_days,
        member_limit: row.member_limit,
        invitation_needs_consent: row.consent,
        pin_limit: row.pin_limit,
        stores_read_times: row.stores_read_times,
    }
}

/// A member as the others see it.
pub fn member(row: &Member) -> v1::Member {
    v1::Member {
        room_id: row.room_id.to_string(),
        user_id: row.user_id.to_string(),
        state: i32::from(row.state),
        role: i32::from(row.role),
        nickname: row.nickname.clone(),
        joined_at: Some(timestamp(row.joined_at)),
        left_at: row.left_at.map(timestamp),
        history_from_seq: row.history_from_seq,
        rev: row.rev,
    }
}

/// One's own place.
pub fn membership(row: &Member, mentions: Vec<i64>) -> v1::Membership {
    v1::Membership {
        member: Some(member(row)),
        last_read_seq: row.last_read_seq,
        read_count: row.read_count,
        read_generation: row.read_generation,
        unread_mention_seqs: mentions,
        mute_until: row.mute_until.map(timestamp),
        pinned_order: row.pinned_order,
        favourite: row.favourite,
        notification_level: i32::from(row.notification_level),
        draft: row.draft.clone(),
        folder: row.folder.clone(),
        user_rev: row.user_rev,
    }
}

/// A receipt.
pub fn receipt(row: &Member) -> v1::Receipt {
    v1::Receipt {
        user_id: row.user_id.to_string(),
        last_read_seq: row.told_read,
        delivered_seq: row.told_delivered,
        read_at: None,
        rev: row.receipt_rev,
    }
}

/// The verdict on a room that the person is in.
pub fn summary(summary: &Summary) -> v1::RoomSummary {
    let mentions =
        summary.mentions.iter().copied().take(usize::try_from(MOST_MENTIONS).unwrap_or(usize::MAX)).collect();
    let present = v1::RoomPresent {
        room: Some(room(&summary.room)),
        last_message: summary.last.as_ref().map(timeline::wire::preview),
        membership: Some(membership(&summary.member, mentions)),
    };
    v1::RoomSummary { room_id: summary.room.id.to_string(), verdict: Some(Verdict::Present(present)) }
}

/// The verdict on a room that the person is not in.
pub fn gone(room_id: RoomId, place: Option<&Gone>) -> v1::RoomSummary {
    let gone = match place {
        None => v1::RoomGone { reason: v1::GoneReason::NotFound.into(), ..Default::default() },
        Some(Gone { user_rev: membership_user_rev, ended_rev: Some(rev), .. }) => {
            let (membership_user_rev, room_ended_rev) = (*membership_user_rev, *rev);
            v1::RoomGone { reason: v1::GoneReason::Ended.into(), membership_user_rev, room_ended_rev }
        }
        Some(Gone { state, user_rev, .. }) => {
            let reason = match state {
                3 => v1::GoneReason::Removed,
                4 => v1::GoneReason::Banned,
                _ => v1::GoneReason::Left,
            };
            v1::RoomGone { reason: reason.into(), membership_user_rev: *user_rev, room_ended_rev: 0 }
        }
    };
    v1::RoomSummary { room_id: room_id.to_string(), verdict: Some(Verdict::Gone(gone)) }
}

fn event(access: &RoomAccess, rev: i64, change: Change) -> v1::RoomEvent {
    v1::RoomEvent {
        room_id: access.room_id().to_string(),
        prev_rev: rev - 1,
        rev,
        actor_id: access.user_id().to_string(),
        change: Some(change),
    }
}

/// A changed member, and the number of members after it.
pub fn member_event(access: &RoomAccess, row: &Member, member_count: i32) -> v1::RoomEvent {
    let receipt = (row.state == JOINED).then(|| receipt(row));
    let change = v1::MemberChange { member: Some(member(row)), member_count, receipt };
    event(access, row.rev, Change::Member(change))
}

/// The changed room itself, at its last revision.
pub fn room_changed(access: &RoomAccess) -> v1::RoomEvent {
    event(access, access.room().rev, Change::Room(room(access.room())))
}

/// What a membership's change tells its person; `room` is the revision and the newest position of the room.
pub fn tell_person(user_id: UserId, row: &Member, mentions: Vec<i64>, room: (i64, i64)) -> PersonEvent {
    person_event(user_id, row.user_rev - 1, membership(row, mentions), row.listen(room))
}
