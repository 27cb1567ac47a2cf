//! What waits for one reader: a bounded queue, and behind it only the knowledge of what was dropped.
//!
//! Always true: what a full queue drops is dirt, which is read from the database when the reader has drained the queue; a
//! watermark leaves only behind everything that it covers.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    ids::RoomId,
    realtime::{Membership, wire},
    sabotage::Guards,
    sessions,
};

/// Most frames that wait for a reader (contract: outgoing queue).
const MOST_FRAMES: usize = 256;
/// Most bytes that wait; 64 KiB of the reader's 1 MiB are held by h2.
const MOST_BYTES: usize = 960 * 1024;
/// Places for frames that are kept when nothing waits; a burst would otherwise be paid for as long as the stream lives.
const KEPT_FRAMES: usize = 8;
/// Ephemeral frames that wait; the oldest goes first, a newer one says more.
const MOST_EPHEMERAL: usize = 32;
/// Dirty rooms that are read in one go.
const ROOMS_AT_ONCE: usize = 100;

/// A durable frame that waits.
#[derive(Debug, Clone)]
pub enum Frame {
    /// An event of a room.
    Room(RoomId, Bytes),
    /// An event of the person, with the membership that it tells; boxed because such are few, and all places are as large.
    Person(Bytes, Option<Box<Membership>>),
    /// Changed profiles.
    Profiles(Bytes),
    /// Everything before this watermark is in front of it; the first is told as Drained, later ones by heartbeats.
    Watermark(i64),
}

/// What a drained reader is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Summaries of these rooms.
    Rooms(Vec<RoomId>),
    /// The person's number; the memberships are read again, because a joining may have been dropped.
    Person,
    /// "Any profile may have changed".
    Profiles,
}

/// Why a stream ends; the contract's enum without its zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "sync.proto explains them")]
pub enum ClosingReason {
    SlowConsumer,
    Revoked,
    TokenExpired,
    Draining,
    Replaced,
    TooManyStreams,
    EpochChanged,
    InvalidFrame,
    HelloTimeout,
    MaxAge,
}

impl ClosingReason {
    /// When whoever is told may come back, after somebody else has ended the stream: a token that must be renewed is renewed once
    /// the issuer has settled what it ended.
    pub fn come_back(self) -> Duration {
        if self == Self::TokenExpired { sessions::ISSUER_SETTLES } else { Duration::ZERO }
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// An encoded frame.
    Frame(Frame),
    /// News without a number.
    Ephemeral(Bytes),
    /// Something to read first.
    Work(Work),
    /// Nothing for now.
    Empty,
}

/// What waits for one reader.
#[derive(Debug)]
pub struct Queue {
    most_frames: usize,
    frames: VecDeque<Frame>,
    bytes: usize,
    ephemeral: VecDeque<Bytes>,
    dirty_rooms: BTreeSet<RoomId>,
    dirty_person: bool,
    dirty_profiles: bool,
    /// Told once nothing is dirty.
    watermark: Option<i64>,
}

impl Default for Queue {
    fn default() -> Self {
        Self::bounded(MOST_FRAMES)
    }
}

impl Queue {
    /// A queue in which at most so many frames wait.
    pub fn bounded(most_frames: usize) -> Self {
        Self {
            most_frames,
            frames: VecDeque::new(),
            bytes: 0,
            ephemeral: VecDeque::new(),
            dirty_rooms: BTreeSet::new(),
            dirty_person: false,
            dirty_profiles: false,
            watermark: None,
        }
    }

    /// Offers a durable frame; of a dirty room nothing is kept, because the read will cover it. Answers with the rooms that
    /// became dirty because there was no place.
    pub fn offer(&mut self, frame: Frame, guards: Guards) -> Vec<RoomId> {
        let covered = match &frame {
            Frame::Room(room_id, _) => self.dirty_rooms.contains(room_id),
            Frame::Person(..) => self.dirty_person,
            Frame::Profiles(_) => self.dirty_profiles,
            Frame::Watermark(_) => false,
        };
        if covered {
            return Vec::new();
        }
        let size = frame.size();
        if self.frames.len() >= self.most_frames || self.bytes + size > MOST_BYTES {
            return self.overflow(frame, guards);
        }
        self.bytes += size;
        self.frames.push_back(frame);
        Vec::new()
    }

