//! The database as a model: the server's own rows in memory, transactions with their ids, and what a snapshot tells.
//!
//! Always true: what is here is committed; a transaction's rows change in one step, while it holds its locks.

mod read;
mod write;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use madang_proto::v1;
use madang_server::{
    access::{JOINED, RoomRow},
    ids::{DeviceId, RoomId, UserId},
    rooms::Member,
    timeline::Item,
};
use uuid::Uuid;

pub(crate) use self::{
    read::{Cursor, Seen},
    write::{Done, Lock, Task, Told},
};

/// A room and its person, as numbers.
pub(crate) type Place = (usize, usize);

/// When the world begins.
const BEGIN: i64 = 1_700_000_000;

/// A time of the world, in microseconds since it began.
pub(crate) fn time(at: u64) -> DateTime<Utc> {
    let micros = BEGIN * 1_000_000 + i64::try_from(at).unwrap_or_default();
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// The id of a person.
pub(crate) fn user_id(person: usize) -> UserId {
    UserId(Uuid::from_u128(0x0a00 + person as u128))
}

/// The id of a room.
pub(crate) fn room_id(room: usize) -> RoomId {
    RoomId(Uuid::from_u128(0x0b00 + room as u128))
}

/// The id of a device.
pub(crate) fn device_id(device: usize) -> DeviceId {
    DeviceId(Uuid::from_u128(0x0c00 + device as u128))
}

fn number(id: Uuid, first: u128) -> usize {
    usize::try_from(id.as_u128() - first).expect("an id of this world")
}

/// The room that an id names.
pub(crate) fn room_of(id: RoomId) -> usize {
    number(id.0, 0x0b00)
}

/// The person that an id names.
pub(crate) fn person_of(id: UserId) -> usize {
    number(id.0, 0x0a00)
}

/// The room that an id of the contract names.
pub(crate) fn room_named(id: &str) -> usize {
    RoomId::parse(id).map(room_of).expect("an id of a room")
}

/// One stay of a person in a room, in the room's revisions.
#[derive(Debug, Clone)]
pub(crate) struct Stay {
    /// The revision that began it.
    pub(crate) from: i64,
    /// The revision that ended it, which is the last that the person may be told.
    pub(crate) to: i64,
    /// First item that the person may see.
    pub(crate) history_from: i64,
}

/// A room with its items; the item of position n is the one before n.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) row: RoomRow,
    pub(crate) items: Vec<Item>,
    pub(crate) members: Vec<Option<Member>>,
    pub(crate) stays: Vec<Vec<Stay>>,
}

/// Everything that is committed, and who is about to commit.
#[derive(Debug, Clone)]
pub(crate) struct Db {
    pub(crate) epoch: String,
    pub(crate) rooms: Vec<Room>,
    pub(crate) user_revs: Vec<i64>,
    /// Changed rooms with the transaction that changed them.
    changes: Vec<(i64, usize)>,
    next_xid: i64,
    running: BTreeSet<i64>,
    idempotent: bool,
}

impl Db {
    /// Rooms in which everybody is, except that in the last of several nobody is yet.
    pub(crate) fn new(people: usize, rooms: &[bool], idempotent: bool) -> Self {
        let mut db = Self {
            epoch: "first".into(),
            rooms: Vec::with_capacity(rooms.len()),
            user_revs: vec![0; people],
            changes: Vec::new(),
            next_xid: 100,
            running: BTreeSet::new(),
            idempotent,
        };
        for (room, hidden) in rooms.iter().enumerate() {
            db.rooms.push(Room {
                row: new_row(room, *hidden),
                items: Vec::new(),
                members: vec![None; people],
                stays: vec![Vec::new(); people],
            });
            for person in 0..people {
                if room < 2 {
                    db.let_in((room, person), time(0));
                }
            }
        }
        db
    }

    /// A transaction takes its id.
    pub(crate) fn begin(&mut self) -> i64 {
        let xid = self.next_xid;
        self.next_xid += 1;
        self.running.insert(xid);
        xid
    }

    /// A transaction is over, whatever became of it.
    pub(crate) fn end(&mut self, xid: i64) {
        self.running.remove(&xid);
    }

    /// The same history goes on as another from a copy of it, in which nothing runs.
    pub(crate) fn restored(mut self, epoch: String) -> Self {
        self.epoch = epoch;
        self.running.clear();
        self.changes.clear();
        for room in &mut self.rooms {
            room.row.changed_xid = 0;
        }
        self
    }

    pub(crate) fn member(&self, (room, person): Place) -> Option<&Member> {
        self.rooms[room].members[person].as_ref()
    }

    /// Whether the person is in the room.
    pub(crate) fn is_in(&self, place: Place) -> bool {
        self.member(place).is_some_and(|member| member.state == JOINED)
    }
}

fn new_row(room: usize, history_hidden: bool) -> RoomRow {
    RoomRow {
        id: room_id(room),
        // OPEN: whoever left may come back.
        kind: 3,
        state: 1,
        name: format!("room {room}"),
        topic: String::new(),
        notice_text: String::new(),
        notice_by: None,
        notice_at: None,
        who_may_post: 1,
        who_may_invite: 1,
        who_may_pin: 2,
        history_hidden,
        retention_days: 0,
        member_limit: 0,
        consent: false,
        pin_limit: 0,
        stores_read_times: false,
        direct_a: None,
        direct_b: None,
        created_by: user_id(0).0,
        created_at: time(0),
        payload_hash: Vec::new(),
        member_count: 0,
        large: false,
        seq: 0,
        count: 0,
        last_countable_seq: 0,
        last_active_at: time(0),
        first_seq: 1,
        first_count: 0,
        rev: 0,
        changed_xid: 1,
    }
}

fn new_member((room, person): Place, at: DateTime<Utc>) -> Member {
    Member {
        room_id: room_id(room),
        user_id: user_id(person),
        state: JOINED,
        role: 1,
        nickname: String::new(),
        joined_at: at,
        left_at: None,
        history_from_seq: 1,
        rev: 0,
        user_rev: 0,
        last_read_seq: 0,
        read_count: 0,
        read_generation: 0,
        mute_until: None,
        pinned_order: 0,
        favourite: false,
        notification_level: 0,
        draft: String::new(),
        folder: String::new(),
        told_read: 0,
        told_delivered: 0,
        receipt_rev: 0,
    }
}

/// A page of the contract that says nothing.
pub(crate) fn no_delta() -> v1::RoomDelta {
    v1::RoomDelta { last: true, ..v1::RoomDelta::default() }
}
