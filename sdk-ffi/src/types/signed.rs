//! What the core counts without a sign. Not every language has such numbers: what Kotlin makes of them has no name in Java.
//! Each is taken apart without a rest.

use madang_sdk_core::{self as core, diagnostics, v1::ErrorReason};

/// A day of the calendar.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Day {
    /// Year.
    pub year: i32,
    /// Month, from 1.
    pub month: i32,
    /// Day of the month, from 1.
    pub day: i32,
}

/// Why a message is as it is.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum Cause {
    /// It waits in the outbox for a connection.
    WaitsForConnection,
    /// It waits in the outbox for what was typed earlier in its room.
    WaitsForEarlier {
        /// Entries before it.
        entries: i32,
    },
    /// It is the first of its room and goes out by itself: at once, or after a wait when attempts have failed.
    WaitsToLeave {
        /// Attempts of this process so far.
        attempts: i32,
    },
    /// It is on its way.
    OnItsWay {
        /// Which attempt of this process; 1 is the first.
        attempt: i32,
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
#[derive(Debug, Clone, uniffi::Record)]
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
#[derive(Debug, Clone, uniffi::Record)]
pub struct Counters {
    /// Bytes that came over connections, after TLS was taken off.
    pub bytes_received: i64,
    /// Bytes that went over connections, before TLS was put on.
    pub bytes_sent: i64,
    /// Connections that were opened.
    pub connections: i64,
    /// Attempts to open one that failed.
    pub failed_connections: i64,
    /// PINGs that were said on quiet connections.
    pub pings: i64,
    /// Time to the answer of the last one, in ms; 0: none yet.
    pub ping_ms: i64,
    /// Calls that were made.
    pub calls: i64,
    /// Calls that were refused or broke.
    pub failed_calls: i64,
    /// Streams whose Welcome came.
    pub streams: i64,
    /// Those after the first.
    pub reconnects: i64,
    /// Frames that came.
    pub frames: i64,
    /// Questions that closed a hole.
    pub repairs: i64,
    /// Rooms that had to begin anew from their newest page.
    pub resets: i64,
    /// Attempts to send what waits in the outbox.
    pub sends: i64,
    /// Those that were not the first of their entry.
    pub retries: i64,
    /// Entries that were refused for good.
    pub refusals: i64,
    /// Tasks that panicked and were begun again.
    pub panics: i64,
}

/// No count comes near the end.
fn signed<T: TryInto<S>, S: From<i32>>(count: T) -> S {
    count.try_into().unwrap_or_else(|_| S::from(i32::MAX))
}

impl From<core::Day> for Day {
    fn from(core::Day { year, month, day }: core::Day) -> Self {
        Self { year, month: signed(month), day: signed(day) }
    }
}

impl TryFrom<Day> for core::Day {
    type Error = std::num::TryFromIntError;

    fn try_from(Day { year, month, day }: Day) -> Result<Self, Self::Error> {
        Ok(Self { year, month: month.try_into()?, day: day.try_into()? })
    }
}

impl From<diagnostics::Cause> for Cause {
    fn from(cause: diagnostics::Cause) -> Self {
        use diagnostics::Cause as Core;
        match cause {
            Core::WaitsForConnection => Self::WaitsForConnection,
            Core::WaitsForEarlier { entries } => Self::WaitsForEarlier { entries: signed(entries) },
            Core::WaitsToLeave { attempts } => Self::WaitsToLeave { attempts: signed(attempts) },
            Core::OnItsWay { attempt } => Self::OnItsWay { attempt: signed(attempt) },
            Core::Refused { reason } => Self::Refused { reason },
            Core::Acknowledged { seq } => Self::Acknowledged { seq },
            Core::Held { seq, rev, deleted } => Self::Held { seq, rev, deleted },
            Core::BelowHeld => Self::BelowHeld,
            Core::Missing => Self::Missing,
            Core::AheadOfRows { repair } => Self::AheadOfRows { repair },
            Core::Unknown => Self::Unknown,
        }
    }
}

impl From<diagnostics::Explanation> for Explanation {
    fn from(known: diagnostics::Explanation) -> Self {
        let diagnostics::Explanation { cause, online, rev, head_rev, low_seq, seq, newest_seq } = known;
        Self { cause: cause.into(), online, rev, head_rev, low_seq, seq, newest_seq }
    }
}

/// Takes the core's counters apart, field by field.
macro_rules! counters {
    ($($name:ident)*) => {
        impl From<diagnostics::Counters> for Counters {
            fn from(diagnostics::Counters { $($name),* }: diagnostics::Counters) -> Self {
                Self { $($name: signed($name)),* }
            }
        }
    };
}

counters! {
    bytes_received bytes_sent connections failed_connections pings ping_ms calls failed_calls streams
    reconnects frames repairs resets sends retries refusals panics
}
