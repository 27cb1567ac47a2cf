//! The timeline of a room: what is held of it, and what was typed and is not there yet, as one list.
//!
//! Always true: items are an unbroken piece of the room, oldest first, then what waits in the outbox, if the piece reaches
//! the newest item; a message of one's own is one item from the moment it is typed to the day it is deleted. A piece that a
//! reset took away is shown as it was until it has been fetched again.

mod day;
mod item;
mod others;
mod page;
#[cfg(test)]
mod tests;
mod window;

use std::{
    collections::BTreeSet,
    fmt,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use madang_proto::v1::{ListMessagesRequest, ListMessagesResponse, Message, list_messages_request::Position};

pub(crate) use self::item::item;
pub use self::{
    day::{Day, Zone},
    item::{ItemKey, MessageChange, MessageItem, NoticeItem, Reach, TimelineItem, UnsupportedItem},
    window::Anchor,
};
use self::{
    page::Lines,
    window::{FIRST_PAGE, Found, Ground, Place, Window},
};
use super::diff::{Followed, ListChange};
use crate::{
    clock::system_time,
    engine::{self, Inner},
    error::{ClientError, ClientErrorKind},
    observe::Listener,
    store::{Read, visits},
};

/// Messages in one call; the server gives no more.
const PAGE: u16 = 200;
/// Attempts to find a place in a room that begins anew again and again.
const ATTEMPTS: usize = 3;

/// How a timeline is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineOptions {
    /// Where it lies at first.
    pub anchor: Anchor,
    /// Where days begin.
    pub zone: Zone,
}

impl Default for TimelineOptions {
    fn default() -> Self {
        Self { anchor: Anchor::Newest, zone: Zone::System }
    }
}

/// An open timeline, pulled. Open means on the screen: the room is in focus until it is dropped.
pub struct Timeline {
    inner: Arc<Inner>,
    room_id: String,
    listener: Arc<Listener>,
    list: Followed<TimelineItem>,
    window: Window,
    lines: Lines,
    /// Items above the window.
    newer: i64,
    /// Something changed that is not read yet.
    stale: bool,
    /// Fetches what a reset took away. It goes on where it was when the wait for it was given up.
    healing: Option<Mutex<BoxFuture<'static, ()>>>,
    /// How often in a row that did not help.
    heals: u32,
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline").field("room_id", &self.room_id).field("window", &self.window).finish_non_exhaustive()
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.inner.close_timeline(&self.room_id);
    }
}

/// What a read of the store found.
struct Shown {
    window: Window,
    /// Absent when the window is lost.
    items: Option<Vec<TimelineItem>>,
    missing: BTreeSet<String>,
    newer: i64,
}

/// What a timeline begins with.
struct Opened {
    lines: Lines,
    /// Absent when nothing is held where it is to lie.
    shown: Option<Shown>,
    /// When the room was last opened on this device.
    visited_ms: Option<i64>,
}

impl Timeline {
    /// Opens a timeline: what is held at once; an anchor of which nothing is held is fetched first.
    pub(crate) async fn open(inner: Arc<Inner>, room_id: &str, options: TimelineOptions) -> Result<Self, ClientError> {
        let listener = inner.observers.listen(Some(room_id));
        let id = room_id.to_owned();
        let Opened { lines, shown, visited_ms } = inner.store.read(move |r| look(r, &id, options)).await?;
        inner.open_timeline(room_id, visited_ms);
        let mut timeline = Self {
            inner,
            room_id: room_id.to_owned(),
            listener,
            list: Followed::new(Vec::new()),
            window: Window::default(),
            lines,
            newer: 0,
            stale: false,
            healing: None,
            heals: 0,
        };
        match shown {
            Some(shown) => timeline.take(shown),
            None => timeline.jump(options.anchor).await?,
        }
        timeline.list.begin();
        timeline.seen();
        Ok(timeline)
    }

    /// The room.
    pub fn room_id(&self) -> &str {
        &self.room_id
    }

    /// The items after the changes that [`next`](Self::next) has told, oldest first.
    pub fn items(&self) -> &[TimelineItem] {
        self.list.told()
    }

    /// Whether it ends with the newest item, and so follows it.
    pub fn is_at_newest(&self) -> bool {
        self.window.high == 0
    }

    /// Items of the room that come after the last one here; 0 at the newest.
    pub fn newer(&self) -> i64 {
        self.newer
    }

