//! What the issuer remembers: people, sessions, and sign-ins that are under way.
//!
//! Always true: every list has a bound, and the oldest entry goes when it is reached.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::person::Person;

/// Entries of each list. Ten times the connections of the largest bench.
const ENTRIES: usize = 10_000;

/// A map that holds at most [`ENTRIES`]; the oldest goes first.
pub(super) struct Bounded<T> {
    items: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self { items: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Bounded<T> {
    /// Adds an entry. The key must be new, as all random ones are.
    pub(super) fn insert(&mut self, key: String, item: T) {
        self.order.push_back(key.clone());
        self.items.insert(key, item);
        while self.items.len() > ENTRIES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.items.remove(&oldest);
        }
        if self.order.len() > 2 * ENTRIES {
            self.order.retain(|key| self.items.contains_key(key));
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&T> {
        self.items.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.items.get_mut(key)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<T> {
        self.items.remove(key)
    }

    /// The entries, oldest first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&String, &T)> {
        self.order.iter().filter_map(|key| self.items.get_key_value(key))
    }

    pub(super) fn find_mut(&mut self, wanted: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.items.values_mut().find(|item| wanted(item))
    }
}

/// Somebody signed in on one device. Times are seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) sid: String,
    pub(super) login: String,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    /// The only refresh token that is good: the last one given out.
    pub(super) refresh_jti: String,
    pub(super) began: i64,
    pub(super) used: i64,
}

/// What a sign-in in the browser asked for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) redirect_uri: String,
    /// Between the address and the answer: `?`, or `#` for `response_mode=fragment`.
    pub(super) separator: char,
    pub(super) state: Option<String>,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
}

/// A login page that was shown.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) request: Request,
    pub(super) began: i64,
    pub(super) failures: u32,
}

/// A code waiting to be exchanged.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) request: Request,
    pub(super) login: String,
    pub(super) began: i64,
}

/// Whether somebody has answered a device's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Waiting,
    Denied,
    Granted { login: String },
}

/// A device waiting for somebody to sign in elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) user_code: String,
    pub(super) scope: String,
    pub(super) challenge: String,
    pub(super) began: i64,
    pub(super) interval: i64,
    /// When it last asked.
    pub(super) asked: Option<i64>,
    pub(super) answer: Answer,
}

/// Everything the issuer remembers.
#[derive(Default)]
pub(super) struct Store {
    pub(super) people: BTreeMap<String, Person>,
    pub(super) sessions: Bounded<Session>,
    pub(super) attempts: Bounded<Attempt>,
    pub(super) codes: Bounded<Code>,
    pub(super) devices: Bounded<Device>,
}

impl Store {
    /// The person, if the password is right.
    pub(super) fn check(&self, login: &str, password: &str) -> Option<&Person> {
        self.people.get(login).filter(|person| person.password == password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_goes_when_the_bound_is_reached() {
        let mut list = Bounded::default();
        for n in 0..=ENTRIES {
            list.insert(n.to_string(), n);
        }
        assert_eq!((list.get("0"), list.get("1"), list.items.len()), (None, Some(&1), ENTRIES));
    }

    #[test]
    fn entries_that_come_and_go_take_no_room() {
        let mut list = Bounded::default();
        for n in 0..5 * ENTRIES {
            list.insert(n.to_string(), n);
            list.remove(&n.to_string());
        }
        assert!(list.order.len() <= 2 * ENTRIES);
    }
}
