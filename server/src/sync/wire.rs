//! Frames that only the streams know.

use std::collections::HashMap;

use bytes::Bytes;
use madang_proto::v1::{self, server_frame::Frame};

use crate::{
    error::Refusal,
    realtime::wire,
    rooms::{Member, store::PlaceKey},
};

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

/// A person's changed memberships, with the unread mentions of each.
pub(super) fn memberships<'a>(
    rows: impl IntoIterator<Item = &'a Member>,
    mentions: &HashMap<PlaceKey, Vec<i64>>,
) -> Vec<v1::Membership> {
    let of = |row: &Member| mentions.get(&(row.room_id, row.user_id)).cloned().unwrap_or_default();
    rows.into_iter().map(|row| crate::rooms::wire::membership(row, of(row))).collect()
}
