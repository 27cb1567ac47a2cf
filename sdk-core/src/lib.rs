//! The client core: everything that a Madang app needs beside its screen.
//!
//! A [`Client`] keeps a store on disk equal to the server, works offline from it, sends through a durable outbox, and shows
//! rooms and timelines as lists that are pulled. Always true: what a person typed is on disk before the call that took it
//! returns; nothing is shown twice, out of order, or with a hole; a listener that lags is told.

mod client;
mod clock;
mod commands;
mod config;
mod connection;
mod engine;
mod error;
mod observe;
mod people;
mod rooms;
pub mod sabotage;
mod store;
mod sync;
mod timeline;
mod typing;
mod watched;

pub use madang_proto::v1;

#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use self::engine::simulation;

pub use self::{
    client::{Client, server_info},
    clock::{Clock, Sleep, SystemClock},
    commands::{Draft, NewRoom, ProfileChange, RoomMember},
    config::{Backoff, ClientConfig, StoreLocation, TokenProvider},
    engine::{ConnectionState, ReadCount},
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::ListChange,
    people::Person,
    rooms::{RoomItem, RoomList},
    store::{ChangeKind, ItemKey, OutboxItem, RoomSnapshot, SendState, StoreSnapshot},
    timeline::{MessageItem, NoticeItem, Timeline, TimelineItem},
    typing::Typers,
    watched::{Presence, Readers},
};
