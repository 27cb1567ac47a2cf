//! Items of a timeline, and how a row or an entry of the outbox becomes one.

use std::{collections::BTreeMap, time::SystemTime};

use madang_proto::v1::{
    DeleteMessageRequest, EditMessageRequest, Message, MessageKind, SendMessageRequest, SystemKind,
};

use super::day::Day;
use crate::{
    clock::{system_time, timestamp},
    lists::diff::Keyed,
    people::{Names, Person},
    store::{
        MessageKey,
        outbox::{ChangeKind, Entry, SendState},
    },
};

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
    /// How far it is on its way to the server.
    pub state: SendState,
    /// The newest change of it that the server does not have. It is shown as made, unless the server refused it.
    pub change: Option<MessageChange>,
    /// How far one's own message has come from there.
    pub reach: Reach,
    /// Others who have read up to here and no further, at most 20; nobody in large rooms.
    pub readers_here: Vec<Person>,
    /// Revision of the room at which it last changed; 0 until the server has it.
    pub rev: i64,
}

/// How far one's own message has come, as others' marks say. They are told in rooms that are not large; for one message of
/// a large room ask [`Client::readers`](crate::Client::readers).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// To nobody, as far as is known; always so for others' messages.
    #[default]
    Nobody,
    /// To a device of somebody who was there.
    Delivered,
    /// Somebody who was there has read it.
    Read,
}

/// An edit or a deletion that the server does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageChange {
    /// The id of the change, by which it is tried again or thrown away when it has failed.
    pub id: String,
    /// It deletes; else it edits.
    pub deletes: bool,
    /// How far it is.
    pub state: SendState,
}

/// Something that happened in the room; the app words it in the reader's language.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticeItem {
    /// Position in the room.
    pub seq: i64,
    /// When.
    pub created_at: SystemTime,
    /// What happened; unspecified: something that this version does not know.
    pub kind: SystemKind,
    /// Who did it.
    pub actor: Person,
    /// Whom it concerns.
    pub people: Vec<Person>,
    /// More about it: "name" of RENAMED, "role" of ROLE.
    pub params: BTreeMap<String, String>,
}

/// A message of a kind that this version cannot show.
#[derive(Debug, Clone, PartialEq)]
pub struct UnsupportedItem {
    /// Position in the room.
    pub seq: i64,
    /// When it was committed.
    pub created_at: SystemTime,
    /// Who sent it.
    pub sender: Person,
    /// Its kind, as the contract numbers them.
    pub kind: i32,
    /// A text that stands for it; may be empty.
    pub text: String,
}

/// An item of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub enum TimelineItem {
    /// A message.
    Message(MessageItem),
    /// Something that happened.
    Notice(NoticeItem),
    /// A message of a kind that this version cannot show.
    Unsupported(UnsupportedItem),
    /// A day begins here.
    DayLine {
        /// The day.
        date: Day,
    },
    /// What comes was unread when the timeline was opened.
    NewLine,
}

/// What an item is recognised by, for as long as it lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ItemKey {
    /// An item of the room, by position.
    Seq(i64),
    /// A message of one's own, by the client's id.
    Own(String),
    /// The line before a day; there is one a day.
    Day(Day),
    /// The line before what was unread.
    New,
}

/// The same without a copy.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyOf<'a> {
    Seq(i64),
    Own(&'a str),
    Day(Day),
    New,
}

impl Keyed for TimelineItem {
    type Key<'a> = KeyOf<'a>;

    fn key(&self) -> KeyOf<'_> {
        match self {
            Self::Message(message) if message.mine && !message.client_message_id.is_empty() => {
                KeyOf::Own(&message.client_message_id)
            }
            Self::DayLine { date } => KeyOf::Day(*date),
            Self::NewLine => KeyOf::New,
            _ => KeyOf::Seq(self.seq().unwrap_or_default()),
        }
    }
}

impl TimelineItem {
    /// What it is recognised by.
    pub fn key(&self) -> ItemKey {
        match Keyed::key(self) {
            KeyOf::Seq(seq) => ItemKey::Seq(seq),
            KeyOf::Own(id) => ItemKey::Own(id.to_owned()),
            KeyOf::Day(day) => ItemKey::Day(day),
            KeyOf::New => ItemKey::New,
        }
    }

    /// Position in the room; absent until the server has it, and of lines.
    pub fn seq(&self) -> Option<i64> {
        match self {
            Self::Message(message) => message.seq,
            Self::Notice(notice) => Some(notice.seq),
            Self::Unsupported(item) => Some(item.seq),
            Self::DayLine { .. } | Self::NewLine => None,
        }
    }

