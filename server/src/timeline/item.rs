//! A row of `messages`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::ids::{RoomId, UserId};

/// `messages.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a person says.
    Text = 1,
    /// What happened in the room.
    System = 3,
}

/// One item of a timeline; the migration explains the columns.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration explains the columns")]
pub struct Item {
    pub room_id: RoomId,
    pub seq: i64,
    pub rev: i64,
    pub count: i64,
    pub sender_id: UserId,
    pub client_message_id: Option<Uuid>,
    pub payload_hash: Option<Vec<u8>>,
    pub mark_generation: Option<i64>,
    pub created_at: DateTime<Utc>,
    pub edited_at: Option<DateTime<Utc>>,
    pub kind: i16,
    pub text: String,
    pub format: i16,
    pub extra: Option<Vec<u8>>,
    pub mentioned: Option<Vec<Uuid>>,
    pub mentions_all: bool,
    pub reply_to_seq: i64,
    pub deleted_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub changed: bool,
}

impl Item {
    /// Whether it is something that happened rather than something said.
    pub fn is_system(&self) -> bool {
        self.kind == Kind::System as i16
    }

    /// Whether only its tombstone is left.
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }
}
