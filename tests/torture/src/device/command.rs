//! What a device is told and what it answers: the same in this process and over a child's pipes.

use std::{path::PathBuf, time::Duration};

use madang_sdk_core::ClientErrorKind;
use serde::{Deserialize, Serialize};

use super::wire::Encoded;
use crate::history::Sight;

/// How a device is opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opening {
    /// Its server, which is its proxy.
    pub server: String,
    /// The file of its store.
    pub store: PathBuf,
    /// The file that holds its token.
    pub token: PathBuf,
    /// Id of the installation.
    pub device_id: String,
    /// The client's rule that is taken out.
    pub without: Option<String>,
}

/// A command with its number and how long it may take; after that it is given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// Names its answer.
    pub number: u64,
    /// Milliseconds.
    pub within_ms: u64,
    /// What to do.
    pub command: Command,
}

impl Call {
    /// How long it may take.
    pub fn within(&self) -> Duration {
        Duration::from_millis(self.within_ms)
    }
}

/// What a device is told. Rooms and people by their ids.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Command {
    /// Sends a text.
    Send { room: String, text: String, mentions: Vec<String>, mention_all: bool },
    /// Edits one of the person's messages.
    Edit { room: String, pick: u64, text: String },
    /// Deletes one of the person's messages.
    Delete { room: String, pick: u64 },
    /// Marks as read, up to so many items before the newest.
    MarkRead { room: String, back: i64 },
    /// Marks as unread.
    MarkUnread { room: String, back: i64 },
    /// Enters a room.
    Join { room: String },
    /// Leaves a room.
    Leave { room: String },
    /// Brings somebody in.
    Invite { room: String, person: String },
    /// Takes somebody out.
    Remove { room: String, person: String },
    /// Makes a room.
    CreateRoom { name: String, open: bool, hidden: bool, people: Vec<String> },
    /// Opens the room with somebody.
    OpenDirect { person: String },
    /// Shows these rooms and no others.
    Look { rooms: Vec<String> },
    /// Scrolls up in a room that is shown.
    Scroll { room: String, count: u16 },
    /// Lets go of the connection.
    Suspend,
    /// Connects.
    Resume,
    /// Catches all rooms up, shown or not.
    CatchUp,
    /// Its clock goes so many seconds ahead of the true time, or behind it.
    Clock { ahead_s: i64 },
    /// Its token is forgotten, the next few fresh ones cannot be had, and each of those times takes long.
    Tokens { fails: u32, slow_ms: u64 },
    /// Its process ends when it comes to this place for the so-manieth time.
    DieAt { phase: String, times: u32 },
    /// Tells whether the server will not have it any more.
    IsOver,
    /// Tells the whole store.
    Snapshot,
    /// Ends in order.
    End,
}

/// What a device answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Answer {
    /// Done.
    Done,
    /// It is in the outbox under this id.
    Sent { id: String },
    /// The room is this.
    Room { id: String },
    /// There is nothing to do it with: no message to edit, no such room.
    Skipped,
    /// The server refused.
    Refused { reason: String },
    /// It did not come to an end in time.
    GivenUp,
    /// It failed otherwise.
    Failed { kind: String, message: String },
    /// The server will not have this device any more: this is why.
    Over { why: String },
    /// The store.
    Snapshot(Box<Encoded>),
}

impl Answer {
    /// The answer to an error.
    pub fn of(error: &madang_sdk_core::ClientError) -> Self {
        match (error.reason, error.kind) {
            (Some(reason), _) => Self::Refused { reason: reason.as_str_name().to_owned() },
            (None, ClientErrorKind::Offline) => Self::GivenUp,
            (None, kind) => Self::Failed { kind: format!("{kind:?}"), message: error.message.clone() },
        }
    }
}

/// A line of a child.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "line")]
pub enum Line {
    /// A command has ended.
    Answer { number: u64, answer: Answer },
    /// A timeline showed something.
    Saw { room: String, opening: u64, sight: Sight },
}
