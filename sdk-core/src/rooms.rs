//! The room list: every room the person is in, the most recently active first.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use madang_proto::v1::{Room, RoomKind};

use crate::{
    clock::system_time,
    engine::Inner,
    error::ClientError,
    observe::{Changes, Followed, ListChange, Listener},
    people::Names,
    store::{Read, drafts, marks, outbox, rooms},
    sync::RoomState,
    timeline::{TimelineItem, item},
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

/// The room list, pulled.
#[derive(Debug)]
pub struct RoomList {
    inner: Arc<Inner>,
    listener: Arc<Listener>,
    list: Followed<RoomItem>,
    /// Heard of and not read yet.
    changes: Changes,
}

impl RoomList {
    pub(crate) async fn open(inner: Arc<Inner>) -> Result<Self, ClientError> {
        let listener = inner.observers.listen(None);
        let items = read_all(&inner).await?;
        Ok(Self { inner, listener, list: Followed::new(items), changes: Changes::default() })
    }

    /// The list after the changes that [`next`](Self::next) has told.
    pub fn items(&self) -> &[RoomItem] {
        self.list.items()
    }

    /// Waits for the next change; nothing is lost when the wait is given up. `None`: the client has ended.
    pub async fn next(&mut self) -> Option<ListChange<RoomItem>> {
        loop {
            if let Some(change) = self.list.next() {
                return Some(change);
            }
            if self.changes.is_empty() {
                self.changes = self.listener.changes().await;
            }
            let now = match self.read(self.changes.clone()).await {
                Ok(now) => now,
                Err(error) if self.inner.store.outlasts(&error).await => continue,
                Err(_) => return None,
            };
            self.changes = Changes::default();
            self.list.turn_into(now, |item| item.id.clone());
        }
    }

    async fn read(&self, changes: Changes) -> Result<Vec<RoomItem>, ClientError> {
        if changes.everything || changes.people {
            return read_all(&self.inner).await;
        }
        let mut items: Vec<RoomItem> = self.list.now().to_vec();
        items.retain(|item| !changes.rooms.contains(&item.id));
        items.extend(read_some(&self.inner, changes.rooms).await?);
        items.sort_by(|a, b| b.last_active_at.cmp(&a.last_active_at).then_with(|| a.id.cmp(&b.id)));
        Ok(items)
    }
}

/// Rooms that the person has left or was removed from and that are still known, the most recently active first.
pub(crate) async fn former(inner: &Inner) -> Result<Vec<RoomItem>, ClientError> {
    let now = inner.config.clock.now();
    let read = move |r: &Read<'_>| {
        let mut names = Names::new(r.conn);
        let mut items = Vec::new();
        for state in rooms::all(r.conn)? {
            if let Some(room) = state.room.as_ref().filter(|_| !state.ended && !state.is_joined()) {
                items.push(room_item(r, &state, room, now, &mut names)?);
            }
        }
        Ok(items)
    };
    let mut items = inner.store.read(read).await?;
    items.sort_by(|a: &RoomItem, b| b.last_active_at.cmp(&a.last_active_at).then_with(|| a.id.cmp(&b.id)));
    Ok(items)
}

async fn read_all(inner: &Inner) -> Result<Vec<RoomItem>, ClientError> {
    let now = inner.config.clock.now();
    let (items, missing) = inner.store.read(move |r| build(r, rooms::joined(r.conn)?, now)).await?;
    inner.want_people(missing);
    Ok(items)
}

async fn read_some(inner: &Inner, ids: BTreeSet<String>) -> Result<Vec<RoomItem>, ClientError> {
    let now = inner.config.clock.now();
    let read = move |r: &Read<'_>| {
        let mut states = Vec::new();
        for id in ids {
            states.extend(rooms::find(r.conn, &id)?);
        }
        build(r, states, now)
    };
    let (items, missing) = inner.store.read(read).await?;
    inner.want_people(missing);
    Ok(items)
}

fn build(r: &Read<'_>, states: Vec<RoomState>, now: SystemTime) -> rusqlite::Result<(Vec<RoomItem>, BTreeSet<String>)> {
    let mut names = Names::new(r.conn);
    let mut items = Vec::with_capacity(states.len());
    for state in states {
        if let Some(room) = state.room.as_ref().filter(|_| state.is_joined())
            && !outbox::is_leaving(r.conn, &state.room_id)?
        {
            items.push(room_item(r, &state, room, now, &mut names)?);
        }
    }
    Ok((items, names.missing))
}

fn room_item(
    r: &Read<'_>,
    state: &RoomState,
    room: &Room,
    now: SystemTime,
    names: &mut Names<'_>,
) -> rusqlite::Result<RoomItem> {
    let waiting = marks::find(r.conn, &state.room_id)?.map(|mark| mark.shown);
    let mark = marks::shown(state.mark(), waiting, r.guards);
    let name = names.room(room, r.me)?;
    let membership = state.membership.as_ref();
    let mentions = membership.map_or(0, |m| m.unread_mention_seqs.iter().filter(|seq| **seq > mark.seq).count());
    Ok(RoomItem {
        id: state.room_id.clone(),
        kind: room.kind(),
        name,
        unread: mark.unread(room.count, room.first_count),
        mentions,
        last_message: state.last.as_ref().map(|message| item(message, r.me, names)).transpose()?,
        muted: membership.is_some_and(|m| m.mute_until.is_some_and(|until| system_time(Some(&until)) > now)),
        member_count: room.member_count,
        draft: drafts::find(r.conn, &state.room_id)?,
        last_active_at: system_time(room.last_active_at.as_ref()),
    })
}
