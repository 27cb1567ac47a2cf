//! Timelines and the outbox.

use std::{collections::BTreeMap, time::SystemTime};

use madang_sdk_core::{
    Anchor, ChangeKind, Day, ItemKey, ListChange, MessageChange, MessageItem, MessageKey, NoticeItem, Person, Reach,
    SendState, TimelineItem, TimelineOptions, UnsupportedItem, WaitingChange, Zone,
    v1::{ErrorReason, SystemKind},
};

/// A change of a timeline.
pub type TimelineChange = ListChange<TimelineItem>;
/// A change of the outbox.
pub type OutboxChange = ListChange<WaitingChange>;

/// How a timeline is opened.
#[uniffi::remote(Record)]
pub struct TimelineOptions {
    /// Where it lies at first.
    pub anchor: Anchor,
    /// Where days begin.
    pub zone: Zone,
}

/// Where a timeline lies.
#[uniffi::remote(Enum)]
pub enum Anchor {
    /// At the newest item, which it follows.
    Newest,
    /// Around an item, by position.
    Message(i64),
    /// Around the first item of a time or after it.
    Date(SystemTime),
    /// Around the first unread item; at the newest when everything is read.
    FirstUnread,
}

/// Where days begin.
#[uniffi::remote(Enum)]
pub enum Zone {
    /// As the system says.
    System,
    /// So many seconds east of Greenwich, at any time of the year; what is more than a day counts as 0.
    Offset(i32),
}

/// An item of a timeline.
#[uniffi::remote(Enum)]
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

/// A message.
#[uniffi::remote(Record)]
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

/// An edit or a deletion that the server does not have.
#[uniffi::remote(Record)]
pub struct MessageChange {
    /// The id of the change, by which it is tried again or thrown away when it has failed.
    pub id: String,
    /// It deletes; else it edits.
    pub deletes: bool,
    /// How far it is.
    pub state: SendState,
}

/// How far one's own message has come, as others' marks say. They are told in rooms that are not large; for one message of
/// a large room ask `readers`.
#[uniffi::remote(Enum)]
pub enum Reach {
    /// To nobody, as far as is known; always so for others' messages.
    Nobody,
    /// To a device of somebody who was there.
    Delivered,
    /// Somebody who was there has read it.
    Read,
}

/// Something that happened in the room; the app words it in the reader's language.
#[uniffi::remote(Record)]
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
#[uniffi::remote(Record)]
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

/// What an item is recognised by, for as long as it lives.
#[uniffi::remote(Enum)]
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

/// A change of an observed list. Places are those of the list at that moment: apply one after the other.
#[uniffi::remote(Enum)]
pub enum TimelineChange {
    /// New items at the end, in their order.
    Appended {
        /// The items.
        items: Vec<TimelineItem>,
    },
    /// A new item, now at this place.
    Inserted {
        /// Place in the list.
        index: usize,
        /// The item.
        item: TimelineItem,
    },
    /// An item is another now, at this place; it did not move.
    Changed {
        /// Place in the list.
        index: usize,
        /// The item.
        item: TimelineItem,
    },
    /// An item has another place, and may be another in itself.
    Moved {
        /// Place in the list before.
        from: usize,
        /// Place in the list without it.
        to: usize,
        /// The item.
        item: TimelineItem,
    },
    /// The item at this place is gone.
    Removed {
        /// Place in the list before.
        index: usize,
    },
    /// Everything from a place on is gone.
    Truncated {
        /// Items that stay.
        len: usize,
    },
    /// The list is another: too much changed to be told singly.
    Reset {
        /// The whole list.
        items: Vec<TimelineItem>,
    },
}

/// SystemKind is what happened.
#[uniffi::remote(Enum)]
pub enum SystemKind {
    /// Never sent.
    Unspecified,
    /// The room was created with these people.
    Created,
    /// These people were invited.
    Invited,
    /// The actor joined.
    Joined,
    /// The actor left.
    Left,
    /// These people were removed.
    Removed,
    /// These people were banned.
    Banned,
    /// These people have another role.
    Role,
    /// The room has another name.
    Renamed,
    /// The notice was set or cleared.
    Notice,
    /// A message was pinned.
    Pinned,
    /// The settings changed.
    Settings,
}

/// How far a message, or another change, is on its way.
#[uniffi::remote(Enum)]
pub enum SendState {
    /// Waits: for the connection, or for its turn.
    Queued,
    /// On its way.
    Sending,
    /// Committed by the server.
    Sent,
    /// Refused; waits for the person to retry or discard it.
    Failed {
        /// The server's reason.
        reason: ErrorReason,
        /// A sentence for developers.
        message: String,
    },
}

/// What an entry changes. The numbers are in the table, and are never given to another kind.
#[uniffi::remote(Enum)]
pub enum ChangeKind {
    /// A message is sent.
    Send,
    /// A message is edited.
    Edit,
    /// A message is deleted.
    Delete,
    /// A room is made.
    CreateRoom,
    /// The person enters a room.
    Join,
    /// The person leaves a room.
    Leave,
    /// People are brought in.
    Invite,
    /// A person is taken out.
    Remove,
    /// The person's profile changes.
    Profile,
    /// The person's status changes.
    Status,
}

/// A change that the person made and the server does not have.
#[uniffi::remote(Record)]
pub struct WaitingChange {
    /// Its id, as the call that made it answered.
    pub id: String,
    /// What it changes.
    pub kind: ChangeKind,
    /// The room; empty for the person's own profile.
    pub room_id: String,
    /// The message that it edits or deletes.
    pub message: Option<MessageKey>,
    /// What a message is to say; empty for everything else.
    pub text: String,
    /// How far it is.
    pub state: SendState,
    /// When it was made.
    pub created_at: SystemTime,
}

/// A change of an observed list. Places are those of the list at that moment: apply one after the other.
#[uniffi::remote(Enum)]
pub enum OutboxChange {
    /// New items at the end, in their order.
    Appended {
        /// The items.
        items: Vec<WaitingChange>,
    },
    /// A new item, now at this place.
    Inserted {
        /// Place in the list.
        index: usize,
        /// The item.
        item: WaitingChange,
    },
    /// An item is another now, at this place; it did not move.
    Changed {
        /// Place in the list.
        index: usize,
        /// The item.
        item: WaitingChange,
    },
    /// An item has another place, and may be another in itself.
    Moved {
        /// Place in the list before.
        from: usize,
        /// Place in the list without it.
        to: usize,
        /// The item.
        item: WaitingChange,
    },
    /// The item at this place is gone.
    Removed {
        /// Place in the list before.
        index: usize,
    },
    /// Everything from a place on is gone.
    Truncated {
        /// Items that stay.
        len: usize,
    },
    /// The list is another: too much changed to be told singly.
    Reset {
        /// The whole list.
        items: Vec<WaitingChange>,
    },
}
