//! Who is on other nodes, as far as they say: each says it when it changes and again before the lease runs out.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::bus::Streams;
use crate::ids::{DeviceId, SessionId, UserId};

/// How long what a node says holds (sync page: 30 s, said again every 10 s).
const LEASE: Duration = Duration::from_secs(30);

/// Streams on other nodes, by person and node.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    people: Mutex<HashMap<UserId, HashMap<String, Lease>>>,
}

#[derive(Debug)]
struct Lease {
    streams: Streams,
    until: Instant,
}

impl Elsewhere {
    fn people(&self) -> MutexGuard<'_, HashMap<UserId, HashMap<String, Lease>>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a node says of a person. `true` when the person came or went by that.
    pub(super) fn take(&self, node: &str, user_id: UserId, streams: Streams) -> bool {
        let mut people = self.people();
        let before = people.contains_key(&user_id);
        if streams.is_empty() {
            if let Some(nodes) = people.get_mut(&user_id) {
                nodes.remove(node);
                if nodes.is_empty() {
                    people.remove(&user_id);
                }
            }
        } else {
            let lease = Lease { streams, until: Instant::now() + LEASE };
            people.entry(user_id).or_default().insert(node.to_owned(), lease);
        }
        before != people.contains_key(&user_id)
    }

    /// A node has stopped. `true` when somebody went by that.
    pub(super) fn forget(&self, node: &str) -> bool {
        let mut people = self.people();
        let before = people.len();
        people.retain(|_, nodes| {
            nodes.remove(node);
            !nodes.is_empty()
        });
        people.len() < before
    }

    /// Whether the person is on another node.
    pub(super) fn has(&self, user_id: UserId) -> bool {
        self.people().contains_key(&user_id)
    }

    /// Forgets what has run out. `true` when somebody went by that.
    pub(super) fn sweep(&self) -> bool {
        let (mut people, now) = (self.people(), Instant::now());
        let before = people.len();
        people.retain(|_, nodes| {
            nodes.retain(|_, lease| lease.until > now);
            !nodes.is_empty()
        });
        people.len() < before
    }

    /// Which of a person's streams here are the oldest of too many, given those elsewhere. Ids of streams grow with time.
    pub(super) fn oldest(&self, user_id: UserId, here: &[(SessionId, DeviceId)], most: usize) -> Vec<SessionId> {
        let people = self.people();
        let elsewhere = people.get(&user_id).into_iter().flat_map(HashMap::values);
        oldest(here, elsewhere.flat_map(|lease| lease.streams.iter().copied()), most)
    }
}

/// What a device has replaced takes no place of the others.
fn oldest(
    here: &[(SessionId, DeviceId)],
    elsewhere: impl Iterator<Item = (SessionId, DeviceId)>,
    most: usize,
) -> Vec<SessionId> {
    let mut newest: HashMap<DeviceId, SessionId> = HashMap::new();
    for (session, device) in here.iter().copied().chain(elsewhere) {
        newest.entry(device).and_modify(|known| *known = session.max(*known)).or_insert(session);
    }
    let mut all: Vec<SessionId> = newest.into_values().collect();
    all.sort_unstable();
    all.truncate(all.len().saturating_sub(most));
    here.iter().map(|(session, _)| *session).filter(|session| all.contains(session)).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn stream(session: u128, device: u128) -> (SessionId, DeviceId) {
        (SessionId(Uuid::from_u128(session)), DeviceId(Uuid::from_u128(device)))
    }

    fn ids(sessions: &[u128]) -> Vec<SessionId> {
        sessions.iter().map(|n| SessionId(Uuid::from_u128(*n))).collect()
    }

    #[test]
    fn every_node_finds_the_same_streams_to_be_too_many() {
        let streams = [stream(1, 1), stream(2, 2), stream(3, 1), stream(4, 3), stream(5, 4)];
        for cut in 0..=streams.len() {
            let (one, other) = streams.split_at(cut);
            let found = [oldest(one, other.iter().copied(), 2), oldest(other, one.iter().copied(), 2)];
            let mut found = found.concat();
            found.sort_unstable();
            assert_eq!(found, ids(&[2, 3]));
        }
    }

    #[test]
    fn somebody_is_elsewhere_until_the_last_node_says_otherwise() {
        let (elsewhere, ann) = (Elsewhere::default(), UserId(Uuid::from_u128(1)));
        assert!(elsewhere.take("a", ann, vec![stream(1, 1)]));
        assert!(!elsewhere.take("b", ann, vec![stream(2, 2)]));
        assert!(!elsewhere.take("a", ann, Vec::new()));
        assert!(elsewhere.has(ann));
        assert!(elsewhere.take("b", ann, Vec::new()));
        assert!(!elsewhere.has(ann));
        assert!(elsewhere.take("a", ann, vec![stream(1, 1)]) && !elsewhere.forget("b") && elsewhere.forget("a"));
        assert!(!elsewhere.has(ann));
    }
}
