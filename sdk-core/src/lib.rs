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
mod net;
mod observe;
mod people;
mod rooms;
pub mod sabotage;
mod sentences;
mod store;
mod sync;
mod timeline;
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
    observe::ListChange,
    people::Person,
    rooms::{RoomItem, RoomList},
    sentences::{Language, reason_sentence},
    store::{ChangeKind, ItemKey, OutboxItem, Rescued, RoomSnapshot, SendState, StoreSnapshot},
    timeline::{MessageItem, NoticeItem, Timeline, TimelineItem},
    typing::Typers,
    watched::{Presence, Readers},
};
