//! A person of a story: the real client core, and the calls behind it for what only a test asks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use madang_proto::v1;
use madang_sdk_core::{
    Backoff, Client, ClientConfig, ClientError, ClientErrorKind, ConnectionState, Draft, NewRoom, StoreLocation,
    TokenProvider,
};
use tonic::{Request, transport::Channel};
use uuid::Uuid;

use crate::{Stack, World, world::eventually};

/// A person with one device.
#[derive(Debug, Clone)]
pub struct Person {
    /// Name at sign-in.
    pub login: String,
    /// Our id.
    pub id: String,
    /// The device.
    pub client: Client,
    /// Calls to the same server, without the core.
    pub calls: Calls,
}

/// Calls as a person, without the core.
#[derive(Debug, Clone)]
pub struct Calls {
    /// Address of the server.
    pub server: String,
    /// The connection.
    pub channel: Channel,
    /// Access token.
    pub token: String,
    /// Installation.
    pub device_id: String,
}

/// Tokens from the shared issuer.
#[derive(Debug)]
struct Tokens {
    stack: &'static Stack,
    login: String,
    token: std::sync::Mutex<String>,
}

#[async_trait::async_trait]
impl TokenProvider for Tokens {
    async fn token(&self, fresh: bool) -> Result<String, ClientError> {
        if fresh {
            let token = self.stack.issuer.token(&self.login);
            let token = token.map_err(|e| ClientError::new(ClientErrorKind::Unauthenticated, e.to_string()))?;
            *self.token.lock().expect("no panic holds it") = token;
        }
        Ok(self.token.lock().expect("no panic holds it").clone())
    }
}

impl Calls {
    /// A connection to a server.
    pub fn new(server: &str, token: String, device_id: String) -> Result<Self> {
        Ok(Self {
            server: server.to_owned(),
            channel: Channel::from_shared(server.to_owned())?.connect_lazy(),
            token,
            device_id,
        })
    }

    /// A request with the person's metadata.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", format!("Bearer {}", self.token).parse().expect("tokens are ASCII"));
        metadata.insert("madang-device-id", self.device_id.parse().expect("ids are ASCII"));
        request
    }

    /// Messages.
    pub fn messages(&self) -> v1::message_service_client::MessageServiceClient<Channel> {
        v1::message_service_client::MessageServiceClient::new(self.channel.clone())
    }

    /// Rooms.
    pub fn rooms(&self) -> v1::room_service_client::RoomServiceClient<Channel> {
        v1::room_service_client::RoomServiceClient::new(self.channel.clone())
    }

    /// Marks.
    pub fn reads(&self) -> v1::read_service_client::ReadServiceClient<Channel> {
        v1::read_service_client::ReadServiceClient::new(self.channel.clone())
    }

    /// Sync.
    pub fn sync(&self) -> v1::sync_service_client::SyncServiceClient<Channel> {
        v1::sync_service_client::SyncServiceClient::new(self.channel.clone())
    }

    /// People.
    pub fn users(&self) -> v1::user_service_client::UserServiceClient<Channel> {
        v1::user_service_client::UserServiceClient::new(self.channel.clone())
    }

    /// For whoever runs the installation.
    pub fn admin(&self) -> v1::admin_service_client::AdminServiceClient<Channel> {
        v1::admin_service_client::AdminServiceClient::new(self.channel.clone())
    }

    /// Identity.
    pub fn identity(&self) -> v1::identity_service_client::IdentityServiceClient<Channel> {
        v1::identity_service_client::IdentityServiceClient::new(self.channel.clone())
    }

    /// Sends a text by a call; answers with the item.
    pub async fn send(&self, room_id: &str, text: &str) -> Result<v1::SendMessageResponse, tonic::Status> {
        self.messages().send_message(self.request(send(room_id, text))).await.map(tonic::Response::into_inner)
    }
}

