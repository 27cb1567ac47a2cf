//! The timeline of a room: what is held of it, and what was typed and is not there yet, as one list.
//!
//! Always true: items are an unbroken piece of the room, oldest first, then what waits in the outbox; a message of one's own
//! is one item from the moment it is typed to the day it is deleted.

use std::{collections::BTreeSet, collections::HashSet, sync::Arc, time::SystemTime};

use madang_proto::v1::{
    ListMessagesRequest, Message, SendMessageRequest, SystemKind, list_messages_request::Position,
    message_service_client::MessageServiceClient,
};

use crate::{
    clock::system_time,
    engine::{self, Inner},
    error::ClientError,
    observe::{Followed, ListChange, Listener},
    people::{Names, Person},
    sabotage::Guard,
    store::{
        ItemKey, Read, messages,
        outbox::{self, Entry, SendState},
        rooms,
    },
};

/// Items shown when a timeline is opened.
const FIRST_PAGE: i64 = 50;
/// Messages in one call; the server gives no more.
const PAGE: i32 = 200;

/// A message.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct MessageItem {
    /// Position in the room; absent until the server has it.
    pub seq: Option<i64>,
    /// The client's id of it.
    pub client_message_id: String,
    /// Who sent it.
    pub sender: Person,
    /// Sent by the person themselves.
    pub mine: bool,
    /// What it says; empty when deleted.
    pub text: String,
    /// When it was committed; typed, while it is not.
    pub created_at: SystemTime,
    /// It was edited.
    pub edited: bool,
    /// It was deleted.
    pub deleted: bool,
    /// The item it answers; 0: none.
    pub reply_to_seq: i64,
    /// It mentions the person.
    pub mentions_me: bool,
    /// How far it is.
    pub state: SendState,
    /// Revision of the room at which it last changed; 0 until the server has it.
    pub rev: i64,
}

/// Something that happened in the room; the app words it in the reader's language.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticeItem {
    /// Position in the room.
    pub seq: i64,
    /// When.
    pub created_at: SystemTime,
    /// What happened.
    pub kind: SystemKind,
    /// Who did it.
    pub actor: Person,
    /// Whom it concerns.
    pub people: Vec<Person>,
    /// More about it: "name" of RENAMED, "role" of ROLE.
    pub params: std::collections::BTreeMap<String, String>,
}

/// An item of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub enum TimelineItem {
    /// A message.
    Message(MessageItem),
    /// Something that happened.
    Notice(NoticeItem),
}

impl TimelineItem {
    /// What it is recognised by.
    pub fn key(&self) -> ItemKey {
        match self {
            Self::Message(message) if message.mine && !message.client_message_id.is_empty() => {
                ItemKey::Own(message.client_message_id.clone())
            }
            _ => ItemKey::Seq(self.seq().unwrap_or_default()),
        }
    }

    /// Position in the room; absent until the server has it.
    pub fn seq(&self) -> Option<i64> {
        match self {
            Self::Message(message) => message.seq,
            Self::Notice(notice) => Some(notice.seq),
        }
    }
}

/// An open timeline, pulled. Open means on the screen: the room is in focus until it is dropped.
#[derive(Debug)]
pub struct Timeline {
    inner: Arc<Inner>,
    room_id: String,
    listener: Arc<Listener>,
    list: Followed<TimelineItem>,
    window: Window,
    /// Something changed that is not read yet.
    stale: bool,
}

/// Which piece of the room is shown.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    /// It begins here; 0: not decided.
    low: i64,
    /// The reset that this was decided after.
    reset_rev: i64,
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.inner.close_timeline(&self.room_id);
    }
}

impl Timeline {
    pub(crate) async fn open(inner: Arc<Inner>, room_id: &str) -> Result<Self, ClientError> {
        let listener = inner.observers.listen(Some(room_id));
        inner.open_timeline(room_id);
        let mut timeline = Self {
            inner,
            room_id: room_id.to_owned(),
            listener,
            list: Followed::new(Vec::new()),
            window: Window::default(),
            stale: false,
        };
        let items = timeline.read().await?;
        timeline.list = Followed::new(items);
        timeline.seen();
        Ok(timeline)
    }

    /// The room.
    pub fn room_id(&self) -> &str {
        &self.room_id
    }

    /// The items after the changes that [`next`](Self::next) has told, oldest first.
    pub fn items(&self) -> &[TimelineItem] {
        self.list.items()
    }

    /// Waits for the next change; nothing is lost when the wait is given up. `None`: the client has ended.
    pub async fn next(&mut self) -> Option<ListChange<TimelineItem>> {
        loop {
            if let Some(change) = self.list.next() {
                self.seen();
                return Some(change);
            }
            if !self.stale {
                self.listener.changes().await;
                self.stale = true;
            }
            let now = match self.read().await {
                Ok(now) => now,
                Err(error) if self.inner.store.outlasts(&error).await => continue,
                Err(_) => return None,
            };
            self.stale = false;
            self.list.turn_into(now, TimelineItem::key);
        }
    }

