//! What a screen shows and the stream tells only while it is shown: who is here, and how many have read a message. Lost with
//! the connection, and told again after it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use madang_proto::v1::{Ephemeral, WatchedMessage, ephemeral::News};
use tokio::sync::watch;

use crate::{engine::Inner, observe::lock};

/// Messages and people of one Focus; the server takes no more. Of more, those that were shown first are told.
const MESSAGES: usize = 5;
const PEOPLE: usize = 200;

/// How many have read a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadCount {
    /// People who have read it, without the sender.
    pub read: i32,
    /// People who could, without the sender.
    pub members: i32,
}

/// A message: room and position.
type Item = (String, i64);

/// What is shown, and what is known of it.
#[derive(Debug, Default)]
pub(crate) struct WatchedThings {
    people: Board<String, bool>,
    reads: Board<Item, ReadCount>,
}

impl WatchedThings {
    /// Takes in what the stream says.
    pub(crate) fn hear(&self, news: &Ephemeral) {
        match &news.news {
            Some(News::Presence(news)) => self.people.hear(&news.user_id, news.online),
            Some(News::ReadCount(news)) => {
                let count = ReadCount { read: news.read, members: news.members };
                self.reads.hear(&(news.room_id.clone(), news.seq), count);
            }
            _ => {}
        }
    }

    /// The stream has ended: nothing is known any more.
    pub(crate) fn forget(&self) {
        self.people.forget();
        self.reads.forget();
    }

    /// Messages for the Focus.
    pub(crate) fn messages(&self) -> Vec<WatchedMessage> {
        let items = self.reads.keys(MESSAGES).into_iter();
        items.map(|(room_id, seq)| WatchedMessage { room_id, seq }).collect()
    }

    /// People for the Focus.
    pub(crate) fn user_ids(&self) -> Vec<String> {
        self.people.keys(PEOPLE)
    }
}

/// Things that are shown, with what is known of each.
#[derive(Debug)]
struct Board<K, V> {
    things: Mutex<BTreeMap<K, Thing<V>>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Thing<V> {
    /// Shown since; smaller is earlier.
    since: u64,
    /// How often it is shown.
    times: usize,
    known: Option<V>,
}

impl<K, V> Default for Board<K, V> {
    fn default() -> Self {
        Self { things: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl<K: Clone + Ord, V: Copy> Board<K, V> {
    fn show(&self, keys: &[K]) {
        let mut things = lock(&self.things);
        for key in keys {
            let since = things.values().map(|thing| thing.since + 1).max().unwrap_or_default();
            things.entry(key.clone()).or_insert(Thing { since, times: 0, known: None }).times += 1;
        }
    }

    fn hide(&self, keys: &[K]) {
        let mut things = lock(&self.things);
        for key in keys {
            if let Some(thing) = things.get_mut(key) {
                thing.times -= 1;
            }
        }
        things.retain(|_, thing| thing.times > 0);
    }

    fn hear(&self, key: &K, value: V) {
        if let Some(thing) = lock(&self.things).get_mut(key) {
            thing.known = Some(value);
        }
        self.changed.send_replace(());
    }

    fn forget(&self) {
        lock(&self.things).values_mut().for_each(|thing| thing.known = None);
        self.changed.send_replace(());
    }

    fn keys(&self, most: usize) -> Vec<K> {
        let things = lock(&self.things);
        let mut keys: Vec<_> = things.iter().map(|(key, thing)| (thing.since, key)).collect();
        keys.sort_unstable();
        keys.into_iter().take(most).map(|(_, key)| key.clone()).collect()
    }

    fn known(&self, keys: &[K]) -> BTreeMap<K, V> {
        let things = lock(&self.things);
        keys.iter().filter_map(|key| Some((key.clone(), things.get(key)?.known?))).collect()
    }
}

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
        let changed = board(&inner.watched).changed.subscribe();
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
            self.changed.changed().await.ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_twice_stays_until_it_is_hidden_twice() {
        let board = Board::<i32, bool>::default();
        board.show(&[1, 2]);
        board.show(&[2]);
        board.hide(&[1, 2]);
        assert_eq!(board.keys(9), [2]);
        board.hear(&1, true);
        board.hear(&2, true);
        assert_eq!(board.known(&[1, 2]), BTreeMap::from([(2, true)]));
        board.forget();
        assert!(board.known(&[2]).is_empty());
    }

    #[test]
    fn of_too_many_things_those_shown_first_are_told() {
        let board = Board::<i32, bool>::default();
        board.show(&[9, 3]);
        board.show(&[5, 1]);
        assert_eq!(board.keys(3), [9, 3, 5]);
    }
}