/// A text to be sent, under a new id.
pub fn send(room_id: &str, text: &str) -> v1::SendMessageRequest {
    v1::SendMessageRequest {
        room_id: room_id.to_owned(),
        client_message_id: Uuid::now_v7().to_string(),
        body: Some(v1::MessageBody { text: text.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

impl Person {
    pub(crate) async fn open(
        world: &World,
        login: &str,
        server: &str,
        #[cfg(feature = "sabotage")] without: Option<madang_sdk_core::sabotage::Guard>,
    ) -> Result<Self> {
        let config = ClientConfig {
            backoff: Backoff { base: Duration::from_millis(20), cap: Duration::from_millis(200) },
            #[cfg(feature = "sabotage")]
            without,
            ..ClientConfig::new(server, StoreLocation::Memory)
        };
        Self::open_with(world, login, server, config).await
    }

    /// A device with a store and settings of its own.
    pub async fn open_with(world: &World, login: &str, server: &str, mut config: ClientConfig) -> Result<Self> {
        let token = world.stack.issuer.token(login)?;
        let device_id = config.device_id.get_or_insert_with(|| Uuid::now_v7().to_string()).clone();
        let calls = Calls::new(server, token.clone(), device_id)?;
        let me = calls.identity().get_me(calls.request(v1::GetMeRequest {})).await?.into_inner();
        let tokens = Tokens { stack: world.stack, login: login.to_owned(), token: token.into() };
        let client = Client::open(config, Arc::new(tokens)).await?;
        Ok(Self { login: login.to_owned(), id: me.user.context("a profile")?.id, client, calls })
    }

    /// Whether the device has a stream.
    pub fn is_online(&self) -> bool {
        self.client.state() == ConnectionState::Live
    }

    /// Waits until everything that happened is here.
    pub async fn live(&self) {
        let mut states = self.client.states();
        let live = states.wait_for(|state| *state == ConnectionState::Live);
        let live = tokio::time::timeout(Duration::from_secs(10), live).await;
        live.unwrap_or_else(|_| panic!("{} is not live: {:?}", self.login, self.client.state()))
            .expect("the client lives");
    }

    /// Makes a room with people.
    pub async fn room(&self, name: &str, people: &[&Self]) -> String {
        let members = people.iter().map(|person| person.id.clone()).collect();
        let room = NewRoom { name: name.to_owned(), members, ..NewRoom::default() };
        self.create_room(room).await.expect("a room can be made")
    }

    /// Makes a room and waits for the server; answers with its id.
    pub async fn create_room(&self, room: NewRoom) -> Result<String, ClientError> {
        let room_id = self.client.create_room(room).await?;
        self.client.settled(&room_id).await?;
        Ok(room_id)
    }

    /// Enters a room and waits for the server.
    pub async fn join(&self, room_id: &str) -> Result<(), ClientError> {
        self.done(self.client.join(room_id).await?).await
    }

    /// Leaves a room and waits for the server.
    pub async fn leave(&self, room_id: &str) -> Result<(), ClientError> {
        self.done(self.client.leave(room_id).await?).await
    }

    /// Brings people in and waits for the server.
    pub async fn invite(&self, room_id: &str, user_ids: impl IntoIterator<Item = String>) -> Result<(), ClientError> {
        self.done(self.client.invite(room_id, user_ids).await?).await
    }

    /// Takes a person out and waits for the server.
    pub async fn remove(&self, room_id: &str, user_id: &str) -> Result<(), ClientError> {
        self.done(self.client.remove(room_id, user_id).await?).await
    }

    /// Changes a message and waits for the server.
    pub async fn edit(&self, room_id: &str, seq: i64, draft: impl Into<Draft>) -> Result<(), ClientError> {
        self.done(self.client.edit(room_id, seq, draft).await?).await
    }

    /// Deletes a message and waits for the server.
    pub async fn delete(&self, room_id: &str, seq: i64) -> Result<(), ClientError> {
        self.done(self.client.delete(room_id, seq).await?).await
    }

    /// Waits until the server has done a change, or refused it.
    async fn done(&self, change: String) -> Result<(), ClientError> {
        self.client.settled(&change).await.map(drop)
    }

    /// Says something and waits until it is stored; answers with its position.
    pub async fn say(&self, room_id: &str, text: &str) -> i64 {
        let id = self.client.send(room_id, text).await.expect("it is in the outbox");
        self.stored(room_id, &id).await
    }

    /// Waits until a message of one's own is stored.
    pub async fn stored(&self, room_id: &str, client_message_id: &str) -> i64 {
        eventually("the message is stored", async || {
            let timeline = self.client.timeline(room_id).await.ok()?;
            timeline.items().iter().find_map(|item| match item {
                madang_sdk_core::TimelineItem::Message(message) if message.client_message_id == client_message_id => {
                    message.seq
                }
                _ => None,
            })
        })
        .await
    }

    /// Texts of a room as the device holds them, oldest first, without notices.
    pub async fn texts(&self, room_id: &str) -> Vec<String> {
        let snapshot = self.client.snapshot().await.expect("the store answers");
        let held = snapshot.rooms.get(room_id).map(|room| room.messages.clone()).unwrap_or_default();
        held.into_values().filter_map(|message| Some(message.body?.text)).collect()
    }

    /// Position of a room's newest item, whether it is held or not.
    pub async fn newest(&self, room_id: &str) -> i64 {
        self.rooms().await[room_id].room.as_ref().expect("known").seq
    }

    /// Unread and mentions of a room as the device shows them.
    pub async fn badge(&self, room_id: &str) -> (i64, usize) {
        let snapshot = self.client.snapshot().await.expect("the store answers");
        snapshot.rooms.get(room_id).map_or((0, 0), |room| (room.unread, room.mentions.len()))
    }

    /// Shows these rooms, as if they were on the screen.
    pub fn look_at(&self, rooms: &[&str]) {
        self.client.set_focus(rooms.iter().map(|room| (*room).to_owned()));
    }

    /// Waits until the device knows a room as its own.
    pub async fn sees(&self, room_id: &str) {
        eventually("the room appears", async || {
            let snapshot = self.client.snapshot().await.ok()?;
            snapshot.rooms.get(room_id).filter(|room| room.joined && room.room.is_some()).map(|_| ())
        })
        .await;
    }

    /// The device's store.
    pub async fn rooms(&self) -> BTreeMap<String, madang_sdk_core::RoomSnapshot> {
        self.client.snapshot().await.expect("the store answers").rooms
    }
}
