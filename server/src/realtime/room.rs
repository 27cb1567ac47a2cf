//! One room as a node sees it: which sessions listen, up to which revision they were told, and what came too early.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    ids::{RoomId, SessionId},
    realtime::{Frame, RoomEvent, Session},
    sabotage::Guards,
};

/// Events that wait for a missing one; more means that the missing one is lost.
const MOST_AHEAD: usize = 256;

/// A session that listens to a room.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The session.
    pub session: Arc<Session>,
    /// Revision at which the stay began: what is at or below it belongs to an earlier one, or to the time between.
    pub since_rev: i64,
    /// First item that the person may see.
    pub history_from_seq: i64,
}

/// What came of events.
#[derive(Debug)]
pub struct Outcome {
    /// Sessions that were removed from the room.
    pub gone: Vec<SessionId>,
    /// A revision before one of them is missing.
    pub early: bool,
}

/// One room on one node.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    tail: i64,
    /// Position of the newest item, as far as this node knows it.
    newest: Option<i64>,
    ahead: BTreeMap<i64, RoomEvent>,
    listeners: HashMap<SessionId, Listener>,
}

impl Room {
    /// A room of which nothing has been told yet, up to a revision that was read from the database.
    pub fn new(id: RoomId, tail: i64, newest: i64) -> Self {
        Self { id, tail, newest: Some(newest), ahead: BTreeMap::new(), listeners: HashMap::new() }
    }

    /// Revision up to which the sessions were told.
    pub fn tail(&self) -> i64 {
        self.tail
    }

    /// What a registration must not do; only for a server without that guard.
    pub fn move_tail(&mut self, tail: i64) {
        self.tail = self.tail.max(tail);
    }

    /// Position of the newest item; `None` when events were lost since it was last known.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// The sessions that listen.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.values()
    }

    /// The listener of a session.
    pub fn listener(&self, session: SessionId) -> Option<&Listener> {
        self.listeners.get(&session)
    }

    /// Adds a listener; an earlier stay of the same session is replaced, a later one stays.
    pub fn add(&mut self, listener: Listener) {
        let known = self.listeners.get(&listener.session.id()).map(|known| known.since_rev);
        if known.is_none_or(|since| since <= listener.since_rev) {
            self.listeners.insert(listener.session.id(), listener);
        }
    }

    /// Takes a listener out, unless it has come back since.
    pub fn remove(&mut self, session: SessionId, up_to_rev: i64) -> bool {
        let gone = self.listeners.get(&session).is_some_and(|listener| listener.since_rev < up_to_rev);
        gone && self.listeners.remove(&session).is_some()
    }

    /// Forwards events in their turn, and what waited for them. A reader is woken once for all that come together.
    pub fn publish(&mut self, events: &[RoomEvent], guards: Guards) -> Outcome {
        if !guards.hub_order() {
            return Outcome { gone: self.forward(events, guards), early: false };
        }
        let (mut tail, mut due, mut early) = (self.tail, Vec::with_capacity(events.len()), false);
        for event in events {
            if event.prev_rev > tail {
                self.ahead.insert(event.prev_rev, event.clone());
                early = true;
                continue;
            }
            if event.rev > tail {
                tail = event.rev;
                due.push(event.clone());
            }
            while let Some(event) = self.take_next(tail) {
                if event.rev > tail {
                    tail = event.rev;
                    due.push(event);
                }
            }
        }
        let gone = if due.is_empty() { Vec::new() } else { self.forward(&due, guards) };
        Outcome { gone, early }
    }

    fn take_next(&mut self, tail: i64) -> Option<RoomEvent> {
        let first = *self.ahead.first_key_value()?.0;
        if first <= tail { self.ahead.pop_first().map(|(_, event)| event) } else { None }
    }

    /// Those who are removed by one of the events hear nothing that is behind it.
    fn forward(&mut self, events: &[RoomEvent], guards: Guards) -> Vec<SessionId> {
        for event in events {
            self.tail = self.tail.max(event.rev);
            self.newest = self.newest.max(event.item_seq);
        }
        let (mut gone, removals) = (Vec::new(), guards.removal_order() && events.iter().any(|e| e.removes.is_some()));
        for listener in self.listeners.values() {
            let removes =
                |event: &RoomEvent| event.rev > listener.since_rev && event.removes == Some(listener.session.user_id());
            let last = if removals { events.iter().position(removes) } else { None };
            let heard = last.map_or(events, |last| &events[..=last]);
            listener.session.offer_all(heard.iter().filter_map(|event| self.told(listener, event, guards)));
            if last.is_some() {
                gone.push(listener.session.id());
            }
        }
        for session in &gone {
            self.listeners.remove(session);
        }
        gone
    }

    /// What comes late and is older than a stay may be of the time when the person was out; whatever of it they may see was
    /// read when the stay began.
    fn told(&self, listener: &Listener, event: &RoomEvent, guards: Guards) -> Option<Frame> {
        if event.rev <= listener.since_rev {
            return None;
        }
        let hidden = event.item_seq.is_some_and(|seq| seq < listener.history_from_seq) && guards.history();
        let frame = if hidden { event.span.clone() } else { event.frame.clone() };
        Some(Frame::Room(self.id, frame))
    }

    /// Whether so much waits that the missing revision must be taken for lost.
    pub fn is_overdue(&self) -> bool {
        self.ahead.len() >= MOST_AHEAD
    }

    /// The revisions up to this one exist, and whatever of them has not come by now is lost: nothing is forwarded, and the
    /// room is read by each of its sessions, with its rights checked. The missing event may be somebody's removal.
    pub fn give_up(&mut self, known_rev: i64) {
        let reached = self.ahead.values().map(|event| event.rev).max().unwrap_or(0).max(known_rev);
        if reached <= self.tail {
            return;
        }
        metrics::counter!("madang_hub_gaps_total").increment(1);
        self.ahead.clear();
        self.tail = reached;
        self.newest = None;
        self.soil();
    }

    /// Every session must read the room.
    pub fn soil(&self) {
        for listener in self.listeners.values() {
            listener.session.soil_room(self.id);
        }
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }
}
