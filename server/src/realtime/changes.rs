//! What a transaction changed, gathered inside it and offered to the sessions once it has committed.

use bytes::Bytes;

use crate::{
    ids::{DeviceId, RoomId, SessionId, UserId},
    realtime::ClosingReason,
};

/// Everything that one transaction changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Events of rooms; those of one room in the order of their revisions.
    pub rooms: Vec<RoomEvent>,
    /// Events of people.
    pub people: Vec<PersonEvent>,
    /// Changed profiles.
    pub profiles: Vec<ProfileChange>,
    /// Sessions that end.
    pub ended: Vec<SessionEnd>,
}

/// One revision of a room, or several that travel as one.
#[derive(Debug, Clone)]
pub struct RoomEvent {
    /// The room.
    pub room_id: RoomId,
    /// Revision before.
    pub prev_rev: i64,
    /// Revision after.
    pub rev: i64,
    /// Position of the item that it concerns; whoever's history begins later gets `span` instead.
    pub item_seq: Option<i64>,
    /// The person whom it takes out of the room.
    pub removes: Option<UserId>,
    /// The encoded frame.
    pub frame: Bytes,
    /// The encoded frame that says only that the revision moved.
    pub span: Bytes,
}

/// A change of what belongs to one person.
#[derive(Debug, Clone)]
pub struct PersonEvent {
    /// The person.
    pub user_id: UserId,
    /// Number before.
    pub prev_user_rev: i64,
    /// Number after.
    pub user_rev: i64,
    /// The membership that changed, where one did.
    pub membership: Option<Membership>,
    /// The encoded frame.
    pub frame: Bytes,
}

/// What a session must know of a membership to listen to its room.
#[derive(Debug, Clone, Copy)]
pub struct Membership {
    /// The room.
    pub room_id: RoomId,
    /// Whether the person is in.
    pub joined: bool,
    /// Revision of the room at which the membership last changed: a removal at or below it belongs to an earlier stay.
    pub rev: i64,
    /// First item that the person may see.
    pub history_from_seq: i64,
    /// Revision of the room as it was read together with the membership.
    pub room_rev: i64,
    /// Position of its newest item likewise.
    pub room_seq: i64,
}

/// A changed profile and who is told: the members of these rooms.
#[derive(Debug, Clone)]
pub struct ProfileChange {
    /// Whose.
    pub user_id: UserId,
    /// Number of the profile.
    pub profile_rev: i64,
    /// Rooms of at most 200 members that the person is in.
    pub rooms: Vec<RoomId>,
    /// The encoded frame.
    pub frame: Bytes,
}

/// Sessions that end, and why.
#[derive(Debug, Clone)]
pub struct SessionEnd {
    /// Whose.
    pub user_id: UserId,
    /// Which of them.
    pub which: WhichSessions,
    /// What they are told.
    pub reason: ClosingReason,
}

/// Which of a person's sessions.
#[derive(Debug, Clone)]
pub enum WhichSessions {
    /// All.
    All,
    /// Those of one installation.
    Device(DeviceId),
    /// One stream.
    One(SessionId),
}
