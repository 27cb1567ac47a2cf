//! What is shown, and what the stream tells of it only while it is shown. Lost with the connection, and told again after it.

use std::{collections::BTreeMap, sync::Mutex};

use madang_proto::v1::{Ephemeral, WatchedMessage, ephemeral::News};
use tokio::sync::watch;

use crate::observe::lock;

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
pub(crate) type Item = (String, i64);

/// What is shown, and what is known of it.
#[derive(Debug, Default)]
pub(crate) struct WatchedThings {
    pub(crate) people: Board<String, bool>,
    pub(crate) reads: Board<Item, ReadCount>,
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
pub(crate) struct Board<K, V> {
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
    /// Told when something is known otherwise.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Puts things on the screen.
    pub(crate) fn show(&self, keys: &[K]) {
        let mut things = lock(&self.things);
        for key in keys {
            let since = things.values().map(|thing| thing.since + 1).max().unwrap_or_default();
            things.entry(key.clone()).or_insert(Thing { since, times: 0, known: None }).times += 1;
        }
    }

    /// Takes things off the screen, once for each time that they were put there.
    pub(crate) fn hide(&self, keys: &[K]) {
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

    /// What is known of these things.
    pub(crate) fn known(&self, keys: &[K]) -> BTreeMap<K, V> {
        let things = lock(&self.things);
        keys.iter().filter_map(|key| Some((key.clone(), things.get(key)?.known?))).collect()
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
