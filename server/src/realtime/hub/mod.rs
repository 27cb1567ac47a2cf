//! The sessions of one node: by room, by session, by person.
//!
//! Always true: the three indexes change together under one lock; a room or person without sessions has no entry. Locks are
//! taken in the order index, room, session.

mod presence;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use crate::{
    ids::{RoomId, SessionId, UserId},
    realtime::{
        Changes, ClosingReason, Frame, Happened, Membership, PersonEvent, ProfileChange, Record, RoomEvent, Session,
        SessionEnd, WhichSessions,
        elsewhere::Elsewhere,
        focus::Presence,
        room::{Listener, Room},
    },
    sabotage::Guards,
};

/// How long a missing revision is awaited; commits are ordered by the room's lock, their publications are not.
const GAP_PATIENCE: Duration = Duration::from_millis(50);

/// Profiles whose last told number is remembered; forgetting one costs a repeated frame.
const MOST_PROFILES_TOLD: usize = 10_000;

/// Events of a room that are told together: a quarter of what may wait for a reader, so that readers who run beside it have
/// taken some before the next come.
const TOLD_AT_ONCE: usize = 64;

/// The sessions of one node.
#[derive(Debug)]
pub struct Hub {
    index: Mutex<Index>,
    /// Numbers of the profiles told lately, because the poll finds again what was published here.
    profiles_told: Mutex<HashMap<UserId, i64>>,
    covered: AtomicI64,
    presence: Presence,
    elsewhere: Elsewhere,
    /// Streams that a person may have on all nodes together.
    streams_per_person: usize,
    record: Arc<Record>,
    guards: Guards,
}

#[derive(Debug, Default)]
struct Index {
    rooms: HashMap<RoomId, Arc<Mutex<Room>>>,
    sessions: HashMap<SessionId, Entry>,
    people: HashMap<UserId, Person>,
    draining: bool,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    rooms: HashSet<RoomId>,
}

/// A person's streams, oldest first.
type Person = Vec<Arc<Session>>;

