//! The frames of the hub itself, encoded. Slices encode theirs with [`room_event`] and [`person_event`].

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use madang_proto::v1::{self, ephemeral::News, room_event::Change, server_frame::Frame};
use prost::Message as _;

use crate::{
    error::Refusal,
    ids::{RoomId, UserId},
    realtime::{ClosingReason, Membership, PersonEvent, ReadCount, RoomEvent},
};

/// An event above this goes out as `fetch` (contract: 128 KiB).
const MOST_EVENT_BYTES: usize = 128 * 1024;

/// Encodes a frame.
pub fn frame(frame: Frame) -> Bytes {
    v1::ServerFrame { frame: Some(frame) }.encode_to_vec().into()
}

/// A room's event, with its encodings. `item_seq` and `removes` are read off the change.
pub fn room_event(room_id: RoomId, mut event: v1::RoomEvent) -> RoomEvent {
    let item_seq = match &event.change {
        Some(Change::Message(message)) => Some(message.seq),
        _ => None,
    };
    let removes = match &event.change {
        Some(Change::Member(change)) => change.member.as_ref().filter(|m| m.state() != v1::MemberState::Joined),
        _ => None,
    };
    let removes = removes.and_then(|member| UserId::parse(&member.user_id));
    let (prev_rev, rev) = (event.prev_rev, event.rev);
    let span = frame(Frame::RoomEvent(v1::RoomEvent { change: Some(Change::None(v1::NoChange {})), ..head(&event) }));
    if event.encoded_len() > MOST_EVENT_BYTES {
        event.change = Some(Change::Fetch(v1::FetchChange {}));
    }
    RoomEvent { room_id, prev_rev, rev, item_seq, removes, frame: frame(Frame::RoomEvent(event)), span }
}

fn head(event: &v1::RoomEvent) -> v1::RoomEvent {
    v1::RoomEvent {
        room_id: event.room_id.clone(),
        prev_rev: event.prev_rev,
        rev: event.rev,
        actor_id: event.actor_id.clone(),
        change: None,
    }
}

/// An event of a person: one membership and the span of the number.
pub fn person_event(
    user_id: UserId,
    prev_user_rev: i64,
    membership: v1::Membership,
    listen: Membership,
) -> PersonEvent {
    let user_rev = membership.user_rev;
    let delta = v1::UserDelta {
        from_user_rev: prev_user_rev,
        to_user_rev: user_rev,
        last: true,
        memberships: vec![membership],
    };
    PersonEvent { user_id, prev_user_rev, user_rev, membership: Some(listen), frame: frame(Frame::UserDelta(delta)) }
}

/// An event of a person that says only that the number moved.
pub fn person_span(user_id: UserId, user_rev: i64) -> PersonEvent {
    let delta =
        v1::UserDelta { from_user_rev: user_rev - 1, to_user_rev: user_rev, last: true, memberships: Vec::new() };
    PersonEvent {
        user_id,
        prev_user_rev: user_rev - 1,
        user_rev,
        membership: None,
        frame: frame(Frame::UserDelta(delta)),
    }
}

/// A time as the contract has it.
pub fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

pub(super) fn drained(watermark: i64) -> Bytes {
    frame(Frame::Drained(v1::Drained { watermark }))
}

/// The last frame of a stream.
pub fn closing(reason: ClosingReason, retry_after: Duration) -> Bytes {
    let (reason, retry_after) = (number(reason).into(), Some(duration(retry_after)));
    frame(Frame::Closing(v1::Closing { reason, retry_after, ..Default::default() }))
}

/// The last frame of a stream, with the refusal behind it where that is known.
pub fn closing_refused(reason: ClosingReason, refusal: Option<&Refusal>) -> Bytes {
    let (error, message) =
        refusal.map_or((0, String::new()), |refusal| (refusal.reason.into(), refusal.message.clone()));
    frame(Frame::Closing(v1::Closing { reason: number(reason).into(), error, message, ..Default::default() }))
}

