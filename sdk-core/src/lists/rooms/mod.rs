//! The room list: the rooms the person is in, or those that a query wants, or the part of them that is on the screen.
//!
//! Of all rooms a few numbers are held, which decide on places; only what is shown is read whole.

mod query;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
    time::SystemTime,
};

use madang_proto::v1::{Room, RoomKind};

use self::query::Facts;
pub use self::query::{RoomFilter, RoomQuery, RoomSort};
use super::{
    diff::{Followed, Keyed, ListChange},
    timeline::{TimelineItem, item},
};
use crate::{
    clock::system_time,
    engine::Inner,
    error::ClientError,
    observe::{Changes, Listener},
    people::Names,
    store::{
        Read,
        rooms::{self, Depth, Glance, Listed},
    },
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
                self.listener.changed().await?;
            }
            if let Err(error) = self.refresh().await
                && !self.inner.goes_on(&error).await
            {
                return None;
            }
        }
    }

    async fn refresh(&mut self) -> Result<(), ClientError> {
        self.changes.merge(&self.listener.take(), None);
        let changes = self.changes.clone();
        self.look(&changes).await?;
        let order = self.query.arrange(self.facts.values());
        let found = order.len();
        let shown: Vec<String> = order[self.query.places(found)].iter().map(|room| room.id.clone()).collect();
        let items = self.show(shown, &changes).await?;
        (self.found, self.asked, self.changes) = (found, false, Changes::default());
        self.list.turn_into(items);
        Ok(())
    }

    /// Reads the facts of rooms that have changed.
    async fn look(&mut self, changes: &Changes) -> Result<(), ClientError> {
        let depth = self.query.depth();
        let all = changes.everything || changes.people && depth.room;
        let only = (!all).then(|| changes.rooms.clone());
        let found = self.inner.store.read(move |r| facts(r, only.as_ref(), depth)).await?;
        if all {
            self.facts.clear();
        }
        changes.rooms.iter().for_each(|id| drop(self.facts.remove(id)));
        self.facts.extend(found.into_iter().map(|room| (room.id.clone(), room)));
        Ok(())
    }

    /// The items of these rooms: as they were where nothing has changed.
    async fn show(&self, shown: Vec<String>, changes: &Changes) -> Result<Vec<RoomItem>, ClientError> {
        let all = changes.everything || changes.people;
        let held: HashMap<&str, &RoomItem> = self.list.now().iter().map(|item| (item.id.as_str(), item)).collect();
        let held = |id: &String| held.get(id.as_str()).filter(|_| !all && !changes.rooms.contains(id));
        let wanted: BTreeSet<String> = shown.iter().filter(|id| held(id).is_none()).cloned().collect();
        let mut read = read_items(&self.inner, wanted).await?;
        let item = |id: &String| held(id).map(|item| (*item).clone()).or_else(|| read.remove(id));
        Ok(shown.iter().filter_map(item).collect())
    }
}

fn facts(r: &Read<'_>, only: Option<&BTreeSet<String>>, depth: Depth) -> rusqlite::Result<Vec<Facts>> {
    let mut names = Names::new(r.conn);
    let mut fact = |glance: Glance| {
        let room = glance.room.as_ref();
        let name = room.map(|room| names.room(room, r.me)).transpose()?.unwrap_or_default();
        Ok(Facts {
            active_ms: glance.active_ms,
            unread: glance.unread,
            mentions: glance.mentions(),
            kind: room.map_or(RoomKind::Unspecified, Room::kind),
            name: name.to_lowercase(),
            id: glance.room_id,
        })
    };
    match only {
        None => rooms::glances(r.conn, r.guards, depth)?.into_iter().map(fact).collect(),
        Some(ids) => {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                if let Some(glance) = rooms::glance(r.conn, r.guards, id, depth)? {
                    found.push(fact(glance)?);
                }
            }
            Ok(found)
        }
    }
}

/// Rooms read one by one up to here; beyond that all are read at once, which is less work.
const ONE_BY_ONE: usize = 100;

async fn read_items(inner: &Inner, ids: BTreeSet<String>) -> Result<HashMap<String, RoomItem>, ClientError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let now = inner.config.clock.now();
    let read = move |r: &Read<'_>| {
        let mut names = Names::new(r.conn);
        let mut items = HashMap::with_capacity(ids.len());
        let mut take = |listed: Listed| {
            let item = room_item(r, listed, now, &mut names)?;
            items.insert(item.id.clone(), item);
            Ok::<_, rusqlite::Error>(())
        };
        if ids.len() > ONE_BY_ONE {
            rooms::listed(r.conn, r.guards, |id| ids.contains(id))?.into_iter().try_for_each(&mut take)?;
        } else {
            for id in &ids {
                rooms::listed_one(r.conn, r.guards, id)?.map_or(Ok(()), &mut take)?;
            }
        }
        Ok((items, names.missing))
    };
    let (items, missing) = inner.store.read(read).await?;
    inner.want_people(missing);
    Ok(items)
}

/// Rooms that the person has left or was removed from and that are still known, the most recently active first.
pub(crate) async fn former(inner: &Inner) -> Result<Vec<RoomItem>, ClientError> {
    let now = inner.config.clock.now();
    let read = move |r: &Read<'_>| {
        let mut names = Names::new(r.conn);
        let former = rooms::former(r.conn, r.guards)?.into_iter();
        former.map(|listed| room_item(r, listed, now, &mut names)).collect::<rusqlite::Result<Vec<_>>>()
    };
    inner.store.read(read).await
}

fn room_item(r: &Read<'_>, listed: Listed, now: SystemTime, names: &mut Names<'_>) -> rusqlite::Result<RoomItem> {
    let Listed { glance, last, draft } = listed;
    let (room, membership) = (glance.room.as_ref(), glance.membership.as_ref());
    Ok(RoomItem {
        kind: room.map_or(RoomKind::Unspecified, Room::kind),
        name: room.map(|room| names.room(room, r.me)).transpose()?.unwrap_or_default(),
        unread: glance.unread,
        mentions: glance.mentions(),
        last_message: last.as_ref().map(|message| item(message, r.me, names)).transpose()?,
        muted: membership.is_some_and(|m| m.mute_until.is_some_and(|until| system_time(Some(&until)) > now)),
        member_count: room.map_or(0, |room| room.member_count),
        draft,
        last_active_at: system_time(room.and_then(|room| room.last_active_at.as_ref())),
        id: glance.room_id,
    })
}