    /// Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. `None`: the client
    /// has ended.
    pub async fn next(&mut self) -> Option<Vec<ListChange<TimelineItem>>> {
        loop {
            if let Some(batch) = self.list.batch() {
                self.seen();
                return Some(batch);
            }
            if !self.stale {
                let healed = async {
                    match &mut self.healing {
                        Some(healing) => healing.get_mut().unwrap_or_else(PoisonError::into_inner).await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    changed = self.listener.changed() => changed?,
                    () = healed => self.healing = None,
                }
            }
            if let Err(error) = self.refresh().await
                && !self.inner.goes_on(&error).await
            {
                return None;
            }
        }
    }

    /// Shows up to `count` older items, from the store or else from the server; they come as changes. Tells whether
    /// there are still older ones.
    pub async fn load_older(&mut self, count: u16) -> Result<bool, ClientError> {
        self.load(count, |ground, window| ground.gap_below(window).map(Position::BeforeSeq), Ground::older).await
    }

    /// Shows up to `count` newer items, as [`load_older`](Self::load_older) does older ones.
    pub async fn load_newer(&mut self, count: u16) -> Result<bool, ClientError> {
        self.load(count, |ground, window| ground.gap_above(window).map(Position::AfterSeq), Ground::newer).await
    }

    /// Lies elsewhere from now on; that comes as changes. Fails, and stays, when nothing is held there and nothing can be
    /// fetched.
    pub async fn jump(&mut self, anchor: Anchor) -> Result<(), ClientError> {
        self.window = self.find(anchor).await?;
        self.healing = None;
        self.refresh().await
    }

    /// Says which item is in front of the person, when that is not the newest: should the room begin anew after a long time
    /// without a connection, it is what stays on the screen.
    pub fn scrolled_to(&mut self, seq: Option<i64>) {
        self.window.anchor = seq.unwrap_or_default();
    }

    /// Moves an end of the window, once what lies beyond it is held; tells whether there is more.
    async fn load(
        &mut self,
        count: u16,
        gap: fn(&Ground, Window) -> Option<Position>,
        wider: fn(&Ground, Window, i64) -> (Window, bool),
    ) -> Result<bool, ClientError> {
        for _ in 0..ATTEMPTS {
            let from = self.held().await?;
            if let Some(position) = self.ground(move |_, ground| Ok(gap(ground, from))).await? {
                self.fetch(position, count).await?;
            }
            let (to, more) = self.ground(move |_, ground| Ok(wider(ground, from, count.max(1).into()))).await?;
            self.window = to;
            self.refresh().await?;
            // Else the room began anew meanwhile.
            if self.healing.is_none() && (to != from || self.window == from) {
                return Ok(more && to != from);
            }
        }
        Err(began_anew())
    }

    /// The window, once what it lies in is held: rows of a room that is known by its summary alone, and what a reset took
    /// away, are fetched first.
    async fn held(&mut self) -> Result<Window, ClientError> {
        for _ in 0..ATTEMPTS {
            self.refresh().await?;
            if self.healing.is_some() {
                self.fetch(Position::AroundSeq(self.window.anchor), PAGE).await?;
            } else if self.ground(|_, ground| Ok(ground.is_summary())).await? {
                engine::sync_now(&self.inner, &self.room_id).await?;
            } else {
                return Ok(self.window);
            }
        }
        Err(began_anew())
    }

    /// Finds the window of an anchor, and fetches what is there if nothing is held.
    async fn find(&self, anchor: Anchor) -> Result<Window, ClientError> {
        for _ in 0..ATTEMPTS {
            let (found, complete) =
                self.ground(move |r, ground| Ok((ground.find(r, anchor)?, ground.is_complete()))).await?;
            let position = match found {
                Found::Held(window) => return Ok(window),
                Found::Item(seq) => Position::AroundSeq(seq),
                Found::Time(time) => Position::FromTime(time.into()),
            };
            if !complete {
                engine::sync_now(&self.inner, &self.room_id).await?;
                continue;
            }
            let seq = self.fetch(position, u16::try_from(FIRST_PAGE).unwrap_or_default()).await?;
            if let Some(window) = self.ground(move |_, ground| Ok(ground.around(seq))).await? {
                return Ok(window);
            }
        }
        Err(began_anew())
    }

    /// Fetches a page into the store; tells the item that was asked for.
    async fn fetch(&self, position: Position, count: u16) -> Result<i64, ClientError> {
        fetch(&self.inner, &self.room_id, position, count).await
    }

    async fn ground<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Read<'_>, &Ground) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ClientError> {
        let room_id = self.room_id.clone();
        self.inner.store.read(move |r| look(r, &Ground::read(r, &room_id)?)).await
    }

