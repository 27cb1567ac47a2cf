//! What a screen shows and the stream tells only while it is shown: who is here, and how many have read a message. Lost with
//! the connection, and told again after it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::sync::watch;

use crate::engine::{Board, Inner, Item, ReadCount, WatchedThings};

/// Some things on a screen, for as long as it lives.
struct Shown<K: Clone + Ord, V: Copy> {
    inner: Arc<Inner>,
    board: fn(&WatchedThings) -> &Board<K, V>,
    keys: Vec<K>,
    changed: watch::Receiver<()>,
    told: Option<BTreeMap<K, V>>,
}

impl<K: Clone + Ord + fmt::Debug, V: Copy> fmt::Debug for Shown<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl<K: Clone + Ord, V: Copy + PartialEq> Shown<K, V> {
    fn new(inner: Arc<Inner>, board: fn(&WatchedThings) -> &Board<K, V>, keys: Vec<K>) -> Self {
        let changed = board(&inner.watched).changes();
        board(&inner.watched).show(&keys);
        inner.wake.session.notify_one();
        Self { inner, board, keys, changed, told: None }
    }

    fn now(&self) -> BTreeMap<K, V> {
        (self.board)(&self.inner.watched).known(&self.keys)
    }

    async fn next(&mut self) -> Option<BTreeMap<K, V>> {
        loop {
            self.changed.borrow_and_update();
            let now = self.now();
            if self.told.as_ref().unwrap_or(&BTreeMap::new()) != &now {
                self.told = Some(now.clone());
                return Some(now);
            }
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = self.inner.observers.ended() => return None,
            }
        }
    }
}

impl<K: Clone + Ord, V: Copy> Drop for Shown<K, V> {
    fn drop(&mut self) {
        (self.board)(&self.inner.watched).hide(&self.keys);
        self.inner.wake.session.notify_one();
    }
}

/// Who is here, of the people on a screen. The server tells of up to 200 of them.
#[derive(Debug)]
pub struct Presence(Shown<String, bool>);

impl Presence {
    pub(crate) fn new(inner: Arc<Inner>, user_ids: Vec<String>) -> Self {
        Self(Shown::new(inner, |things| &things.people, user_ids))
    }

    /// Whether each person is here, by id; who is missing is not known, as while there is no connection.
    pub fn now(&self) -> BTreeMap<String, bool> {
        self.0.now()
    }

    /// Waits until it is otherwise, and tells how. `None`: the client has ended.
    pub async fn next(&mut self) -> Option<BTreeMap<String, bool>> {
        self.0.next().await
    }
}

/// How many have read a message on a screen. The server counts for up to five messages, once a second.
#[derive(Debug)]
pub struct Readers(Shown<Item, ReadCount>);

impl Readers {
    pub(crate) fn new(inner: Arc<Inner>, room_id: &str, seq: i64) -> Self {
        Self(Shown::new(inner, |things| &things.reads, vec![(room_id.to_owned(), seq)]))
    }

    /// The count; `None` while it is not known.
    pub fn now(&self) -> Option<ReadCount> {
        self.0.now().into_values().next()
    }

    /// Waits until it is another, and tells it; `Some(None)`: not known any more. `None`: the client has ended.
    pub async fn next(&mut self) -> Option<Option<ReadCount>> {
        self.0.next().await.map(|counts| counts.into_values().next())
    }
}
