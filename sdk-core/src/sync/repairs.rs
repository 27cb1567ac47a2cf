//! Which holes are being closed. One question a room at a time; what arrives for a room meanwhile waits for the answer,
//! which may hold it already or let it join.

use std::collections::{BTreeSet, HashMap};

use madang_proto::v1::RoomEvent;

/// Events of a room that wait for an answer; beyond that the room is asked for again instead. A burst of a busy room
/// during one round trip.
const HELD_EVENTS: usize = 256;

/// Which repairs are on their way. Lives on the store's thread beside the rows and is forgotten with the process: a
/// stream that begins tells what matters again.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    /// Rooms with a question on its way.
    pub(crate) rooms: HashMap<String, Flight>,
    /// Rooms whose question got no answer before the stream ended.
    pub(crate) unanswered: BTreeSet<String>,
    /// Everything up to here has been told by this stream, or is to be told by an answer.
    pub(crate) watermark: i64,
    /// Something that this stream has told is not held, and no answer will bring it: the next stream is to tell it again.
    pub(crate) lost: bool,
    /// A question for the person's changes is on its way.
    pub(crate) user: bool,
    /// A higher number was heard of since that question.
    pub(crate) user_again: bool,
    /// The person's number as far as heard of.
    pub(crate) user_rev: i64,
}

/// A question for a room that is on its way.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    /// Events that wait for the answer.
    pub(crate) held: Vec<RoomEvent>,
    /// The answer will not be enough: more events came than are held, or it was asked for too early.
    pub(crate) short: bool,
    /// Somebody asked meanwhile.
    pub(crate) again: bool,
}

impl Flight {
    /// Nothing was heard of the room since the question.
    pub(crate) fn is_quiet(&self) -> bool {
        self.held.is_empty() && !self.short && !self.again
    }
}

impl Repairs {
    /// Keeps an event while its room is being repaired; gives it back otherwise.
    pub(crate) fn hold(&mut self, event: RoomEvent) -> Option<RoomEvent> {
        let Some(flight) = self.rooms.get_mut(&event.room_id) else { return Some(event) };
        if flight.held.len() < HELD_EVENTS {
            flight.held.push(event);
        } else {
            flight.short = true;
        }
        None
    }

    /// A stream begins: questions of the one before get no answer any more.
    pub(crate) fn begin(&mut self) {
        self.unanswered.extend(self.rooms.drain().map(|(room_id, _)| room_id));
        self.watermark = 0;
        self.lost = false;
        self.user = false;
        self.user_again = false;
        self.user_rev = 0;
    }

    /// Everything held is worthless: another epoch.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}