/// A number of things, for a gauge.
fn count(things: usize) -> f64 {
    u32::try_from(things).map_or(f64::MAX, f64::from)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A node without sessions.
    pub fn new(streams_per_person: usize, record: Record, guards: Guards) -> Self {
        let (index, profiles_told, covered) = (Mutex::default(), Mutex::default(), AtomicI64::new(0));
        let (presence, elsewhere) = (Presence::default(), Elsewhere::default());
        Self {
            index,
            profiles_told,
            covered,
            presence,
            elsewhere,
            streams_per_person,
            record: Arc::new(record),
            guards,
        }
    }

    /// What happened to the streams of this node lately.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Registers a stream under its person. An older stream of the same device is replaced, and the oldest ends when the
    /// person has too many. `false` while the node drains.
    pub fn open(&self, session: &Arc<Session>) -> bool {
        let mut index = locked(&self.index);
        if index.draining {
            return false;
        }
        index.sessions.insert(session.id(), Entry { session: Arc::clone(session), rooms: HashSet::new() });
        index.people.entry(session.user_id()).or_default().push(Arc::clone(session));
        metrics::gauge!("madang_streams").set(count(index.sessions.len()));
        drop(index);
        session.note(Happened::Opened);
        self.presence.moved();
        self.replace(session.user_id(), session.opener().device_id, |older| older.id() != session.id());
        self.end_oldest(session.user_id());
        true
    }

    /// Takes a stream out of all indexes; `false` when it is not there any more.
    pub fn close(&self, session: &Session) -> bool {
        session.end();
        let mut index = locked(&self.index);
        let Some(entry) = index.sessions.remove(&session.id()) else { return false };
        for room_id in entry.rooms {
            index.leave(room_id, session.id(), i64::MAX);
        }
        if let Some(person) = index.people.get_mut(&session.user_id()) {
            person.retain(|other| other.id() != session.id());
            if person.is_empty() {
                index.people.remove(&session.user_id());
                self.presence.left(session.user_id());
            }
        }
        metrics::gauge!("madang_streams").set(count(index.sessions.len()));
        drop(index);
        session.note(Happened::Closed);
        true
    }

    /// Lets a session listen to a room. The tail is taken from the database only where there is none: moving one that is
    /// there would drop an event in flight for the others. What was told since the membership was read may have been the
    /// person's removal, so then the room is read before anything more of it is told.
    pub fn listen(&self, session: &Arc<Session>, to: &Membership) {
        let mut index = locked(&self.index);
        let Some(entry) = index.sessions.get_mut(&session.id()) else { return };
        entry.rooms.insert(to.room_id);
        let room = index
            .rooms
            .entry(to.room_id)
            .or_insert_with(|| Arc::new(Mutex::new(Room::new(to.room_id, to.room_rev, to.room_seq))));
        let mut room = locked(room);
        if !self.guards.tail_stays() {
            room.move_tail(to.room_rev);
        }
        if room.tail() > to.room_rev {
            session.soil_room(to.room_id);
        }
        room.add(Listener { session: Arc::clone(session), since_rev: to.rev, history_from_seq: to.history_from_seq });
    }

    /// Lets a session listen to a room from now on: it is read first, with its rights checked, and live after that.
    pub fn listen_later(&self, session: &Arc<Session>, to: &Membership) {
        session.soil_room(to.room_id);
        self.listen(session, to);
        // A reader that was quick has read it before it listened: what was told to the others in between it must read too.
        // And what waits of an earlier stay may be of the time when the person was out.
        session.reread_room(to.room_id);
    }

    /// The room is gone for a session as of a revision; a later stay remains.
    pub fn leave(&self, session: &Session, room_id: RoomId, up_to_rev: i64) {
        if locked(&self.index).leave(room_id, session.id(), up_to_rev) {
            session.forget_room(room_id);
        }
    }

    /// Whether a session listens to a room.
    pub fn is_listening(&self, session: SessionId, room_id: RoomId) -> bool {
        locked(&self.index).sessions.get(&session).is_some_and(|entry| entry.rooms.contains(&room_id))
    }

    /// Whether a session listens to a room for a stay that began at a revision, or a later one.
    pub fn listens_since(&self, session: SessionId, room_id: RoomId, rev: i64) -> bool {
        let room = locked(&self.index).rooms.get(&room_id).cloned();
        room.is_some_and(|room| locked(&room).listener(session).is_some_and(|listener| listener.since_rev >= rev))
    }

    /// Offers what a transaction changed.
    pub fn publish(self: &Arc<Self>, mut changes: Changes) {
        // Keeps the order within a room.
        changes.rooms.sort_by_key(|event| event.room_id);
        for events in changes.rooms.chunk_by(|one, next| one.room_id == next.room_id) {
            for events in events.chunks(TOLD_AT_ONCE) {
                self.publish_room(events);
            }
        }
        for event in changes.people {
            self.publish_person(&event);
        }
        for change in changes.profiles {
            self.publish_profile(&change);
        }
        for end in changes.ended {
            self.end(&end);
        }
    }

    /// Tells a changed profile to those who share a small room with the person, once.
    pub fn publish_profile(&self, change: &ProfileChange) {
        let mut told = locked(&self.profiles_told);
        if told.len() >= MOST_PROFILES_TOLD {
            told.clear();
        }
        if told.insert(change.user_id, change.profile_rev).is_some_and(|known| known >= change.profile_rev) {
            return;
        }
        drop(told);
        for session in self.sessions_of_rooms(&change.rooms, change.user_id) {
            session.offer(Frame::Profiles(change.frame.clone()));
        }
    }

    /// Any profile may have changed.
    pub fn soil_profiles(&self) {
        for session in self.sessions() {
            session.soil_profiles();
        }
    }

    /// Everything of the database before this watermark has been offered to the sessions or is dirty for them.
    pub fn cover(&self, watermark: i64) {
        self.covered.fetch_max(watermark, Ordering::Relaxed);
    }

    /// See [`Hub::cover`].
    pub fn covered(&self) -> i64 {
        self.covered.load(Ordering::Relaxed)
    }

    /// Events of one room.
    fn publish_room(self: &Arc<Self>, events: &[RoomEvent]) {
        let Some(room_id) = events.first().map(|event| event.room_id) else { return };
        let Some(room) = locked(&self.index).rooms.get(&room_id).cloned() else { return };
        let outcome = {
            let mut room = locked(&room);
            let outcome = room.publish(events, self.guards);
            if outcome.early && room.is_overdue() {
                room.give_up(0);
            }
            outcome
        };
        if !outcome.gone.is_empty() {
            self.drop_listeners(room_id, &outcome.gone);
        }
        if outcome.early {
            Self::wait_for_gap(room);
        }
    }

    fn wait_for_gap(room: Arc<Mutex<Room>>) {
        tokio::spawn(async move {
            tokio::time::sleep(GAP_PATIENCE).await;
            locked(&room).give_up(0);
        });
    }

    /// Listeners that a removal took out of the room; unless they have come back, the session forgets the room too.
    fn drop_listeners(&self, room_id: RoomId, gone: &[SessionId]) {
        let mut index = locked(&self.index);
        for session in gone {
            index.settle(room_id, *session);
        }
    }

    fn publish_person(&self, event: &PersonEvent) {
        for session in self.sessions_of(event.user_id) {
            session.offer_person(event);
        }
    }

    /// News without a number, to everybody in a room but one person.
    pub fn tell_room(&self, room_id: RoomId, frame: &Bytes, except: Option<UserId>) {
        let Some(room) = locked(&self.index).rooms.get(&room_id).cloned() else { return };
        for listener in locked(&room).listeners() {
            if Some(listener.session.user_id()) != except {
                listener.session.offer_ephemeral(frame.clone());
            }
        }
    }

    fn end(&self, end: &SessionEnd) {
        for session in self.sessions_of(end.user_id) {
            let meant = match &end.which {
                WhichSessions::All => true,
                WhichSessions::Device(device_id) => session.opener().device_id == *device_id,
                WhichSessions::One(id) => session.id() == *id,
            };
            if meant {
                session.close(end.reason, end.reason.come_back());
            }
        }
    }

    /// The streams of a person on this node, oldest first.
    pub fn sessions_of(&self, user_id: UserId) -> Vec<Arc<Session>> {
        locked(&self.index).people.get(&user_id).cloned().unwrap_or_default()
    }

    /// One stream.
    pub fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        locked(&self.index).sessions.get(&id).map(|entry| Arc::clone(&entry.session))
    }

    /// All streams of this node.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        locked(&self.index).sessions.values().map(|entry| Arc::clone(&entry.session)).collect()
    }

    fn sessions_of_rooms(&self, rooms: &[RoomId], and_of: UserId) -> Vec<Arc<Session>> {
        let entries: Vec<_> = {
            let index = locked(&self.index);
            rooms.iter().filter_map(|room_id| index.rooms.get(room_id).cloned()).collect()
        };
        let mut found: HashMap<SessionId, Arc<Session>> =
            self.sessions_of(and_of).into_iter().map(|session| (session.id(), session)).collect();
        for room in entries {
            let room = locked(&room);
            found.extend(room.listeners().map(|listener| (listener.session.id(), Arc::clone(&listener.session))));
        }
        found.into_values().collect()
    }

    /// Whether a session listens to a room and may see an item of it.
    pub fn may_see(&self, session: SessionId, room_id: RoomId, seq: i64) -> bool {
        let room = locked(&self.index).rooms.get(&room_id).cloned();
        room.is_some_and(|room| locked(&room).listener(session).is_some_and(|one| one.history_from_seq <= seq))
    }

    /// The rooms that are listened to.
    pub fn rooms(&self) -> Vec<RoomId> {
        locked(&self.index).rooms.keys().copied().collect()
    }

    /// Revision up to which the listeners of a room were told.
    pub fn tail(&self, room_id: RoomId) -> Option<i64> {
        let room = locked(&self.index).rooms.get(&room_id).cloned();
        room.map(|room| locked(&room).tail())
    }

    /// Position of the newest item of a room; `None` when it is not known here.
    pub fn newest(&self, room_id: RoomId) -> Option<i64> {
        let room = locked(&self.index).rooms.get(&room_id).cloned();
        room.and_then(|room| locked(&room).newest())
    }

    /// The database has this revision; whatever of it was not published by now is read by the sessions.
    pub fn give_up_to(&self, room_id: RoomId, known_rev: i64) {
        let room = locked(&self.index).rooms.get(&room_id).cloned();
        if let Some(room) = room {
            locked(&room).give_up(known_rev);
        }
    }

    /// Ends all streams, each with its own delay before it comes back; no new ones are let in.
    pub fn drain(&self) {
        locked(&self.index).draining = true;
        self.close_all(ClosingReason::Draining);
    }

    /// Ends all streams and forgets what they were told: the numbers of another history say nothing.
    pub fn forget_all(&self, reason: ClosingReason) {
        self.close_all(reason);
        let mut index = locked(&self.index);
        index.rooms.clear();
        for entry in index.sessions.values_mut() {
            entry.rooms.clear();
        }
        drop(index);
        locked(&self.profiles_told).clear();
        self.covered.store(0, Ordering::Relaxed);
    }

    /// Ends all streams with one reason; each is told its own delay, so that they come back spread over two seconds.
    pub fn close_all(&self, reason: ClosingReason) {
        for session in self.sessions() {
            let delay = rand::random_range(0..2_000);
            session.close(reason, Duration::from_millis(delay));
        }
    }
}

impl Index {
    /// Takes a session out of a room unless its stay began after a revision; an empty room has no entry.
    fn leave(&mut self, room_id: RoomId, session: SessionId, up_to_rev: i64) -> bool {
        let Some(room) = self.rooms.get(&room_id) else { return false };
        let gone = locked(room).remove(session, up_to_rev);
        self.settle(room_id, session);
        gone
    }

    /// Makes the other indexes say what the room says of a session.
    fn settle(&mut self, room_id: RoomId, session: SessionId) {
        let Some(room) = self.rooms.get(&room_id) else { return };
        let room = locked(room);
        let (listens, empty) = (room.listener(session).is_some(), room.is_empty());
        drop(room);
        if !listens && let Some(entry) = self.sessions.get_mut(&session) {
            entry.rooms.remove(&room_id);
        }
        if empty {
            self.rooms.remove(&room_id);
        }
    }
}