    fn seen(&self) {
        self.inner.saw(&self.room_id, newest(self.list.told()));
    }

    /// Reads what the store holds now.
    async fn refresh(&mut self) -> Result<(), ClientError> {
        self.stale = true;
        self.listener.take();
        let (window, lines, newest) = (self.window, self.lines, newest(self.list.now()));
        let shown = self.ground(move |r, ground| show(r, ground, (window, newest), lines)).await?;
        self.stale = false;
        self.take(shown);
        Ok(())
    }

    fn take(&mut self, shown: Shown) {
        (self.window, self.newer) = (shown.window, shown.newer);
        self.inner.want_people(shown.missing);
        match shown.items {
            Some(items) => {
                (self.healing, self.heals) = (None, 0);
                self.list.turn_into(items);
            }
            None if self.healing.is_none() => self.healing = Some(self.heal()),
            None => {}
        }
    }

    /// Fetches the piece around what is in front of the person, as soon as there is a connection.
    fn heal(&mut self) -> Mutex<BoxFuture<'static, ()>> {
        let (inner, room_id, seq) = (Arc::clone(&self.inner), self.room_id.clone(), self.window.anchor);
        let mut failures = self.heals;
        self.heals += 1;
        let heal = async move {
            loop {
                inner.until_online().await;
                if failures > 0 {
                    inner.config.clock.sleep(inner.config.backoff.delay(failures)).await;
                }
                match fetch(&inner, &room_id, Position::AroundSeq(seq), PAGE).await {
                    Ok(_) => return,
                    Err(error) if error.may_repeat() => failures += 1,
                    Err(error) => {
                        tracing::info!(%error, "what was on the screen cannot be had again");
                        pending::<()>().await;
                    }
                }
            }
        };
        Mutex::new(heal.boxed())
    }
}

fn began_anew() -> ClientError {
    ClientError::new(ClientErrorKind::Conflict, "the room began anew meanwhile")
}

/// What a timeline begins with, in one look: a person waits for it.
fn look(r: &Read<'_>, room_id: &str, options: TimelineOptions) -> rusqlite::Result<Opened> {
    let ground = Ground::read(r, room_id)?;
    let lines = Lines { zone: options.zone, unread_after: ground.unread_after(r)? };
    let shown = match ground.find(r, options.anchor)? {
        Found::Held(window) => Some(show(r, &ground, (window, 0), lines)?),
        Found::Item(_) | Found::Time(_) => None,
    };
    Ok(Opened { lines, shown, visited_ms: visits::find(r.conn, room_id)? })
}

/// What the store holds of a window.
fn show(r: &Read<'_>, ground: &Ground, (window, shown): (Window, i64), lines: Lines) -> rusqlite::Result<Shown> {
    let (window, read) = match ground.place(window, shown) {
        Place::Held(window) => (window, Some(page::read(r, ground, window, lines)?)),
        Place::Lost(window) => (window, None),
    };
    let (items, missing) = read.unzip();
    let newest = ground.state.room.as_ref().map_or(0, |room| room.seq).max(ground.state.seq);
    let newer = if window.high == 0 { 0 } else { newest - window.high };
    Ok(Shown { window, items, missing: missing.unwrap_or_default(), newer })
}

fn newest(items: &[TimelineItem]) -> i64 {
    items.iter().rev().find_map(TimelineItem::seq).unwrap_or_default()
}

/// Fetches a page into the store; tells the item of it that was meant.
async fn fetch(inner: &Inner, room_id: &str, position: Position, count: u16) -> Result<i64, ClientError> {
    let request = ListMessagesRequest {
        room_id: room_id.to_owned(),
        position: Some(position),
        page_size: count.clamp(1, PAGE).into(),
    };
    let page = inner.connection.call(&request).await?;
    let (seq, room_id) = (meant(position, &page), room_id.to_owned());
    inner.apply(move |w, view, out| engine::page(w, view, &room_id, page, out)).await?;
    Ok(seq)
}

fn meant(position: Position, page: &ListMessagesResponse) -> i64 {
    let first = |is: &dyn Fn(&Message) -> bool| page.messages.iter().find(|message| is(message));
    let found = match position {
        Position::FromTime(time) => {
            let time = system_time(Some(&time));
            first(&|message| system_time(message.created_at.as_ref()) >= time)
        }
        Position::AroundSeq(seq) | Position::AfterSeq(seq) | Position::BeforeSeq(seq) => {
            first(&|message| message.seq >= seq)
        }
    };
    found.or(page.messages.last()).map_or(0, |message| message.seq)
}
