//! The client core, spoken to other languages by `uniffi`.
//!
//! No logic: objects are the core's with a counter beside them, plain types are the core's own ([`types`]). What is added is
//! what the boundary needs: a runtime of threads for the core (`runtime`), lists that may be used by several at
//! once (`pulled`), tokens and log as callbacks.
//!
//! Always true: no call blocks the thread it comes on, but for callbacks of the host none runs on it; what a person typed is
//! handed to the store before the call returns its future, and is not taken back when the wait for it is given up; every
//! other call ends when its wait does; a panic is a [`ClientError`] of the kind `Internal`.

mod client;
mod error;
mod lists;
mod live;
mod log;
mod pulled;
mod runtime;
mod server;
mod tokens;
pub mod types;
mod watched;

pub use self::{
    client::Client,
    error::ClientError,
    lists::{MemberList, OutboxList, RoomList, Timeline, UnreadTotals},
    live::{LiveObjects, live_objects},
    log::{LogSink, set_log_sink},
    server::{sentence_of, server_info, timeline_item_key},
    tokens::{TokenProvider, TokenRequest},
    watched::{ConnectionStates, Presence, Readers, ReadersNews, Typers},
};

uniffi::setup_scaffolding!("madang");
