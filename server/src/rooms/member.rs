//! A row of `members`, and a room as its member sees it.

use chrono::{DateTime, Utc};

use crate::{
    access::{JOINED, RoomRow},
    ids::{RoomId, UserId},
    realtime::Membership,
    timeline::Item,
};

/// A person's place in a room; the migration explains the columns.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration explains the columns")]
pub struct Member {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub state: i16,
    pub role: i16,
    pub nickname: String,
    pub joined_at: DateTime<Utc>,
    pub left_at: Option<DateTime<Utc>>,
    pub history_from_seq: i64,
    pub rev: i64,
    pub user_rev: i64,
    pub last_read_seq: i64,
    pub read_count: i64,
    pub read_generation: i64,
    pub mute_until: Option<DateTime<Utc>>,
    pub pinned_order: i32,
    pub favourite: bool,
    pub notification_level: i16,
    pub draft: String,
    pub folder: String,
    pub told_read: i64,
    pub told_delivered: i64,
    pub receipt_rev: i64,
}

impl Member {
    /// What a session must know to listen to the room.
    pub fn listen(&self, (room_rev, room_seq): (i64, i64)) -> Membership {
        Membership {
            room_id: self.room_id,
            joined: self.state == JOINED,
            rev: self.rev,
            history_from_seq: self.history_from_seq,
            room_rev,
            room_seq,
        }
    }
}

/// A room as its member sees it in one snapshot.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The room.
    pub room: RoomRow,
    /// The person's place.
    pub member: Member,
    /// The newest item that the person may see.
    pub last: Option<Item>,
    /// Unread items that mention the person, at most 100.
    pub mentions: Vec<i64>,
}

/// Unread items: a difference of two numbers, never counted and never stored.
pub fn unread(room: &RoomRow, member: &Member) -> i64 {
    unread_of((room.count, room.first_count), member.read_count)
}

/// The same of the numbers alone: what counts in the room, what retention removed of it, and what is read.
pub fn unread_of((count, first_count): (i64, i64), read_count: i64) -> i64 {
    (count - read_count.max(first_count)).max(0)
}
