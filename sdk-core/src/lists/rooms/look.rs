//! One look into the store, in one transaction: which rooms a list shows, and those of them that are not held as they are.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::SystemTime,
};

use madang_proto::v1::RoomKind;

use super::{
    RoomItem,
    query::{Facts, RoomQuery},
};
use crate::{
    clock::system_time,
    engine::Inner,
    error::ClientError,
    lists::timeline::item,
    observe::Changes,
    people::Names,
    store::{
        Read,
        face::{PlaceFace, RoomFace},
        rooms::{self, Glance, Listed},
    },
};

/// Rooms read one by one up to here; beyond that all are read at once, which is less work.
const ONE_BY_ONE: usize = 100;

/// What is to be read.
pub(super) struct Look {
    pub(super) query: RoomQuery,
    /// As of the last look.
    pub(super) facts: HashMap<String, Facts>,
    /// What has changed since.
    pub(super) changes: Changes,
    /// Rooms whose items need not be read again.
    pub(super) held: HashSet<String>,
    pub(super) now: SystemTime,
}

/// What was read.
pub(super) struct Seen {
    pub(super) facts: HashMap<String, Facts>,
    /// How many rooms the query wants.
    pub(super) found: usize,
    /// Those that are shown, in order.
    pub(super) shown: Vec<String>,
    /// Items that were not held, and how long they are muted.
    pub(super) read: Items,
    /// People whose names are not known.
    pub(super) missing: BTreeSet<String>,
}

type Items = HashMap<String, (RoomItem, Option<SystemTime>)>;

impl Look {
    /// Whether no item is as it was.
    pub(super) fn reads_all_items(&self) -> bool {
        self.changes.everything || self.changes.people
    }

    pub(super) fn take(mut self, r: &Read<'_>) -> rusqlite::Result<Seen> {
        self.look_at_facts(r)?;
        let order = self.query.arrange(self.facts.values());
        let found = order.len();
        let shown: Vec<String> = order[self.query.places(found)].iter().map(|room| room.id.clone()).collect();
        let wanted: HashSet<&str> = shown.iter().map(String::as_str).filter(|id| !self.held.contains(*id)).collect();
        let (read, missing) = read_items(r, &wanted, self.now)?;
        Ok(Seen { facts: self.facts, found, shown, read, missing })
    }

    /// Reads the facts of rooms that have changed.
    fn look_at_facts(&mut self, r: &Read<'_>) -> rusqlite::Result<()> {
        let depth = self.query.depth();
        let mut names = Names::new(r.conn);
        if self.changes.everything || self.changes.people && depth.room {
            self.facts.clear();
            return rooms::glances(r.conn, r.guards, depth, |glance| self.note(r, glance, &mut names));
        }
        for id in std::mem::take(&mut self.changes.rooms) {
            match rooms::glance(r.conn, r.guards, &id, depth)? {
                Some(glance) => self.note(r, glance, &mut names)?,
                None => drop(self.facts.remove(&id)),
            }
        }
        Ok(())
    }

    fn note(&mut self, r: &Read<'_>, glance: Glance, names: &mut Names<'_>) -> rusqlite::Result<()> {
        let room = glance.room.as_ref();
        let name = room.map(|room| names.room(room, r.me)).transpose()?.unwrap_or_default();
        let facts = Facts {
            active_ms: glance.active_ms,
            unread: glance.unread,
            mentions: glance.mentions(),
            kind: room.map_or(RoomKind::Unspecified, RoomFace::kind),
            name: name.to_lowercase(),
            id: glance.room_id,
        };
        self.facts.insert(facts.id.clone(), facts);
        Ok(())
    }
}

fn read_items(r: &Read<'_>, wanted: &HashSet<&str>, now: SystemTime) -> rusqlite::Result<(Items, BTreeSet<String>)> {
    let mut names = Names::new(r.conn);
    let mut items = HashMap::with_capacity(wanted.len());
    let mut take = |listed: Listed| {
        let muted_until = muted_until(listed.glance.membership.as_ref()).filter(|until| *until > now);
        let item = room_item(r, listed, muted_until.is_some(), &mut names)?;
        items.insert(item.id.clone(), (item, muted_until));
        Ok(())
    };
    if wanted.len() > ONE_BY_ONE {
        rooms::listed(r.conn, r.guards, |id| wanted.contains(id), take)?;
    } else {
        for id in wanted {
            rooms::listed_one(r.conn, r.guards, id)?.map_or(Ok(()), &mut take)?;
        }
    }
    Ok((items, names.missing))
}

/// Rooms that the person has left or was removed from and that are still known, the most recently active first.
pub(crate) async fn former(inner: &Inner) -> Result<Vec<RoomItem>, ClientError> {
    let now = inner.config.clock.now();
    let read = move |r: &Read<'_>| {
        let mut names = Names::new(r.conn);
        let former = rooms::former(r.conn, r.guards)?.into_iter().map(|listed| {
            let muted = muted_until(listed.glance.membership.as_ref()).is_some_and(|until| until > now);
            room_item(r, listed, muted, &mut names)
        });
        former.collect::<rusqlite::Result<Vec<_>>>()
    };
    inner.store.read(read).await
}

fn muted_until(membership: Option<&PlaceFace>) -> Option<SystemTime> {
    Some(system_time(Some(membership?.mute_until.as_ref()?)))
}

fn room_item(r: &Read<'_>, listed: Listed, muted: bool, names: &mut Names<'_>) -> rusqlite::Result<RoomItem> {
    let Listed { glance, last, draft } = listed;
    let room = glance.room.as_ref();
    Ok(RoomItem {
        kind: room.map_or(RoomKind::Unspecified, RoomFace::kind),
        name: room.map(|room| names.room(room, r.me)).transpose()?.unwrap_or_default(),
        unread: glance.unread,
        mentions: glance.mentions(),
        last_message: last.map(|message| item(message, r.me, names)).transpose()?,
        muted,
        member_count: room.map_or(0, |room| room.member_count),
        draft,
        last_active_at: system_time(room.and_then(|room| room.last_active_at.as_ref())),
        id: glance.room_id,
    })
}
