//! The client core: everything that a Madang app needs beside its screen.
//!
//! A [`Client`] keeps a store on disk equal to the server, works offline from it, sends through a durable outbox, and shows
//! rooms and timelines as lists that are pulled. Always true: what a person typed is on disk before the call that took it
//! returns; nothing is shown twice, out of order, or with a hole; a listener that lags is told.

mod background;
mod client;
mod clock;
mod commands;
mod config;
mod connection;
pub mod diagnostics;
mod engine;
mod error;
mod life;
mod lists;
mod net;
mod observe;
mod people;
pub mod sabotage;
mod sentences;
mod store;
mod sync;
mod tokens;
mod typing;
mod watched;

pub use madang_proto::v1;

#[cfg(feature = "encryption")]
pub use self::config::StoreKey;

#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use self::engine::simulation;

pub use self::{
    background::{Notification, SyncOutcome},
    client::{Client, server_info, server_info_through},
    clock::{Clock, Sleep, SystemClock},
    commands::{Draft, NewRoom, ProfileChange, RoomMember},
    config::{Backoff, ClientConfig, Mode, NetworkConfig, Proxy, StoreLocation, TokenProvider},
    engine::{ConnectionState, ReadCount},
    error::{ClientError, ClientErrorKind, FieldViolation, LocalReason},
    lists::{
        Anchor, Day, ItemKey, ListChange, MemberList, MessageChange, MessageItem, NoticeItem, OutboxList, Reach,
        RoomFilter, RoomItem, RoomList, RoomQuery, RoomSort, Timeline, TimelineItem, TimelineOptions, UnreadTotals,
        UnsupportedItem, WaitingChange, Zone,
    },
    people::Person,
    sentences::{Language, reason_sentence},
    store::{ChangeKind, MessageKey, OutboxItem, Rescued, RoomSnapshot, SendState, StoreSnapshot, Totals},
    typing::Typers,
    watched::{Presence, Readers},
};
