//! What a client has done since it was opened, in numbers.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};

/// What a client has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

macro_rules! counting {
    ($($name:ident)*) => {
        /// The counters while they count.
        #[derive(Debug, Default)]
        pub(super) struct Counting { $(pub(super) $name: AtomicU64,)* }

        impl Counting {
            pub(super) fn read(&self) -> Counters {
                Counters { $($name: self.$name.load(Relaxed),)* }
            }
        }

        impl Counters {
            pub(super) fn to_json(self) -> Value {
                json!({ $(stringify!($name): self.$name,)* })
            }
        }
    };
}

counting! {
    bytes_received bytes_sent connections failed_connections pings ping_ms calls failed_calls streams reconnects frames
    repairs resets sends retries refusals panics
}

pub(super) fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

pub(super) fn some(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Relaxed);
}

pub(super) fn set_ms(counter: &AtomicU64, time: Duration) {
    counter.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1), Relaxed);
}
