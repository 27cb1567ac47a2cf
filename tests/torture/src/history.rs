//! What the oracle judges: the database, what the server says when asked anew, every device's store, and what was seen
//! meanwhile. Plain data, so that a good history can be damaged to check the checker.

use std::collections::{BTreeMap, BTreeSet};

use madang_sdk_core::StoreSnapshot;
use madang_tests::fresh::Fresh;
use serde::{Deserialize, Serialize};

/// All that is known at a quiet point.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The database's rooms, by id.
    pub rooms: BTreeMap<String, RoomFacts>,
    /// What the server says to each person, by id.
    pub fresh: BTreeMap<String, Fresh>,
    /// The devices.
    pub devices: Vec<DeviceFacts>,
    /// Devices whose sessions were revoked.
    pub ended: Vec<EndedFacts>,
    /// What the server said on the streams of listeners.
    pub streams: Vec<StreamFacts>,
    /// What was noted while it happened.
    pub journal: Journal,
}

/// A room in the database.
#[derive(Debug, Clone, Default)]
pub struct RoomFacts {
    /// Its name.
    pub name: String,
    /// It was deleted.
    pub ended: bool,
    /// Position of the newest item.
    pub seq: i64,
    /// Countable items.
    pub count: i64,
    /// Number of the last change.
    pub rev: i64,
    /// The first item that retention has left.
    pub first_seq: i64,
    /// Countable items that retention removed.
    pub first_count: i64,
    /// People in it.
    pub member_count: i64,
    /// Items in the order of positions.
    pub messages: Vec<MessageFacts>,
    /// Everybody who is or was in it, by id.
    pub members: BTreeMap<String, MemberFacts>,
    /// Who came and went, in order, as its notices tell. A room that was ever large tells nothing.
    pub moves: Vec<Move>,
}

/// Somebody came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Number of the notice; the membership's is beside it.
    pub rev: i64,
    /// Who.
    pub person: String,
    /// Came.
    pub came: bool,
}

/// An item in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct MessageFacts {
    /// Position.
    pub seq: i64,
    /// Number of its last change.
    pub rev: i64,
    /// Countable items up to it.
    pub count: i64,
    /// Who sent it.
    pub sender: String,
    /// The client's id; empty in notices.
    pub client_message_id: String,
    /// It says that something happened; not countable.
    pub notice: bool,
    /// What it says.
    pub text: String,
    /// It was edited.
    pub edited: bool,
    /// It was deleted.
    pub deleted: bool,
    /// Whom it mentions.
    pub mentioned: BTreeSet<String>,
    /// It mentions everybody.
    pub mentions_all: bool,
}

/// A person's place in a room, in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberFacts {
    /// In it now.
    pub joined: bool,
    /// Number of the room at which this last changed: of the removal, for one who is out.
    pub rev: i64,
    /// The first item that they may see.
    pub history_from_seq: i64,
    /// Read up to here.
    pub last_read_seq: i64,
    /// Countable items up to there.
    pub read_count: i64,
    /// Raised by "mark as unread".
    pub read_generation: i64,
}

/// A device.
#[derive(Debug, Clone, Default)]
pub struct DeviceFacts {
    /// Its index.
    pub device: usize,
    /// Its store.
    pub store: StoreSnapshot,
    /// What its timelines have shown.
    pub sights: Vec<Sighting>,
}

/// A device whose session was revoked.
#[derive(Debug, Clone, Default)]
pub struct EndedFacts {
    /// Its index.
    pub device: usize,
    /// Its store, as it last told it.
    pub store: Option<StoreSnapshot>,
    /// Revisions of the rooms when it had had time to end: nothing greater may have reached it.
    pub limits: BTreeMap<String, i64>,
    /// Why it has ended, as it says; absent while it has not.
    pub over: Option<String>,
    /// Another index has its installation.
    pub closed: bool,
}

