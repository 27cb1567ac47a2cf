//! Frames that only the streams know.

use bytes::Bytes;
use madang_proto::v1::{self, server_frame::Frame};

use crate::{config::Config, error::Refusal, ids::RoomId, realtime::wire, rooms::Member};

/// Limits as a client is told them.
pub fn limits(config: &Config) -> v1::ServerLimits {
    let int = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
    v1::ServerLimits {
        message_characters: 8_000,
        message_bytes: 32 * 1024,
        request_bytes: i32::try_from(madang_proto::REQUEST_BYTES).unwrap_or(i32::MAX),
        group_members: int(config.group_members),
        open_members: int(config.open_members),
        rooms_per_person: int(config.rooms_per_person),
        hello_cursors: 200,
        large_room_members: int(config.large_room_members),
        heartbeat: Some(prost_types::Duration {
            seconds: i64::try_from(config.heartbeat.as_secs()).unwrap_or(20),
            nanos: 0,
        }),
    }
}

pub(super) fn refused(frame_name: &str, refusal: &Refusal) -> Bytes {
    wire::frame(Frame::Refused(v1::Refused {
        reason: refusal.reason.into(),
        message: refusal.message.clone(),
        frame: frame_name.to_owned(),
        field: refusal.metadata.get("field").cloned().unwrap_or_default(),
    }))
}

pub(super) fn user_behind(user_rev: i64) -> Bytes {
    wire::frame(Frame::UserBehind(v1::UserBehind { user_rev }))
}

pub(super) fn user_delta(delta: v1::UserDelta) -> Bytes {
    wire::frame(Frame::UserDelta(delta))
}

pub(super) fn room_summary(summary: v1::RoomSummary) -> Bytes {
    wire::frame(Frame::RoomSummary(summary))
}

pub(super) fn room_delta(delta: v1::RoomDelta) -> Bytes {
    wire::frame(Frame::RoomDelta(delta))
}

pub(super) fn welcome(welcome: v1::Welcome) -> Bytes {
    wire::frame(Frame::Welcome(welcome))
}

/// The person's changed memberships, with the unread mentions of each.
pub(super) fn memberships(rows: &[Member], mentions: &[(RoomId, i64)]) -> Vec<v1::Membership> {
    let of = |row: &Member| mentions.iter().filter(|(id, _)| *id == row.room_id).map(|(_, seq)| *seq).collect();
    rows.iter().map(|row| crate::rooms::wire::membership(row, of(row))).collect()
}
