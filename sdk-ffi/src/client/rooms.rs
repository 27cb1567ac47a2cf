//! Rooms and people.

use madang_sdk_core::{
    NewRoom, ProfileChange, RoomMember,
    v1::{self, CustomStatus, UserStatus},
};

use super::Client;
use crate::{
    error::ClientError,
    runtime::{handed_over, spawned},
};

#[uniffi::export]
impl Client {
    /// Makes a room with its members; it opens at once, offline too, and messages may be sent into it. The answer is its id,
    /// which is also the id of the change.
    pub async fn create_room(&self, room: NewRoom) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.create_room(room).await }).await
    }

    /// The one room with a person, made if there is none: only the server knows, so this needs a connection. The answer is
    /// its id.
    pub async fn open_direct(&self, user_id: String) -> Result<String, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.open_direct(&user_id).await }).await
    }

    /// Enters an open room, or one that the person has left. The answer is the id of the change.
    pub async fn join(&self, room_id: String) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.join(&room_id).await }).await
    }

    /// Leaves a room; what is held of it stays on this device, and out of the list. The answer is the id of the change.
    pub async fn leave(&self, room_id: String) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.leave(&room_id).await }).await
    }

    /// Brings people in, by id. The answer is the id of the change.
    pub async fn invite(&self, room_id: String, user_ids: Vec<String>) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.invite(&room_id, user_ids).await }).await
    }

    /// Takes a person out. The answer is the id of the change.
    pub async fn remove(&self, room_id: String, user_id: String) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.remove(&room_id, &user_id).await }).await
    }

    /// Who is in a room: from the store where it holds them all, else from the server.
    pub async fn members(&self, room_id: String) -> Result<Vec<RoomMember>, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.members(&room_id).await }).await
    }

    /// Changes one's own profile; it is shown at once. The answer is the id of the change.
    pub async fn update_profile(&self, profile: ProfileChange) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.update_profile(profile).await }).await
    }

    /// Sets one's own status as a whole; it is shown at once. The answer is the id of the change.
    pub async fn set_status(&self, status: UserStatus, custom: Option<CustomStatus>) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.set_status(status, custom).await }).await
    }

    /// People whose login or name begins with a text; the first page.
    pub async fn search_users(&self, prefix: String) -> Result<Vec<v1::User>, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.search_users(&prefix).await }).await
    }

    /// A profile, from the store or else from the server. `None`: no such person.
    pub async fn user(&self, user_id: String) -> Result<Option<v1::User>, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.user(&user_id).await }).await
    }
}
