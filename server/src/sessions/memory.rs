//! What a node remembers of device sessions for a second, so that a call costs no statement.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Known, Visit};
use crate::ids::{DeviceId, UserId};

/// How old it may be: a revocation on another node holds here this much later.
const FRESH: TimeDelta = TimeDelta::seconds(1);

/// People that are remembered; stale ones go first.
const MOST_PEOPLE: usize = 50_000;

/// Sessions remembered of one person: somebody who shows a new device id in each call fills only this.
const MOST_OF_ONE: usize = 64;

#[derive(Debug)]
struct Entry {
    known: Known,
    at: DateTime<Utc>,
}

type Person = HashMap<(DeviceId, String), Entry>;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    people: Mutex<HashMap<UserId, Person>>,
    /// Counts up with each revocation.
    version: AtomicU64,
}

impl Memory {
    fn people(&self) -> MutexGuard<'_, HashMap<UserId, Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, visit: &Visit, now: DateTime<Utc>) -> Option<Known> {
        let people = self.people();
        let entry = people.get(&visit.user_id)?.get(&(visit.device_id, visit.sid.clone()))?;
        entry.is_fresh(now).then(|| entry.known.clone())
    }

    /// Taken before the database is read.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Remembers what was read, unless something was revoked here meanwhile.
    pub(super) fn put(&self, visit: &Visit, known: Known, now: DateTime<Utc>, version: u64) {
        let mut people = self.people();
        if self.version() != version {
            return;
        }
        if people.len() >= MOST_PEOPLE {
            people.retain(|_, person| person.values().any(|entry| entry.is_fresh(now)));
        }
        if people.len() >= MOST_PEOPLE {
            people.clear();
        }
        let person = people.entry(visit.user_id).or_default();
        if person.len() >= MOST_OF_ONE {
            person.clear();
        }
        person.insert((visit.device_id, visit.sid.clone()), Entry { known, at: now });
    }

    /// Notes that a last call is being written.
    pub(super) fn touched(&self, visit: &Visit, now: DateTime<Utc>) {
        let mut people = self.people();
        let person = people.get_mut(&visit.user_id);
        if let Some(entry) = person.and_then(|person| person.get_mut(&(visit.device_id, visit.sid.clone()))) {
            entry.known.last_seen_at = Some(now);
        }
    }

    pub(super) fn forget(&self, user_id: UserId) {
        let mut people = self.people();
        self.version.fetch_add(1, Ordering::AcqRel);
        people.remove(&user_id);
    }
}

impl Entry {
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        (TimeDelta::zero()..FRESH).contains(&(now - self.at))
    }
}