/// A stream that somebody listened to, without a client.
#[derive(Debug, Clone, Default)]
pub struct StreamFacts {
    /// The person.
    pub person: String,
    /// It is open, and all its verdicts are in.
    pub open: bool,
    /// What was heard of rooms, in order.
    pub heard: Vec<Heard>,
}

/// Something heard of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The room.
    pub room: String,
    /// What.
    pub news: News,
}

/// What a stream says of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// What its Hello said: this is held.
    Held {
        /// The revision.
        rev: i64,
    },
    /// A live change.
    Event {
        /// The revision before.
        prev_rev: i64,
        /// The revision after.
        rev: i64,
        /// The position of the item in it, if there is one.
        seq: Option<i64>,
    },
    /// A summary or a delta: the room as of a revision, with these items.
    Verdict {
        /// The revision.
        rev: i64,
        /// Positions of items in it.
        seqs: Vec<i64>,
    },
    /// The listener's own removal, as a live change.
    Removed {
        /// The revision before.
        prev_rev: i64,
        /// The revision after.
        rev: i64,
    },
    /// The room is not there for the listener.
    Gone {
        /// The person's number of the membership that ended.
        user_rev: i64,
    },
    /// The listener is in it.
    Joined {
        /// Revision of the membership.
        rev: i64,
        /// The person's number of it.
        user_rev: i64,
    },
}

/// Something that a timeline has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The room.
    pub room: String,
    /// Which life of the device, and which opening in it.
    pub opening: (u64, u64),
    /// What.
    pub sight: Sight,
}

/// What a timeline has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "sight")]
pub enum Sight {
    /// An item newer than all before it; the list began at `low` then.
    Arrived {
        /// Its position.
        seq: i64,
        /// The position of the first item in the list.
        low: i64,
    },
    /// A list that had a hole, was out of order, or held something twice.
    Broken {
        /// The positions, 0 for what waits in the outbox.
        rows: Vec<i64>,
    },
}

/// What was noted while it happened.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    /// Sends that a device has taken: they are on its disk.
    pub typed: Vec<Typed>,
    /// Sends that a device has ever shown as acknowledged, by the client's id.
    pub acknowledged: BTreeMap<String, Acknowledged>,
    /// Ids of all that was ever acknowledged, also before the database was restored.
    pub ever_acknowledged: BTreeSet<String>,
    /// The database was restored from a copy: sends are offered again, to rooms that their sender is still in.
    pub restored: bool,
}

/// A send that a device has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The device.
    pub device: usize,
    /// The client's id.
    pub id: String,
    /// The room.
    pub room: String,
    /// What it says.
    pub text: String,
    /// Whom it mentions.
    pub mentions: Vec<String>,
    /// It mentions everybody.
    pub mention_all: bool,
}

/// A send that a device has shown as acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The device; none when it was a plain call.
    pub device: Option<usize>,
    /// The person.
    pub sender: String,
    /// The room.
    pub room: String,
    /// What was typed.
    pub text: String,
    /// The position that the server named.
    pub seq: i64,
}

impl Journal {
    /// The database was restored: what plain calls have sent nobody offers again.
    pub fn restored(&mut self) {
        self.restored = true;
        self.acknowledged.clear();
    }

    /// An installation has another index now.
    pub fn inherit(&mut self, of: usize, device: usize) {
        for typed in self.typed.iter_mut().filter(|typed| typed.device == of) {
            typed.device = device;
        }
    }

    /// Notes what a device's outbox shows as acknowledged.
    pub fn note(&mut self, device: usize, store: &StoreSnapshot) {
        for item in &store.outbox {
            if let Some(seq) = item.seq {
                let acknowledged = Acknowledged {
                    device: Some(device),
                    sender: store.user_id.clone(),
                    room: item.room_id.clone(),
                    text: item.text.clone(),
                    seq,
                };
                let id = item.client_message_id.clone();
                self.ever_acknowledged.insert(id.clone());
                if self.restored {
                    // Offered again, it has another position.
                    self.acknowledged.insert(id, acknowledged);
                } else {
                    self.acknowledged.entry(id).or_insert(acknowledged);
                }
            }
        }
    }
}
