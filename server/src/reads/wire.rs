//! Receipts on the streams.

use madang_proto::v1;

use crate::{
    ids::RoomId,
    realtime::{self, RoomEvent},
    rooms::{self, Member},
};

/// Receipts that were told together, under one revision.
pub fn told(room_id: RoomId, rev: i64, members: &[Member]) -> RoomEvent {
    let receipts = members.iter().map(rooms::wire::receipt).collect();
    let event = v1::RoomEvent {
        room_id: room_id.to_string(),
        prev_rev: rev - 1,
        rev,
        actor_id: String::new(),
        change: Some(v1::room_event::Change::Receipts(v1::ReceiptBatch { receipts })),
    };
    realtime::wire::room_event(room_id, event)
}