    /// When it was committed, or typed; absent of lines.
    pub fn created_at(&self) -> Option<SystemTime> {
        match self {
            Self::Message(message) => Some(message.created_at),
            Self::Notice(notice) => Some(notice.created_at),
            Self::Unsupported(item) => Some(item.created_at),
            Self::DayLine { .. } | Self::NewLine => None,
        }
    }
}

/// A row as an item.
pub(crate) fn item(message: Message, me: &str, names: &mut Names<'_>) -> rusqlite::Result<TimelineItem> {
    let (seq, created_at) = (message.seq, system_time(message.created_at.as_ref()));
    let text = message.body.map(|body| body.text).unwrap_or_default();
    if let Some(notice) = message.system {
        return Ok(TimelineItem::Notice(NoticeItem {
            seq,
            created_at,
            kind: notice.kind(),
            actor: names.person(if notice.actor_id.is_empty() { &message.sender_id } else { &notice.actor_id })?,
            people: names.people(&notice.user_ids)?,
            params: notice.params.into_iter().collect(),
        }));
    }
    let sender = names.person(&message.sender_id)?;
    if !is_supported(message.kind) {
        return Ok(TimelineItem::Unsupported(UnsupportedItem { seq, created_at, sender, kind: message.kind, text }));
    }
    Ok(TimelineItem::Message(MessageItem {
        seq: Some(seq),
        client_message_id: message.client_message_id,
        sender,
        mine: message.sender_id == me,
        text,
        created_at,
        edited: message.edited_at.is_some(),
        deleted: message.tombstone.is_some(),
        reply_to_seq: message.reply_to_seq,
        mentions_me: message.mentions_all || message.mentioned_user_ids.iter().any(|id| id == me),
        state: SendState::Sent,
        change: None,
        reach: Reach::Nobody,
        readers_here: Vec::new(),
        rev: message.rev,
    }))
}

/// Whether a message of this kind is shown by its text.
fn is_supported(kind: i32) -> bool {
    matches!(MessageKind::try_from(kind), Ok(MessageKind::Unspecified | MessageKind::Text | MessageKind::Notice))
}

/// An entry of the outbox as an item.
pub(super) fn echo(entry: &Entry, me: &str, names: &mut Names<'_>) -> rusqlite::Result<MessageItem> {
    let request: SendMessageRequest = entry.decode()?;
    Ok(MessageItem {
        seq: entry.acknowledged_seq(),
        client_message_id: entry.change_id.clone(),
        sender: names.person(me)?,
        mine: true,
        text: request.body.map(|body| body.text).unwrap_or_default(),
        created_at: system_time(Some(&timestamp(entry.created_ms))),
        edited: false,
        deleted: false,
        reply_to_seq: request.reply_to_seq,
        mentions_me: false,
        state: entry.send_state(),
        change: None,
        reach: Reach::Nobody,
        readers_here: Vec::new(),
        rev: 0,
    })
}

/// Lays a change that waits in the outbox over the message that it changes. A later one lies over an earlier.
pub(super) fn lay_over(message: &mut MessageItem, entry: &Entry) -> rusqlite::Result<()> {
    let state = entry.send_state();
    let shown = !matches!(state, SendState::Failed { .. });
    let deletes = entry.kind == ChangeKind::Delete;
    if shown && deletes {
        message.text.clear();
        message.deleted = true;
    } else if shown {
        let edit: EditMessageRequest = entry.decode()?;
        message.text = edit.body.map(|body| body.text).unwrap_or_default();
        message.edited = true;
    }
    message.change = Some(MessageChange { id: entry.change_id.clone(), deletes, state });
    Ok(())
}

/// Whether a change in the outbox is one of this message.
pub(super) fn is_of(entry: &Entry, message: &MessageItem) -> rusqlite::Result<bool> {
    if !entry.target.is_empty() {
        return Ok(message.mine && message.client_message_id == entry.target);
    }
    let seq = match entry.kind {
        ChangeKind::Edit => entry.decode::<EditMessageRequest>()?.seq,
        _ => entry.decode::<DeleteMessageRequest>()?.seq,
    };
    Ok(message.seq == Some(seq))
}

impl From<&MessageItem> for MessageKey {
    /// What a message on the screen is named by in a call.
    fn from(message: &MessageItem) -> Self {
        match message.seq {
            Some(seq) if !message.mine => Self::Seq(seq),
            _ => Self::Own(message.client_message_id.clone()),
        }
    }
}