    /// Drops what waits and remembers what it was about.
    fn overflow(&mut self, last: Frame, guards: Guards) -> Vec<RoomId> {
        metrics::counter!("madang_stream_overflows_total").increment(1);
        self.bytes = 0;
        let mut soiled = Vec::new();
        for frame in std::mem::take(&mut self.frames).into_iter().chain([last]) {
            match frame {
                Frame::Watermark(told) if guards.drained_last() => self.watermark = self.watermark.max(Some(told)),
                Frame::Watermark(told) => self.frames.push_back(Frame::Watermark(told)),
                _ if !guards.dirty() => {}
                Frame::Room(room_id, _) if self.dirty_rooms.insert(room_id) => soiled.push(room_id),
                Frame::Room(..) => {}
                Frame::Person(..) => self.dirty_person = true,
                Frame::Profiles(_) => self.dirty_profiles = true,
            }
        }
        soiled
    }

    /// Offers news without a number.
    pub fn offer_ephemeral(&mut self, frame: Bytes) {
        if self.ephemeral.len() >= MOST_EPHEMERAL {
            self.ephemeral.pop_front();
        }
        self.ephemeral.push_back(frame);
    }

    /// News that can be offered without dropping others.
    pub fn free_ephemeral(&self) -> usize {
        MOST_EPHEMERAL - self.ephemeral.len()
    }

    /// The room must be read before anything more of it is told. `false` when that is known.
    pub fn soil_room(&mut self, room_id: RoomId) -> bool {
        self.dirty_rooms.insert(room_id)
    }

    /// Another stay in the room has begun: nothing of the one before may leave, and the room is read. `false` when it was to
    /// be read already.
    pub fn reread_room(&mut self, room_id: RoomId) -> bool {
        self.drop_frames(room_id);
        self.soil_room(room_id)
    }

    fn drop_frames(&mut self, room_id: RoomId) {
        self.frames.retain(|frame| !matches!(frame, Frame::Room(id, _) if *id == room_id));
        self.bytes = self.frames.iter().map(Frame::size).sum();
    }

    /// The reader must ask for what belongs to it.
    pub fn soil_person(&mut self) {
        self.dirty_person = true;
    }

    /// Any profile may have changed.
    pub fn soil_profiles(&mut self) {
        self.dirty_profiles = true;
    }

    /// Everything before this watermark has been offered or is dirty.
    pub fn cover(&mut self, watermark: i64, guards: Guards) {
        if guards.drained_last() {
            self.watermark = self.watermark.max(Some(watermark));
        } else {
            self.frames.push_back(Frame::Watermark(watermark));
        }
    }

    /// The room is gone for the reader: nothing that waits of it may leave.
    pub fn forget_room(&mut self, room_id: RoomId) {
        self.drop_frames(room_id);
        self.dirty_rooms.remove(&room_id);
    }

    /// News without a number, which does not wait for reads.
    pub fn take_ephemeral(&mut self) -> Option<Bytes> {
        self.ephemeral.pop_front()
    }

    /// What comes next: durable frames, then dirt, then the watermark behind both, then news.
    pub fn take(&mut self) -> Next {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.size();
            if self.frames.is_empty() && self.frames.capacity() > KEPT_FRAMES {
                self.frames = VecDeque::new();
            }
            return Next::Frame(frame);
        }
        if std::mem::take(&mut self.dirty_person) {
            return Next::Work(Work::Person);
        }
        if !self.dirty_rooms.is_empty() {
            let mut rooms = std::mem::take(&mut self.dirty_rooms).into_iter();
            let now = rooms.by_ref().take(ROOMS_AT_ONCE).collect();
            self.dirty_rooms = rooms.collect();
            return Next::Work(Work::Rooms(now));
        }
        if std::mem::take(&mut self.dirty_profiles) {
            return Next::Work(Work::Profiles);
        }
        if let Some(watermark) = self.watermark.take() {
            return Next::Frame(Frame::Watermark(watermark));
        }
        self.ephemeral.pop_front().map_or(Next::Empty, Next::Ephemeral)
    }

