//! Who wants to hear of changes. Listeners pull: each has a small set of what has changed since it last looked, so that
//! a slow one costs nothing and is told (`everything`) when it fell too far behind.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{Notify, watch};

/// A change of an observed list.
#[derive(Debug, Clone, PartialEq)]
pub enum ListChange<T> {
    /// A new item, now at this place.
    Inserted {
        /// Place in the list.
        index: usize,
        /// The item.
        item: T,
    },
    /// An item is another now, at this place; it did not move.
    Changed {
        /// Place in the list.
        index: usize,
        /// The item.
        item: T,
    },
    /// An item has another place, and may be another in itself.
    Moved {
        /// Place in the list before.
        from: usize,
        /// Place in the list now.
        to: usize,
        /// The item.
        item: T,
    },
    /// The item at this place is gone.
    Removed {
        /// Place in the list before.
        index: usize,
        /// The item as it was.
        item: T,
    },
    /// Too much changed to be told singly: read the whole list again.
    Resync,
}

/// A list as its listener has seen it, and the changes that lead from there to what it is now.
#[derive(Debug)]
pub(crate) struct Followed<T> {
    items: Vec<T>,
    now: Vec<T>,
    pending: VecDeque<ListChange<T>>,
}

/// Single changes that are told; when more have gathered, a listener is faster with the whole list.
const TOLD_CHANGES: usize = 200;

impl<T: Clone + PartialEq> Followed<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self { now: items.clone(), items, pending: VecDeque::new() }
    }

    /// The list after the changes that were told.
    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    /// The list with all changes.
    pub(crate) fn now(&self) -> &[T] {
        &self.now
    }

    /// The next change, which from now on counts as told.
    pub(crate) fn next(&mut self) -> Option<ListChange<T>> {
        let change = self.pending.pop_front()?;
        match &change {
            ListChange::Inserted { index, item } => self.items.insert(*index, item.clone()),
            ListChange::Changed { index, item } => item.clone_into(&mut self.items[*index]),
            ListChange::Moved { from, to, item } => {
                self.items.remove(*from);
                self.items.insert(*to, item.clone());
            }
            ListChange::Removed { index, .. } => drop(self.items.remove(*index)),
            ListChange::Resync => self.items.clone_from(&self.now),
        }
        Some(change)
    }

    /// The list is this now.
    pub(crate) fn turn_into<K: Eq + Hash>(&mut self, now: Vec<T>, key: impl Fn(&T) -> K) {
        self.pending.extend(differences(&self.now, &now, key));
        self.now = now;
        if self.pending.len() > TOLD_CHANGES {
            self.pending = [ListChange::Resync].into();
        }
    }
}

/// Single changes that lead from one list to another.
fn differences<T: Clone + PartialEq, K: Eq + Hash>(from: &[T], to: &[T], key: impl Fn(&T) -> K) -> Vec<ListChange<T>> {
    let kept: HashSet<K> = to.iter().map(&key).collect();
    let mut list = from.to_vec();
    let mut changes = Vec::new();
    for index in (0..list.len()).rev() {
        if !kept.contains(&key(&list[index])) {
            changes.push(ListChange::Removed { index, item: list.remove(index) });
        }
    }
    for (index, item) in to.iter().enumerate() {
        let wanted = key(item);
        let at = list.iter().skip(index).position(|held| key(held) == wanted);
        if at == Some(0) {
            if list[index] != *item {
                changes.push(ListChange::Changed { index, item: item.clone() });
                list[index] = item.clone();
            }
            continue;
        }
        changes.push(match at {
            Some(at) => {
                list.remove(index + at);
                ListChange::Moved { from: index + at, to: index, item: item.clone() }
            }
            None => ListChange::Inserted { index, item: item.clone() },
        });
        list.insert(index, item.clone());
    }
    changes
}

/// Rooms a listener may fall behind by before it is told to read everything; a listener that looks at a room list shows
/// far fewer at once.
const DIRTY_ROOMS: usize = 256;

