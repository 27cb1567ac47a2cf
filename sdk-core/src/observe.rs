//! Who wants to hear of changes. Listeners pull: each has a small set of what has changed since it last looked, so that
//! a slow one costs nothing and is told (`everything`) when it fell too far behind.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{Notify, watch};

use crate::waiters::Waiters;

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
    ended: watch::Receiver<bool>,
}

impl Listener {
    /// Waits until something has changed since it was last taken. `None`: the client has ended.
    pub(crate) async fn changed(&self) -> Option<()> {
        loop {
            if !lock(&self.dirty).is_empty() {
                return Some(());
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = until_true(self.ended.clone()) => return None,
            }
        }
    }

    /// What has changed since the last call.
    pub(crate) fn take(&self) -> Changes {
        std::mem::take(&mut *lock(&self.dirty))
    }
}

/// Waits until it is so.
async fn until_true(mut state: watch::Receiver<bool>) {
    // Without a sender there is nobody left who could change anything.
    let _ = state.wait_for(|is| *is).await;
}

/// All that listen.
#[derive(Debug)]
pub(crate) struct Observers {
    listeners: Mutex<Vec<Weak<Listener>>>,
    /// Those who wait for one entry of the outbox.
    pub(crate) waiters: Arc<Waiters>,
    count: watch::Sender<u64>,
    ended: watch::Sender<bool>,
}

impl Default for Observers {
    fn default() -> Self {
        Self {
            listeners: Mutex::default(),
            waiters: Arc::default(),
            count: watch::Sender::new(0),
            ended: watch::Sender::new(false),
        }
    }
}

impl Observers {
    /// Listens to one room, or to all.
    pub(crate) fn listen(&self, only: Option<&str>) -> Arc<Listener> {
        let (only, ended) = (only.map(str::to_owned), self.ended.subscribe());
        let listener = Arc::new(Listener { only, dirty: Mutex::default(), wake: Notify::new(), ended });
        let mut listeners = lock(&self.listeners);
        // Those that are gone are found when a change is told, and here: without changes they would gather.
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(&listener));
        drop(listeners);
        listener
    }

    /// The client has ended: nothing will change any more.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until the client has ended.
    pub(crate) async fn ended(&self) {
        until_true(self.ended.subscribe()).await;
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
        if changes.everything {
            self.waiters.all_touched();
        }
        self.count.send_modify(|count| *count += 1);
    }
}

/// The state behind each lock here is whole after every statement, so a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_gone_do_not_gather_while_nothing_changes() {
        let observers = Observers::default();
        let stays = observers.listen(None);
        (0..100).for_each(|_| drop(observers.listen(Some("r"))));
        assert_eq!(lock(&observers.listeners).len(), 2, "the one that stays, and the last");
        drop(stays);
    }
}
