//! Items between rows and the contract.

use madang_proto::v1;
use prost::Message as _;

use super::{Item, Notice};
use crate::{
    ids::{RoomId, UserId},
    realtime::{self, wire::timestamp},
};

/// What happened; numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "message.proto explains them")]
pub enum NoticeKind {
    Created,
    Invited,
    Joined,
    Left,
    Removed,
}

/// Characters of a text that a summary shows.
const PREVIEW_CHARACTERS: usize = 200;

/// The rarer fields of an item, encoded as the contract has them.
pub fn notice_extra(actor_id: UserId, notice: &Notice) -> Vec<u8> {
    let kind = match notice.kind {
        NoticeKind::Created => v1::SystemKind::Created,
        NoticeKind::Invited => v1::SystemKind::Invited,
        NoticeKind::Joined => v1::SystemKind::Joined,
        NoticeKind::Left => v1::SystemKind::Left,
        NoticeKind::Removed => v1::SystemKind::Removed,
    };
    let system = v1::SystemNotice {
        kind: kind.into(),
        actor_id: actor_id.to_string(),
        user_ids: notice.people.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    v1::Message { system: Some(system), ..Default::default() }.encode_to_vec()
}

/// An item as the contract has it.
pub fn message(item: &Item) -> v1::Message {
    let deleted = item.is_deleted();
    let extra = item.extra.as_deref().filter(|_| !deleted).and_then(|bytes| v1::Message::decode(bytes).ok());
    let extra = extra.unwrap_or_default();
    let body = (!deleted && !item.is_system()).then(|| v1::MessageBody {
        text: item.text.clone(),
        format: i32::from(item.format),
        ..extra.body.unwrap_or_default()
    });
    v1::Message {
        room_id: item.room_id.to_string(),
        seq: item.seq,
        rev: item.rev,
        count: item.count,
        sender_id: item.sender_id.to_string(),
        mark_generation: item.mark_generation,
        client_message_id: item.client_message_id.map(|id| id.to_string()).unwrap_or_default(),
        created_at: Some(timestamp(item.created_at)),
        edited_at: item.edited_at.map(timestamp),
        kind: i32::from(item.kind),
        metadata: extra.metadata,
        mentioned_user_ids: item.mentioned.iter().flatten().map(ToString::to_string).collect(),
        mentions_all: item.mentions_all,
        body,
        system: extra.system,
        reply_to_seq: item.reply_to_seq,
        tombstone: item.deleted_at.map(|at| v1::Tombstone {
            deleted_by: item.deleted_by.map(|id| id.to_string()).unwrap_or_default(),
            deleted_at: Some(timestamp(at)),
        }),
        ..Default::default()
    }
}

/// An item as a summary shows it.
pub fn preview(item: &Item) -> v1::Message {
    let mut message = message(item);
    if let Some(body) = &mut message.body {
        if let Some((at, _)) = body.text.char_indices().nth(PREVIEW_CHARACTERS) {
            body.text.truncate(at);
            message.text_cut = true;
        }
        body.entities.clear();
        body.card.clear();
    }
    message.metadata.clear();
    message
}

/// The event of an item that was added or changed.
pub fn item_event(room_id: RoomId, actor_id: UserId, item: &Item) -> v1::RoomEvent {
    v1::RoomEvent {
        room_id: room_id.to_string(),
        prev_rev: item.rev - 1,
        rev: item.rev,
        actor_id: actor_id.to_string(),
        change: Some(v1::room_event::Change::Message(message(item))),
    }
}

/// The same, encoded for the streams.
pub fn publish_item(room_id: RoomId, actor_id: UserId, item: &Item) -> realtime::RoomEvent {
    realtime::wire::room_event(room_id, item_event(room_id, actor_id, item))
}