pub fn number(reason: ClosingReason) -> v1::ClosingReason {
    match reason {
        ClosingReason::SlowConsumer => v1::ClosingReason::SlowConsumer,
        ClosingReason::Revoked => v1::ClosingReason::Revoked,
        ClosingReason::TokenExpired => v1::ClosingReason::TokenExpired,
        ClosingReason::Draining => v1::ClosingReason::Draining,
        ClosingReason::Replaced => v1::ClosingReason::Replaced,
        ClosingReason::TooManyStreams => v1::ClosingReason::TooManyStreams,
        ClosingReason::EpochChanged => v1::ClosingReason::EpochChanged,
        ClosingReason::InvalidFrame => v1::ClosingReason::InvalidFrame,
        ClosingReason::HelloTimeout => v1::ClosingReason::HelloTimeout,
        ClosingReason::MaxAge => v1::ClosingReason::MaxAge,
    }
}

/// The same backwards; `None`: a newer node's.
pub(super) fn reason(number: i32) -> Option<ClosingReason> {
    Some(match v1::ClosingReason::try_from(number).ok()? {
        v1::ClosingReason::SlowConsumer => ClosingReason::SlowConsumer,
        v1::ClosingReason::Revoked => ClosingReason::Revoked,
        v1::ClosingReason::TokenExpired => ClosingReason::TokenExpired,
        v1::ClosingReason::Draining => ClosingReason::Draining,
        v1::ClosingReason::Replaced => ClosingReason::Replaced,
        v1::ClosingReason::TooManyStreams => ClosingReason::TooManyStreams,
        v1::ClosingReason::EpochChanged => ClosingReason::EpochChanged,
        v1::ClosingReason::InvalidFrame => ClosingReason::InvalidFrame,
        v1::ClosingReason::HelloTimeout => ClosingReason::HelloTimeout,
        v1::ClosingReason::MaxAge => ClosingReason::MaxAge,
        v1::ClosingReason::Unspecified => return None,
    })
}

pub(super) fn heartbeat(now: DateTime<Utc>, user_rev: i64, rooms: Vec<(RoomId, i64)>, watermark: i64) -> Bytes {
    let rooms = rooms.into_iter().map(|(room_id, rev)| v1::RoomRev { room_id: room_id.to_string(), rev }).collect();
    frame(Frame::Heartbeat(v1::Heartbeat { server_time: Some(timestamp(now)), watermark, user_rev, rooms }))
}

pub(super) fn token_expiring(ends: i64, grace: Duration) -> Bytes {
    let closes = ends.saturating_add(i64::try_from(grace.as_secs()).unwrap_or(i64::MAX));
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    frame(Frame::TokenExpiring(v1::TokenExpiring { expires_at: at(ends), closes_at: at(closes) }))
}

/// Somebody is writing.
pub fn typing(room_id: RoomId, user_id: UserId, until: DateTime<Utc>) -> Bytes {
    let news =
        v1::TypingNews { room_id: room_id.to_string(), user_id: user_id.to_string(), until: Some(timestamp(until)) };
    frame(Frame::Ephemeral(v1::Ephemeral { news: Some(News::Typing(news)) }))
}

/// Somebody is here, or is not.
pub(super) fn presence(user_id: UserId, online: bool) -> Bytes {
    let news = v1::PresenceNews { user_id: user_id.to_string(), online };
    frame(Frame::Ephemeral(v1::Ephemeral { news: Some(News::Presence(news)) }))
}

/// How many have read an item, of how many who could.
pub(super) fn read_count(room_id: RoomId, seq: i64, count: ReadCount) -> Bytes {
    let ReadCount { read, members } = count;
    let news = v1::ReadCountNews { room_id: room_id.to_string(), seq, read, members };
    frame(Frame::Ephemeral(v1::Ephemeral { news: Some(News::ReadCount(news)) }))
}

/// Profiles that changed; `None`: any may have.
pub fn people_changed(profiles: Option<Vec<(UserId, i64)>>) -> Bytes {
    let all = profiles.is_none();
    let changed =
        |(user_id, profile_rev): (UserId, i64)| v1::ChangedProfile { user_id: user_id.to_string(), profile_rev };
    let profiles = profiles.unwrap_or_default().into_iter().map(changed).collect();
    frame(Frame::PeopleChanged(v1::PeopleChanged { profiles, all }))
}