/// What has changed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Changes {
    /// These rooms, their rows or outbox.
    pub(crate) rooms: BTreeSet<String>,
    /// Profiles: names may be others.
    pub(crate) people: bool,
    /// Anything.
    pub(crate) everything: bool,
}

impl Changes {
    pub(crate) fn room(&mut self, room_id: &str) {
        if !self.rooms.contains(room_id) {
            self.rooms.insert(room_id.to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty() && !self.people && !self.everything
    }

    pub(crate) fn merge(&mut self, other: &Self, only: Option<&str>) {
        self.people |= other.people;
        self.everything |= other.everything;
        match only {
            Some(room_id) if other.rooms.contains(room_id) => self.room(room_id),
            Some(_) => {}
            None => self.rooms.extend(other.rooms.iter().cloned()),
        }
        if self.rooms.len() > DIRTY_ROOMS {
            self.everything = true;
            self.rooms.clear();
        }
    }
}

/// One that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    only: Option<String>,
    dirty: Mutex<Changes>,
    wake: Notify,
}

impl Listener {
    /// What has changed since the last call; waits until something has. Nothing is lost when the wait is given up.
    pub(crate) async fn changes(&self) -> Changes {
        loop {
            let dirty = std::mem::take(&mut *lock(&self.dirty));
            if !dirty.is_empty() {
                return dirty;
            }
            self.wake.notified().await;
        }
    }
}

/// All that listen.
#[derive(Debug)]
pub(crate) struct Observers {
    listeners: Mutex<Vec<Weak<Listener>>>,
    count: watch::Sender<u64>,
}

impl Default for Observers {
    fn default() -> Self {
        Self { listeners: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Observers {
    /// Listens to one room, or to all.
    pub(crate) fn listen(&self, only: Option<&str>) -> Arc<Listener> {
        let listener =
            Arc::new(Listener { only: only.map(str::to_owned), dirty: Mutex::default(), wake: Notify::new() });
        lock(&self.listeners).push(Arc::downgrade(&listener));
        listener
    }

    /// A number that grows with each change that is in the store.
    pub(crate) fn count(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Tells everybody. Called after the commit.
    pub(crate) fn publish(&self, changes: &Changes) {
        lock(&self.listeners).retain(|listener| {
            let Some(listener) = listener.upgrade() else { return false };
            lock(&listener.dirty).merge(changes, listener.only.as_deref());
            listener.wake.notify_one();
            true
        });
        self.count.send_modify(|count| *count += 1);
    }
}

/// The state behind each lock here is whole after every statement, so a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_listener_that_lags_is_told_to_read_everything() {
        let mut list = Followed::new(Vec::new());
        for n in 0..=TOLD_CHANGES {
            list.turn_into(vec![n], |n| *n);
        }
        assert_eq!(list.next(), Some(ListChange::Resync));
        assert_eq!(list.items(), [TOLD_CHANGES]);
        assert_eq!(list.next(), None);
    }

    proptest! {
        #[test]
        fn the_changes_that_are_told_lead_to_the_list(
            lists in prop::collection::vec(prop::collection::btree_map(0_u8..20, 0_u8..3, 0..12), 1..5),
            seed in 0_u8..20,
        ) {
            let mut followed = Followed::new(Vec::new());
            let mut seen: Vec<(u8, u8)> = Vec::new();
            for list in lists {
                let mut list: Vec<(u8, u8)> = list.into_iter().collect();
                list.sort_by_key(|(key, _)| key.wrapping_mul(seed) % 23);
                followed.turn_into(list.clone(), |item| item.0);
                while let Some(change) = followed.next() {
                    match change {
                        ListChange::Inserted { index, item } => seen.insert(index, item),
                        ListChange::Changed { index, item } => seen[index] = item,
                        ListChange::Moved { from, to, item } => {
                            seen.remove(from);
                            seen.insert(to, item);
                        }
                        ListChange::Removed { index, item } => prop_assert_eq!(seen.remove(index), item),
                        ListChange::Resync => unreachable!("few changes"),
                    }
                }
                prop_assert_eq!(&seen, &list);
            }
        }
    }
}
