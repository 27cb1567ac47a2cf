//! What is on the screen of a stream, and what it was told of that: who is here, and how many have read.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    ids::{RoomId, UserId},
    realtime::wire,
};

/// How long somebody whose last stream has ended is still shown: a stream that breaks is opened again within that.
const LINGERS: Duration = Duration::from_secs(5);

/// What is on a screen. Everything in it is bounded by the contract.
#[derive(Debug, Default)]
pub struct Focus {
    /// Open rooms.
    pub rooms: Vec<RoomId>,
    reads: Watched<(RoomId, i64), ReadCount>,
    people: Watched<UserId, bool>,
}

/// How many have read an item, and how many could; both without its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadCount {
    /// Readers.
    pub read: i32,
    /// People in the room who may see the item.
    pub members: i32,
}

/// What a node knows now of what is on screens.
#[derive(Debug, Default)]
pub struct Known {
    /// Readers of items.
    pub reads: HashMap<(RoomId, i64), ReadCount>,
    /// Who is here.
    pub people: HashMap<UserId, bool>,
}

/// Things, and what was last told of each.
#[derive(Debug)]
struct Watched<K, V>(Vec<(K, Option<V>)>);

impl<K, V> Default for Watched<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + Eq + Hash, V: Copy + PartialEq> Watched<K, V> {
    fn new(keys: Vec<K>) -> Self {
        Self(keys.into_iter().map(|key| (key, None)).collect())
    }

    fn keys(&self) -> impl Iterator<Item = K> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// Takes other things; what was told of those that stay is remembered.
    fn replace(&mut self, mut with: Self) {
        for (key, told) in &mut with.0 {
            *told = self.0.iter().find(|(known, _)| known == key).and_then(|(_, told)| *told);
        }
        *self = with;
    }

    /// What is to be told, as long as there is room. `false`: not all of it had room.
    fn news(&mut self, known: &HashMap<K, V>, free: &mut usize, mut tell: impl FnMut(K, V)) -> bool {
        for (key, told) in &mut self.0 {
            let Some(now) = known.get(key).filter(|now| told.as_ref() != Some(now)) else { continue };
            if *free == 0 {
                return false;
            }
            *free -= 1;
            *told = Some(*now);
            tell(*key, *now);
        }
        true
    }
}

impl Focus {
    /// Rooms, items whose readers are counted, and people.
    pub fn new(rooms: Vec<RoomId>, reads: Vec<(RoomId, i64)>, people: Vec<UserId>) -> Self {
        Self { rooms, reads: Watched::new(reads), people: Watched::new(people) }
    }

    /// Items whose readers are counted.
    pub fn reads(&self) -> Vec<(RoomId, i64)> {
        self.reads.keys().collect()
    }

    /// People whose presence is shown.
    pub fn people(&self) -> Vec<UserId> {
        self.people.keys().collect()
    }

    pub(super) fn replace(&mut self, with: Self) {
        self.rooms = with.rooms;
        self.reads.replace(with.reads);
        self.people.replace(with.people);
    }

    pub(super) fn news(&mut self, known: &Known, mut free: usize) -> (Vec<Bytes>, bool) {
        let mut frames = Vec::new();
        let reads = self.reads.news(&known.reads, &mut free, |(room_id, seq), count| {
            frames.push(wire::read_count(room_id, seq, count));
        });
        let people = self.people.news(&known.people, &mut free, |user_id, here| {
            frames.push(wire::presence(user_id, here));
        });
        (frames, reads && people)
    }
}

/// Who has just gone, and whether anything about presence has to be looked at again.
#[derive(Debug, Default)]
pub(super) struct Presence {
    left: Mutex<HashMap<UserId, Instant>>,
    moved: AtomicBool,
}

impl Presence {
    /// Somebody came, or somebody else is looked at.
    pub(super) fn moved(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// The last stream of a person has ended.
    pub(super) fn left(&self, user_id: UserId) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(user_id, Instant::now());
    }

    /// Whether a person has gone so lately that they may be back at once.
    pub(super) fn lingers(&self, user_id: UserId) -> bool {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&user_id)
    }

    /// Whether anything has changed since this was asked last.
    pub(super) fn take_moved(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let before = left.len();
        left.retain(|_, since| since.elapsed() < LINGERS);
        self.moved.swap(false, Ordering::Relaxed) || left.len() < before
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn person(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn here(people: &[(u128, bool)]) -> Known {
        Known { people: people.iter().map(|(n, here)| (person(*n), *here)).collect(), ..Known::default() }
    }

    #[test]
    fn what_was_told_is_told_again_only_when_it_changes() {
        let mut focus = Focus::new(Vec::new(), Vec::new(), vec![person(1), person(2)]);
        let mut told = |known: &Known| focus.news(known, 32).0.len();
        assert_eq!(told(&here(&[(1, true), (2, false), (3, true)])), 2);
        assert_eq!(told(&here(&[(1, true), (2, false)])), 0);
        assert_eq!(told(&here(&[(1, true), (2, true)])), 1);
        focus.replace(Focus::new(Vec::new(), Vec::new(), vec![person(2), person(3)]));
        assert_eq!(focus.news(&here(&[(2, true), (3, true)]), 32).0.len(), 1);
    }

    #[test]
    fn what_has_no_room_is_told_later() {
        let mut focus = Focus::new(Vec::new(), Vec::new(), (0..40).map(person).collect());
        let known = here(&(0..40).map(|n| (n, true)).collect::<Vec<_>>());
        let (first, all) = focus.news(&known, 32);
        assert_eq!((first.len(), all), (32, false));
        let (rest, all) = focus.news(&known, 32);
        assert_eq!((rest.len(), all), (8, true));
    }
}