    /// Shows up to `count` older items, from the store or else from the server; they come as changes. Tells whether
    /// there are still older ones.
    pub async fn load_older(&mut self, count: u16) -> Result<bool, ClientError> {
        let state = self.state().await?;
        let low = self.window.low;
        if state.low_seq == low && state.has_older() {
            self.fetch_before(low, i32::from(count).min(PAGE)).await?;
        }
        let (room_id, count) = (self.room_id.clone(), i64::from(count));
        let begin = self.inner.store.read(move |r| messages::begin_of_newest(r.conn, &room_id, low - 1, count)).await?;
        let state = self.state().await?;
        self.window.low = begin.unwrap_or(low).max(state.low_seq);
        let now = self.read().await?;
        self.list.turn_into(now, TimelineItem::key);
        Ok(self.window.low > state.low_seq || state.has_older())
    }

    async fn state(&self) -> Result<crate::sync::RoomState, ClientError> {
        let room_id = self.room_id.clone();
        self.inner.store.read(move |r| rooms::load(r.conn, &room_id)).await
    }

    async fn fetch_before(&self, before_seq: i64, page_size: i32) -> Result<(), ClientError> {
        let request = ListMessagesRequest {
            room_id: self.room_id.clone(),
            position: Some(Position::BeforeSeq(before_seq)),
            page_size,
        };
        let rpc = |channel, request| async { MessageServiceClient::new(channel).list_messages(request).await };
        let page = self.inner.connection.call(request, rpc).await?;
        let room_id = self.room_id.clone();
        self.inner.apply(move |w, view, out| engine::page(w, view, &room_id, before_seq, page, out)).await
    }

    fn seen(&self) {
        let newest = self.list.items().iter().rev().find_map(TimelineItem::seq);
        self.inner.saw(&self.room_id, newest.unwrap_or_default());
    }

    async fn read(&mut self) -> Result<Vec<TimelineItem>, ClientError> {
        let (room_id, window) = (self.room_id.clone(), self.window);
        let (items, missing, window) = self.inner.store.read(move |r| build(r, &room_id, window)).await?;
        self.window = window;
        self.inner.want_people(missing);
        Ok(items)
    }
}

fn build(
    r: &Read<'_>,
    room_id: &str,
    mut window: Window,
) -> rusqlite::Result<(Vec<TimelineItem>, BTreeSet<String>, Window)> {
    let state = rooms::load(r.conn, room_id)?;
    if window.low == 0 || window.reset_rev != state.reset_rev {
        let begin = messages::begin_of_newest(r.conn, room_id, state.seq, FIRST_PAGE)?;
        window = Window { low: begin.unwrap_or(0), reset_rev: state.reset_rev };
    }
    let from = window.low.max(state.low_seq);
    let rows = if state.ended { Vec::new() } else { messages::range(r.conn, room_id, from, state.seq)? };
    let mut names = Names::new(r.conn);
    let mut items = Vec::with_capacity(rows.len());
    for message in &rows {
        items.push(item(message, r.me, &mut names)?);
    }
    let own: HashSet<&str> =
        rows.iter().filter(|m| m.sender_id == r.me).map(|m| m.client_message_id.as_str()).collect();
    for entry in outbox::shown(r.conn, room_id, state.seq)? {
        if !own.contains(entry.change_id.as_str()) || !r.guards.holds(Guard::EchoMerge) {
            items.push(TimelineItem::Message(echo(&entry, r.me, &mut names)?));
        }
    }
    window.low = if window.low == 0 { 0 } else { from };
    Ok((items, names.missing, window))
}

/// A row as an item.
pub(crate) fn item(message: &Message, me: &str, names: &mut Names<'_>) -> rusqlite::Result<TimelineItem> {
    let created_at = system_time(message.created_at.as_ref());
    if let Some(notice) = &message.system {
        return Ok(TimelineItem::Notice(NoticeItem {
            seq: message.seq,
            created_at,
            kind: notice.kind(),
            actor: names.person(if notice.actor_id.is_empty() { &message.sender_id } else { &notice.actor_id })?,
            people: names.people(&notice.user_ids)?,
            params: notice.params.clone().into_iter().collect(),
        }));
    }
    Ok(TimelineItem::Message(MessageItem {
        seq: Some(message.seq),
        client_message_id: message.client_message_id.clone(),
        sender: names.person(&message.sender_id)?,
        mine: message.sender_id == me,
        text: message.body.as_ref().map(|body| body.text.clone()).unwrap_or_default(),
        created_at,
        edited: message.edited_at.is_some(),
        deleted: message.tombstone.is_some(),
        reply_to_seq: message.reply_to_seq,
        mentions_me: message.mentions_all || message.mentioned_user_ids.iter().any(|id| id == me),
        state: SendState::Sent,
        rev: message.rev,
    }))
}

/// An entry of the outbox as an item.
fn echo(entry: &Entry, me: &str, names: &mut Names<'_>) -> rusqlite::Result<MessageItem> {
    let millis = u64::try_from(entry.created_ms).unwrap_or_default();
    let request: SendMessageRequest = entry.decode()?;
    Ok(MessageItem {
        seq: entry.acknowledged_seq(),
        client_message_id: entry.change_id.clone(),
        sender: names.person(me)?,
        mine: true,
        text: request.body.map(|body| body.text).unwrap_or_default(),
        created_at: SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(millis),
        edited: false,
        deleted: false,
        reply_to_seq: request.reply_to_seq,
        mentions_me: false,
        state: entry.send_state(),
        rev: 0,
    })
}
