//! The room list: the rooms the person is in, or those that a query wants, or the part of them that is on the screen.
//!
//! Of all rooms a few numbers are held, which decide on places; only what is shown is read whole.

mod look;
mod query;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    future::pending,
    ops::Range,
    sync::Arc,
    time::SystemTime,
};

use madang_proto::v1::RoomKind;

pub(crate) use self::look::former;
pub use self::query::{RoomFilter, RoomQuery, RoomSort};
use self::{
    look::{Look, Seen},
    query::Facts,
};
use super::{
    diff::{Followed, Keyed, ListChange},
    timeline::TimelineItem,
};
use crate::{
    engine::Inner,
    error::ClientError,
    observe::{Changes, Listener},
};

/// A room as the list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomItem {
    /// The room.
    pub id: String,
    /// What kind of room.
    pub kind: RoomKind,
    /// Its name; in a direct room that of the other person.
    pub name: String,
    /// Unread items.
    pub unread: i64,
    /// Unread messages that mention the person; 100 is shown as 99+.
    pub mentions: usize,
    /// The newest item, cut after 200 characters.
    pub last_message: Option<TimelineItem>,
    /// Muted now.
    pub muted: bool,
    /// People in it.
    pub member_count: i32,
    /// What the person began to write.
    pub draft: String,
    /// Time of the newest countable message, else of the creation.
    pub last_active_at: SystemTime,
}

impl Keyed for RoomItem {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        &self.id
    }
}

/// The room list, pulled.
#[derive(Debug)]
pub struct RoomList {
    inner: Arc<Inner>,
    listener: Arc<Listener>,
    list: Followed<RoomItem>,
    query: RoomQuery,
    facts: HashMap<String, Facts>,
    /// When rooms that are shown as muted are so no more.
    mutes: HashMap<String, SystemTime>,
    /// How many rooms the query wants.
    found: usize,
    /// The same as it was told.
    total: usize,
    /// Heard of and not read yet.
    changes: Changes,
    /// The query is another since the last read.
    asked: bool,
}

impl RoomList {
    pub(crate) async fn open(inner: Arc<Inner>, query: RoomQuery) -> Result<Self, ClientError> {
        let listener = inner.observers.listen(None);
        let mut list = Self {
            inner,
            listener,
            list: Followed::new(Vec::new()),
            query,
            facts: HashMap::new(),
            mutes: HashMap::new(),
            found: 0,
            total: 0,
            changes: Changes { everything: true, ..Changes::default() },
            asked: false,
        };
        list.refresh().await?;
        list.list.begin();
        list.total = list.found;
        Ok(list)
    }

    /// The list after the changes that [`next`](Self::next) has told.
    pub fn items(&self) -> &[RoomItem] {
        self.list.told()
    }

    /// How many rooms the query wants, shown or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// What the list shows.
    pub fn query(&self) -> &RoomQuery {
        &self.query
    }

    /// Shows these places of the list; absent: all. That comes as changes.
    pub fn set_range(&mut self, range: impl Into<Option<Range<usize>>>) {
        let query = RoomQuery { range: range.into(), ..self.query.clone() };
        self.set_query(query);
    }

    /// Shows other rooms. That comes as changes.
    pub fn set_filter(&mut self, filter: RoomFilter) {
        let query = RoomQuery { filter, ..self.query.clone() };
        self.set_query(query);
    }

    /// Shows rooms in another order. That comes as changes.
    pub fn set_sort(&mut self, sort: RoomSort) {
        let query = RoomQuery { sort, ..self.query.clone() };
        self.set_query(query);
    }

    fn set_query(&mut self, query: RoomQuery) {
        // Facts that were not looked at before.
        self.changes.everything |= query.depth() != self.query.depth();
        self.asked |= query != self.query;
        self.query = query;
    }

    /// Waits until something has changed, and tells all of it; no change at all: only the total is another. Nothing is lost
    /// when the wait is given up. `None`: the client has ended.
    pub async fn next(&mut self) -> Option<Vec<ListChange<RoomItem>>> {
        loop {
            let batch = self.list.batch();
            if batch.is_some() || self.total != self.found {
                self.total = self.found;
                return Some(batch.unwrap_or_default());
            }
            if self.changes.is_empty() && !self.asked {
                tokio::select! {
                    changed = self.listener.changed() => changed?,
                    () = self.until_one_is_heard_again() => self.hear_again(),
                }
            }
            if let Err(error) = self.refresh().await
                && !self.inner.goes_on(&error).await
            {
                return None;
            }
        }
    }

    async fn until_one_is_heard_again(&self) {
        let clock = &self.inner.config.clock;
        match self.mutes.values().min() {
            Some(until) => clock.sleep(until.duration_since(clock.now()).unwrap_or_default()).await,
            None => pending().await,
        }
    }

    fn hear_again(&mut self) {
        let now = self.inner.config.clock.now();
        let over = self.mutes.iter().filter(|(_, until)| **until <= now);
        over.for_each(|(id, _)| self.changes.room(id));
    }

    async fn refresh(&mut self) -> Result<(), ClientError> {
        self.changes.merge(&self.listener.take(), None);
        let look = self.look();
        let Seen { facts, found, shown, mut read, missing } = self.inner.store.read(|r| look.take(r)).await?;
        self.inner.want_people(missing);
        (self.facts, self.found, self.asked, self.changes) = (facts, found, false, Changes::default());
        let muted_until = |id: &String| match read.get(id) {
            Some((_, muted_until)) => *muted_until,
            None => self.mutes.get(id).copied(),
        };
        self.mutes = shown.iter().filter_map(|id| Some((id.clone(), muted_until(id)?))).collect();
        let held: HashMap<&str, &RoomItem> = self.list.now().iter().map(|item| (item.id.as_str(), item)).collect();
        let item = |id: &String| match read.remove(id) {
            Some((item, _)) => Some(item),
            None => held.get(id.as_str()).map(|item| (*item).clone()),
        };
        let items = shown.iter().filter_map(item).collect();
        self.list.turn_into(items);
        Ok(())
    }

    /// What is to be read. The facts go along; should they not come back, because the wait is given up, all are read again.
    fn look(&mut self) -> Look {
        let mut look = Look {
            query: self.query.clone(),
            facts: std::mem::take(&mut self.facts),
            changes: self.changes.clone(),
            held: HashSet::new(),
            now: self.inner.config.clock.now(),
        };
        if !look.reads_all_items() {
            let ids = self.list.now().iter().map(|item| &item.id);
            look.held = ids.filter(|id| !self.changes.rooms.contains(*id)).cloned().collect();
        }
        self.changes.everything = true;
        look
    }
}
