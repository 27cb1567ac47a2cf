//! What is opened: the client, its lists, and what else a screen watches.

use std::sync::Arc;

use madang_sdk_core::{self as core, Anchor, RoomQuery, TimelineOptions};

use super::Client;
use crate::{
    error::ClientError,
    lists::{MemberList, OutboxList, RoomList, Timeline, UnreadTotals},
    live::Counted,
    pulled::Pulled,
    runtime::{keep, spawned},
    tokens::{HostTokens, TokenProvider},
    types::ClientConfig,
    watched::{ConnectionStates, Presence, Readers, States, Typers},
};

fn timeline(list: core::Timeline) -> Timeline {
    Timeline { room_id: list.room_id().to_owned(), pulled: Pulled::new(list) }
}

#[uniffi::export]
impl Client {
    /// Opens the store and starts to connect. Works without a connection; fails if the address is none or the store cannot be
    /// opened: with `STORE_BUSY` at once if another process or client has it. A store that cannot be read is set aside and
    /// made anew: see `rescued`.
    #[uniffi::constructor]
    pub async fn open(config: ClientConfig, tokens: Arc<dyn TokenProvider>) -> Result<Arc<Self>, ClientError> {
        let config = config.try_into()?;
        let tokens = Arc::new(HostTokens::new(tokens));
        // Before the call, with whose end the threads of the first client would end.
        let threads = keep();
        let core = spawned(core::Client::open(config, tokens)).await?;
        Ok(Arc::new(Self { core, _live: Counted::client(), _threads: threads }))
    }

    /// The room list.
    pub async fn rooms(&self) -> Result<RoomList, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.rooms().await }).await.map(|list| RoomList(Pulled::new(list)))
    }

    /// The room list, or a part of it: which rooms, in which order, and which places of that are shown.
    pub async fn rooms_where(&self, query: RoomQuery) -> Result<RoomList, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.rooms_where(query).await }).await.map(|list| RoomList(Pulled::new(list)))
    }

    /// Opens the timeline of a room: what is held at once, the rest as it comes. The room is in focus while it is open.
    pub async fn timeline(&self, room_id: String) -> Result<Timeline, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.timeline(&room_id).await }).await.map(timeline)
    }

    /// Opens the timeline of a room somewhere. Fails when nothing is held there and nothing can be fetched.
    pub async fn timeline_at(&self, room_id: String, anchor: Anchor) -> Result<Timeline, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.timeline_at(&room_id, anchor).await }).await.map(timeline)
    }

    /// Opens the timeline of a room as told.
    pub async fn timeline_with(&self, room_id: String, options: TimelineOptions) -> Result<Timeline, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.timeline_with(&room_id, options).await }).await.map(timeline)
    }

    /// Who is in a room, admins first, then by name: what is held at once, the rest as it comes.
    pub async fn member_list(&self, room_id: String) -> Result<MemberList, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.member_list(&room_id).await }).await.map(|list| MemberList(Pulled::new(list)))
    }

    /// What is unread in all rooms together.
    pub async fn unread_totals(&self) -> Result<UnreadTotals, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.unread_totals().await }).await.map(|totals| UnreadTotals(Pulled::new(totals)))
    }

    /// What was typed and the server does not have, oldest first.
    pub async fn outbox(&self) -> Result<OutboxList, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.outbox().await }).await.map(|list| OutboxList(Pulled::new(list)))
    }

    /// How the client stands to its server, as it changes.
    pub fn states(&self) -> Result<ConnectionStates, ClientError> {
        Pulled::begin(|| States::new(self.core.states())).map(ConnectionStates)
    }

    /// Who is writing in a room.
    pub fn typers(&self, room_id: String) -> Result<Typers, ClientError> {
        Pulled::begin(|| self.core.typers(&room_id)).map(Typers)
    }

    /// Who is here, of the people on the screen.
    pub fn presence(&self, user_ids: Vec<String>) -> Result<Presence, ClientError> {
        Pulled::begin(|| self.core.presence(user_ids)).map(Presence)
    }

    /// How many have read a message on the screen.
    pub fn readers(&self, room_id: String, seq: i64) -> Result<Readers, ClientError> {
        Pulled::begin(|| self.core.readers(&room_id, seq)).map(Readers)
    }
}
