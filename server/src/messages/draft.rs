//! What waits to be written.

use uuid::Uuid;

use crate::ids::{RoomId, UserId};

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The room.
    pub room_id: RoomId,
    /// Who sends it.
    pub sender_id: UserId,
    /// The client's id of it.
    pub client_message_id: Uuid,
    /// Hash of the content; tells a repetition from a reuse of the id.
    pub payload_hash: Vec<u8>,
    /// What it says.
    pub text: String,
    /// `messages.format`.
    pub format: i16,
    /// Rarer fields, encoded.
    pub extra: Option<Vec<u8>>,
    /// People mentioned; those who are not in the room are passed over.
    pub mentioned: Vec<UserId>,
    /// Everybody is mentioned.
    pub mention_all: bool,
    /// The item it answers; 0: none.
    pub reply_to_seq: i64,
    /// The newest item the person had in front of them; 0: does not move the mark.
    pub seen_seq: i64,
    /// Generation of the mark under which that was seen.
    pub seen_generation: i64,
}

/// A read mark to be moved.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// The room.
    pub room_id: RoomId,
    /// Whose mark.
    pub user_id: UserId,
    /// Up to here everything is read; marking as unread: from here on nothing is.
    pub seq: i64,
    /// Generation under which the person did it.
    pub generation: i64,
    /// Marks as unread: the mark goes below `seq` and a new generation begins.
    pub unread: bool,
}

impl Draft {
    /// Bytes that it holds while it waits.
    pub fn size(&self) -> usize {
        256 + self.text.len() + self.extra.as_ref().map_or(0, Vec::len) + 16 * self.mentioned.len()
    }
}
