//! What this node remembers of its streams, for whoever asks why something was not told: the last happenings, and how each
//! open stream stands.
//!
//! Always true: a live event that is forwarded leaves no entry, because a ring of them would last for seconds; that it was
//! forwarded follows from the room's tail and the stream's queue.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use crate::{
    clock::Clock,
    ids::{DeviceId, RoomId, SessionId, UserId},
    realtime::ClosingReason,
};

/// Happenings that are remembered: 1 MB, and some hours of a node with a thousand people.
const MOST_ENTRIES: usize = 10_000;

/// Happenings of one answer; more than that nobody reads.
const MOST_ANSWERED: usize = 200;

/// What this node remembers of its streams.
#[derive(Debug)]
pub struct Record {
    clock: Arc<dyn Clock>,
    since: DateTime<Utc>,
    entries: Mutex<VecDeque<Entry>>,
}

/// Something that happened to a stream, or to a room on behalf of a device.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// The stream; `None`: a call of the device.
    pub session_id: Option<SessionId>,
    /// Whose.
    pub user_id: UserId,
    /// On which installation.
    pub device_id: DeviceId,
    /// What happened.
    pub happened: Happened,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The stream was opened.
    Opened,
    /// Its first read was over.
    Live,
    /// Its queue was full: frames of the room were dropped.
    Overflowed(RoomId),
    /// The room must be read: an event was missed, or the room is new to the stream.
    Dirtied(RoomId),
    /// The stream was told how the room stands, by a read: from a revision if it named one, up to another.
    Told(RoomId, i64, i64),
    /// The device asked for the room's changes: from a revision, up to another.
    Fetched(RoomId, i64, i64),
    /// The server began to end the stream.
    Closing(ClosingReason),
    /// The stream was over.
    Closed,
}

impl Happened {
    /// The room that it was about.
    pub fn room_id(self) -> Option<RoomId> {
        match self {
            Self::Overflowed(id) | Self::Dirtied(id) | Self::Told(id, ..) | Self::Fetched(id, ..) => Some(id),
            Self::Opened | Self::Live | Self::Closing(_) | Self::Closed => None,
        }
    }
}

/// How an open stream stands, seen from a room if one is asked about.
#[derive(Debug, Clone)]
pub struct Report {
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// Its first read is over.
    pub live: bool,
    /// The server ends it.
    pub closing: Option<ClosingReason>,
    /// Number of the person's changes that it was told.
    pub user_rev: i64,
    /// Durable frames that wait, and their bytes.
    pub waiting: (usize, usize),
    /// Rooms that will be read for it.
    pub dirty_rooms: usize,
    /// The room is one of them.
    pub room_dirty: bool,
    /// The room is on its screen.
    pub focused: bool,
    /// How long the peer has said nothing.
    pub silent_for: Duration,
    /// How long the reader has taken nothing although something waits.
    pub stuck_for: Duration,
}

impl Record {
    /// Nothing has happened yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { since: clock.now(), clock, entries: Mutex::default() }
    }

    /// Writes down what happens now.
    pub fn note(&self, session_id: Option<SessionId>, user_id: UserId, device_id: DeviceId, happened: Happened) {
        let entry = Entry { at: self.clock.now(), session_id, user_id, device_id, happened };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// What was there before this is forgotten.
    pub fn since(&self) -> DateTime<Utc> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = entries.front().filter(|_| entries.len() >= MOST_ENTRIES);
        oldest.map_or(self.since, |entry| entry.at)
    }

    /// The newest entries that are asked for, oldest first.
    pub fn find(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> =
            entries.iter().rev().filter(|entry| wanted(entry)).take(MOST_ANSWERED).cloned().collect();
        found.reverse();
        found
    }

    /// The time as entries tell it.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::ShiftedClock;

    #[test]
    fn the_oldest_goes_first_and_the_record_says_how_far_back_it_reaches() {
        let clock = Arc::new(ShiftedClock::default());
        let record = Record::new(Arc::clone(&clock) as _);
        let began = record.since();
        let id = |n: usize| SessionId(Uuid::from_u128(n as u128));
        let note = |n| record.note(Some(id(n)), UserId(Uuid::nil()), DeviceId(Uuid::nil()), Happened::Opened);
        (0..MOST_ENTRIES - 1).for_each(note);
        assert_eq!((record.since(), record.find(|_| true).len()), (began, MOST_ANSWERED));
        clock.advance(Duration::from_secs(5));
        (0..2).for_each(|n| note(MOST_ENTRIES + n));
        assert!(record.since() > began && record.find(|entry| entry.session_id == Some(id(0))).is_empty());
        let newest = record.find(|entry| entry.session_id >= Some(id(MOST_ENTRIES)));
        assert_eq!(
            newest.iter().map(|e| e.session_id).collect::<Vec<_>>(),
            [MOST_ENTRIES, MOST_ENTRIES + 1].map(|n| Some(id(n)))
        );
    }
}
