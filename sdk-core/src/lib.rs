//! The client core: everything that a Madang app needs beside its screen.
//!
//! A [`Client`] keeps a store on disk equal to the server, works offline from it, sends through a durable outbox, and shows
//! rooms and timelines as lists that are pulled. Always true: what a person typed is on disk before the call that took it
//! returns; nothing is shown twice, out of order, or with a hole; a listener that lags is told.
//!
//! # A first app
//!
//! ```no_run
//! # use std::sync::Arc;
//! use madang_sdk_core::{Client, ClientConfig, ClientError, StoreLocation, TimelineItem, TokenProvider};
//!
//! # async fn app(tokens: Arc<dyn TokenProvider>) -> Result<(), ClientError> {
//! let config = ClientConfig::new("https://chat.example.com", StoreLocation::File("ann.db".into()));
//! let client = Client::open(config, tokens).await?;
//!
//! // The list is whole at once, from the store; each batch of changes can be applied as it comes.
//! let mut rooms = client.rooms().await?;
//! let mut shown = rooms.items().to_vec();
//! while let Some(batch) = rooms.next().await {
//!     batch.into_iter().for_each(|change| change.apply(&mut shown));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Writing, offline too
//!
//! ```no_run
//! # use madang_sdk_core::{Client, ClientError, NewRoom, SendState};
//! # async fn write(client: &Client) -> Result<(), ClientError> {
//! let room = client.create_room(NewRoom { name: "lunch".into(), ..NewRoom::default() }).await?;
//! let id = client.send(&room, "who comes?").await?;
//! client.edit(&room, id.as_str(), "who comes at noon?").await?;
//!
//! // Whoever wants to know waits; everybody else looks at the timeline.
//! match client.settled(&id).await {
//!     Ok(seq) => println!("stored at {seq}"),
//!     Err(refusal) => println!("refused: {refusal}"),
//! }
//!
//! // What was refused waits for the person.
//! for change in client.outbox().await?.items() {
//!     if matches!(change.state, SendState::Failed { .. }) {
//!         client.retry_failed(&change.id).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # A timeline anywhere
//!
//! ```no_run
//! # use madang_sdk_core::{Anchor, Client, ClientError, TimelineItem};
//! # async fn look(client: &Client, room: &str) -> Result<(), ClientError> {
//! let mut timeline = client.timeline_at(room, Anchor::FirstUnread).await?;
//! while timeline.load_newer(50).await? {}
//! for item in timeline.items() {
//!     if let TimelineItem::Message(message) = item {
//!         println!("{}: {}", message.sender.name, message.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # A push wakes the app
//!
//! ```no_run
//! # use std::time::Duration;
//! # use madang_sdk_core::{Client, ClientError};
//! # async fn wake(client: &Client) -> Result<(), ClientError> {
//! let outcome = client.sync_once(Duration::from_secs(20)).await?;
//! for news in outcome.notifications {
//!     println!("{}: {}", news.room_name, news.text);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What went wrong
//!
//! ```no_run
//! # use madang_sdk_core::{Client, ClientError, Language, MessageKey};
//! # async fn why(client: &Client, room: &str, id: &str, error: ClientError) -> Result<(), ClientError> {
//! println!("{}", error.sentence(Language::Korean));
//! println!("{:?}", client.explain(room, MessageKey::Own(id.to_owned())).await?);
//! println!("{}", client.support_bundle().await);
//! # Ok(())
//! # }
//! ```

mod ask;
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
mod waiters;
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
