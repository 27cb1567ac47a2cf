//! What a client tells of itself.

use std::{path::PathBuf, time::Duration};

use madang_sdk_core::{
    ClientError as Failure, ConnectionState, Language, MessageKey, Notification, Person, ReadCount, Rescued,
    SyncOutcome, Totals,
    diagnostics::{Cause, Counters, Explanation, LogLevel, LogLine},
    v1::ErrorReason,
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

/// Why a message is as it is.
#[uniffi::remote(Enum)]
pub enum Cause {
    /// It waits in the outbox for a connection.
    WaitsForConnection,
    /// It waits in the outbox for what was typed earlier in its room.
    WaitsForEarlier {
        /// Entries before it.
        entries: u32,
    },
    /// It is the first of its room and goes out by itself: at once, or after a wait when attempts have failed.
    WaitsToLeave {
        /// Attempts of this process so far.
        attempts: u32,
    },
    /// It is on its way.
    OnItsWay {
        /// Which attempt of this process; 1 is the first.
        attempt: u32,
    },
    /// The server refused it; the person retries or discards it.
    Refused {
        /// Why.
        reason: ErrorReason,
    },
    /// The server has it, and its row is not here yet.
    Acknowledged {
        /// Its position.
        seq: i64,
    },
    /// It is here.
    Held {
        /// Its position.
        seq: i64,
        /// Revision of the room at which it last changed.
        rev: i64,
        /// It was deleted; its place is kept.
        deleted: bool,
    },
    /// It is older than what is held here: `load_older` brings it.
    BelowHeld,
    /// It lies where rows are held, and is not among them: a fault.
    Missing,
    /// It is newer than the rows here, and the room is known to be behind.
    AheadOfRows {
        /// The question that brings it is on its way; else it is asked when the room is opened.
        repair: bool,
    },
    /// No such message was heard of: it does not exist, was discarded, or this device is behind.
    Unknown,
}

/// Why a message is as it is, and what is held of its room.
#[uniffi::remote(Record)]
pub struct Explanation {
    /// Why.
    pub cause: Cause,
    /// Calls make sense now.
    pub online: bool,
    /// Rows of the room are held up to this revision; 0: none.
    pub rev: i64,
    /// The room is known to be at this revision.
    pub head_rev: i64,
    /// The oldest row that is held; 0: none.
    pub low_seq: i64,
    /// The newest row that is held; 0: none.
    pub seq: i64,
    /// The newest item of the room that was heard of.
    pub newest_seq: i64,
}

/// What a client has done since it was opened.
#[uniffi::remote(Record)]
pub struct Counters {
    /// Bytes that came over connections, after TLS was taken off.
    pub bytes_received: u64,
    /// Bytes that went over connections, before TLS was put on.
    pub bytes_sent: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Attempts to open one that failed.
    pub failed_connections: u64,
    /// PINGs that were said on quiet connections.
    pub pings: u64,
    /// Time to the answer of the last one, in ms; 0: none yet.
    pub ping_ms: u64,
    /// Calls that were made.
    pub calls: u64,
    /// Calls that were refused or broke.
    pub failed_calls: u64,
    /// Streams whose Welcome came.
    pub streams: u64,
    /// Those after the first.
    pub reconnects: u64,
    /// Frames that came.
    pub frames: u64,
    /// Questions that closed a hole.
    pub repairs: u64,
    /// Rooms that had to begin anew from their newest page.
    pub resets: u64,
    /// Attempts to send what waits in the outbox.
    pub sends: u64,
    /// Those that were not the first of their entry.
    pub retries: u64,
    /// Entries that were refused for good.
    pub refusals: u64,
    /// Tasks that panicked and were begun again.
    pub panics: u64,
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
