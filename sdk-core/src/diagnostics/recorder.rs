//! Remembers what happens to a client: counters, and the last events.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use madang_proto::v1::{ErrorReason, ServerFrame, server_frame::Frame};
use serde_json::{Value, json};

use super::{
    Counters,
    counters::{Counting, one, set_ms, some},
    event::Event,
};
use crate::{
    clock::{Clock, millis},
    engine::ConnectionState,
    error::LocalReason,
    observe::lock,
};

/// Events that are kept; the last minutes of a busy client, the last day of a quiet one.
pub(super) const EVENTS: usize = 1_000;
/// Entries of the outbox whose attempts are counted; as many as leave at once, and then some.
const ATTEMPTS: usize = 256;

/// What happens to a client.
#[derive(Debug)]
pub(crate) struct Recorder {
    clock: Arc<dyn Clock>,
    counting: Counting,
    /// Oldest first, with their times in ms since 1970.
    events: Mutex<VecDeque<(i64, Event)>>,
    /// Attempts of the entries of the outbox that were tried, by the client's id.
    attempts: Mutex<BTreeMap<String, u32>>,
}

impl Recorder {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, counting: Counting::default(), events: Mutex::default(), attempts: Mutex::default() }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counting.read()
    }

    /// The last events, oldest first.
    pub(super) fn events(&self) -> Vec<Value> {
        let events = lock(&self.events);
        events.iter().map(|(at_ms, event)| json!({ "at_ms": at_ms, "event": event.to_json() })).collect()
    }

    /// How often an entry was tried by this process.
    pub(super) fn attempts(&self, change_id: &str) -> u32 {
        lock(&self.attempts).get(change_id).copied().unwrap_or_default()
    }

    fn note(&self, event: Event) {
        let now = millis(self.clock.now());
        let mut events = lock(&self.events);
        if events.len() == EVENTS {
            events.pop_front();
        }
        events.push_back((now, event));
    }

    pub(crate) fn state(&self, state: &ConnectionState) {
        self.note(Event::of_state(state));
    }

    pub(crate) fn connected(&self) {
        one(&self.counting.connections);
        self.note(Event::Connected);
    }

    pub(crate) fn not_connected(&self, reason: LocalReason) {
        one(&self.counting.failed_connections);
        self.note(Event::NotConnected(reason));
    }

    pub(crate) fn received(&self, bytes: usize) {
        some(&self.counting.bytes_received, bytes);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        some(&self.counting.bytes_sent, bytes);
    }

    pub(crate) fn ping(&self) {
        one(&self.counting.pings);
    }

    pub(crate) fn pong(&self, took: Duration) {
        set_ms(&self.counting.ping_ms, took);
        self.note(Event::Pong(took));
    }

    /// A call begins; its path names the method.
    pub(crate) fn begin_call(self: &Arc<Self>, path: &str, now: SystemTime) -> Call {
        one(&self.counting.calls);
        Call { record: Arc::clone(self), method: path.trim_start_matches('/').to_owned(), began_at: now }
    }

    /// A frame came.
    pub(crate) fn frame(&self, frame: &ServerFrame) {
        one(&self.counting.frames);
        match &frame.frame {
            Some(Frame::Welcome(_)) if self.counting.streams.fetch_add(1, Relaxed) > 0 => {
                one(&self.counting.reconnects);
            }
            Some(Frame::RoomDelta(delta)) if delta.reset => one(&self.counting.resets),
            _ => {}
        }
        self.note(Event::of_frame(frame));
    }

    /// A question goes out that closes a hole; a room's answer may be to begin anew.
    pub(crate) fn repair(&self) {
        one(&self.counting.repairs);
    }

    /// A task panicked.
    pub(crate) fn panicked(&self) {
        one(&self.counting.panics);
    }

    pub(crate) fn reset(&self) {
        one(&self.counting.resets);
    }

    /// An entry of the outbox is said.
    pub(crate) fn send(&self, change_id: &str) {
        one(&self.counting.sends);
        let mut attempts = lock(&self.attempts);
        if attempts.len() >= ATTEMPTS && !attempts.contains_key(change_id) {
            // The oldest: ids grow with time.
            attempts.pop_first();
        }
        let attempt = attempts.entry(change_id.to_owned()).or_default();
        *attempt += 1;
        let attempt = *attempt;
        drop(attempts);
        if attempt > 1 {
            one(&self.counting.retries);
        }
        self.note(Event::Send { change_id: change_id.to_owned(), attempt });
    }

    /// An entry was refused for good.
    pub(crate) fn refused(&self, change_id: &str, reason: ErrorReason) {
        one(&self.counting.refusals);
        self.note(Event::Refused { change_id: change_id.to_owned(), reason });
    }
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Call {
    record: Arc<Recorder>,
    method: String,
    began_at: SystemTime,
}

impl Call {
    /// The call has ended; with a status of gRPC, or `None`: without an answer.
    pub(crate) fn end(self, status: Option<i32>, now: SystemTime) {
        if status != Some(0) {
            one(&self.record.counting.failed_calls);
        }
        let took = now.duration_since(self.began_at).unwrap_or_default();
        self.record.note(Event::Call { method: self.method, status, took });
    }
}
