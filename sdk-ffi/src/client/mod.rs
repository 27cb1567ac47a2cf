//! The client: the core's, with a counter beside it.

mod life;
mod opening;
mod rooms;
mod writing;

use std::sync::Arc;

use madang_sdk_core::{self as core, ConnectionState, MessageKey, Rescued, RoomItem, v1::ServerInfo};

use crate::{
    error::ClientError,
    live::Counted,
    runtime::{Running, at_once, spawned},
    types::{Counters, Explanation},
};

/// A signed-in installation: its store, its connection, and everything that a screen needs. Ended by `shutdown`, or when the
/// last who holds it lets go.
#[derive(uniffi::Object)]
pub struct Client {
    core: core::Client,
    _live: Counted,
    _threads: Option<Arc<Running>>,
}

impl Client {
    /// Says something to the core that does not wait. Without threads there would be no client.
    fn at_once(&self, say: impl FnOnce(&core::Client)) {
        drop(at_once(|| say(&self.core)));
    }
}

#[uniffi::export]
impl Client {
    /// How the client stands to its server.
    pub fn state(&self) -> ConnectionState {
        self.core.state()
    }

    /// What was rescued when the store could not be read and had to be made anew; `None`: it could.
    pub fn rescued(&self) -> Option<Rescued> {
        self.core.rescued()
    }

    /// The person; known once the server has answered for the first time.
    pub fn me(&self) -> Option<String> {
        self.core.me()
    }

    /// Id of this installation, under which the server knows its session.
    pub fn device_id(&self) -> String {
        self.core.device_id().to_owned()
    }

    /// What the server says about itself; needs no sign-in.
    pub async fn server_info(&self) -> Result<ServerInfo, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.server_info().await }).await
    }

    /// Unread items of all rooms.
    pub async fn unread_total(&self) -> Result<i64, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.unread_total().await }).await
    }

    /// Rooms that the person has left or was removed from and that are still known on this device.
    pub async fn former_rooms(&self) -> Result<Vec<RoomItem>, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.former_rooms().await }).await
    }

    /// What the client has done since it was opened.
    pub fn counters(&self) -> Counters {
        self.core.counters().into()
    }

    /// What support wants to know, as JSON: versions, settings, numbers of the store, counters and the last 1,000 events.
    /// Holds ids, numbers, kinds and reasons; nothing that anybody wrote, no names, no tokens, no addresses. Does not fail:
    /// of a store that cannot be read it says so.
    pub async fn support_bundle(&self) -> Result<String, ClientError> {
        let core = self.core.clone();
        spawned(async move { Ok(core.support_bundle().await) }).await
    }

    /// Why a message is on this device as it is, from what this device knows; asks nobody.
    pub async fn explain(&self, room_id: String, message: MessageKey) -> Result<Explanation, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.explain(&room_id, message).await.map(Explanation::from) }).await
    }
}
