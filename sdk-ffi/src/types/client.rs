//! What a client tells of itself.

use std::{path::PathBuf, time::Duration};

use madang_sdk_core::{
    ClientError as Failure, ConnectionState, Language, MessageKey, Notification, Person, ReadCount, Rescued,
    SyncOutcome, Totals,
    diagnostics::{LogLevel, LogLine},
};

/// How the client stands to its server.
#[uniffi::remote(Enum)]
pub enum ConnectionState {
    /// Opening a stream, or catching up on one.
    Connecting,
    /// Everything that happened is here, and what happens comes at once.
    Live,
    /// Not connected; tries again by itself.
    Offline {
        /// Time until then.
        retry_in: Duration,
        /// Why, where the last attempt told.
        reason: Option<Failure>,
    },
    /// Put to rest by the host: `resume` ends it, or `reconnect` when it was only disconnected.
    Suspended,
    /// The person must sign in again; `reconnect` after that.
    SignedOut,
    /// The server will not have this client any more, and `reconnect` tries nevertheless; or it was ended by the host, for
    /// good, when the reason is of the kind `Cancelled`.
    Ended {
        /// Why.
        reason: Failure,
    },
}

/// A message to notify of.
#[uniffi::remote(Record)]
pub struct Notification {
    /// The room.
    pub room_id: String,
    /// Its name; in a direct room that of the other person.
    pub room_name: String,
    /// Position in the room.
    pub seq: i64,
    /// Who sent it.
    pub sender: Person,
    /// What it says, cut after 200 characters.
    pub text: String,
    /// It mentions the person.
    pub mentions_me: bool,
}

/// What one `sync_once` has done.
#[uniffi::remote(Record)]
pub struct SyncOutcome {
    /// Messages of others that are unread, and that no earlier call and no open timeline has shown; of muted rooms only those
    /// that mention the person. Oldest first; the newest 50.
    pub notifications: Vec<Notification>,
    /// How many there are, with those beyond 50; at most 100 of a room are counted.
    pub total: usize,
    /// Everything is here and everything was sent; else another call is worth it.
    pub finished: bool,
}

/// What became of a store that could not be read.
#[uniffi::remote(Record)]
pub struct Rescued {
    /// Where the file lies now.
    pub set_aside: PathBuf,
    /// Messages of the outbox that were taken over, those that the server has acknowledged among them.
    pub messages: usize,
    /// Drafts that were taken over.
    pub drafts: usize,
    /// Whether everything that was typed could be read.
    pub complete: bool,
}

/// What is unread in all rooms together.
#[uniffi::remote(Record)]
pub struct Totals {
    /// Unread items.
    pub unread: i64,
    /// Unread messages that mention the person; of a room at most 100 are counted.
    pub mentions: i64,
    /// Rooms with unread items.
    pub rooms: i64,
}

/// How many have read a message.
#[uniffi::remote(Record)]
pub struct ReadCount {
    /// People who have read it, without the sender.
    pub read: i32,
    /// People who could, without the sender.
    pub members: i32,
}

/// What a message is named by.
#[uniffi::remote(Enum)]
pub enum MessageKey {
    /// An item of the room, by position.
    Seq(i64),
    /// A message of one's own, by the client's id.
    Own(String),
}

/// A language that the core speaks.
#[uniffi::remote(Enum)]
pub enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

/// How much a line matters. Those of a level come with all that matter more.
#[uniffi::remote(Enum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Something is broken.
    Error,
    /// Something went wrong, and the client goes on.
    Warn,
    /// What a reader of the log wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// A line of the log.
#[uniffi::remote(Record)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The part of the client that says it.
    pub target: String,
    /// What it says, with its details behind it; cut after 4 KiB.
    pub message: String,
}