    /// Frames that wait, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        (self.frames.len(), self.bytes)
    }

    /// Rooms that are to be read.
    pub fn dirty_rooms(&self) -> &BTreeSet<RoomId> {
        &self.dirty_rooms
    }

    /// Whether the reader is owed anything.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
            && self.dirty_rooms.is_empty()
            && self.watermark.is_none()
            && !self.dirty_person
            && !self.dirty_profiles
    }
}

impl Frame {
    fn size(&self) -> usize {
        match self {
            Self::Room(_, bytes) | Self::Person(bytes, _) | Self::Profiles(bytes) => bytes.len(),
            Self::Watermark(_) => 0,
        }
    }

    /// The frame as it is told.
    pub fn encoded(self) -> Bytes {
        match self {
            Self::Room(_, bytes) | Self::Person(bytes, _) | Self::Profiles(bytes) => bytes,
            Self::Watermark(watermark) => wire::drained(watermark),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn room(n: u128) -> RoomId {
        RoomId(Uuid::from_u128(n))
    }

    fn event(n: u128) -> Frame {
        Frame::Room(room(n), Bytes::from_static(b"event"))
    }

    fn drain(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| match queue.take() {
            Next::Frame(Frame::Watermark(w)) => Some(format!("watermark {w}")),
            Next::Frame(Frame::Room(..)) => Some("event".into()),
            Next::Frame(_) => Some("frame".into()),
            Next::Work(Work::Rooms(rooms)) => Some(format!("{} rooms", rooms.len())),
            Next::Work(work) => Some(format!("{work:?}")),
            Next::Ephemeral(_) => Some("news".into()),
            Next::Empty => None,
        })
        .collect()
    }

    #[test]
    fn a_full_queue_keeps_only_which_rooms_are_dirty_and_the_watermark_stays_behind_them() {
        let mut queue = Queue::default();
        queue.cover(7, Guards::default());
        for n in 0..=MOST_FRAMES {
            queue.offer(event(n as u128 % 3), Guards::default());
        }
        assert_eq!(drain(&mut queue), ["3 rooms", "watermark 7"]);
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let mut queue = Queue::default();
        (0..100).for_each(|n| _ = queue.offer(event(n), Guards::default()));
        assert_eq!(drain(&mut queue).len(), 100);
        assert!(queue.frames.capacity() <= KEPT_FRAMES);
    }

    #[test]
    fn a_watermark_on_its_way_is_taken_back_when_something_before_it_is_dropped() {
        let mut queue = Queue::default();
        queue.offer(event(1), Guards::default());
        queue.offer(Frame::Watermark(9), Guards::default());
        for _ in 0..MOST_FRAMES {
            queue.offer(event(2), Guards::default());
        }
        assert_eq!(drain(&mut queue), ["2 rooms", "watermark 9"]);
    }

    #[test]
    fn nothing_of_a_dirty_room_waits_and_news_come_last() {
        let mut queue = Queue::default();
        queue.offer_ephemeral(Bytes::from_static(b"typing"));
        queue.soil_room(room(1));
        queue.offer(event(1), Guards::default());
        queue.offer(event(2), Guards::default());
        assert_eq!(drain(&mut queue), ["event", "1 rooms", "news"]);
    }

    #[test]
    fn a_room_that_is_gone_leaves_nothing_behind() {
        let mut queue = Queue::default();
        queue.offer(event(1), Guards::default());
        queue.offer(event(2), Guards::default());
        queue.forget_room(room(1));
        assert_eq!(drain(&mut queue), ["event"]);
        assert!(queue.is_empty());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn bytes_bound_the_queue_as_well_as_frames() {
        let mut queue = Queue::default();
        let big = Bytes::from(vec![0; MOST_BYTES / 2 + 1]);
        queue.offer(Frame::Room(room(1), big.clone()), Guards::default());
        queue.offer(Frame::Room(room(2), big), Guards::default());
        assert_eq!(drain(&mut queue), ["2 rooms"]);
    }
}
