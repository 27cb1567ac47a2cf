//! Messages, marks, and what waits in the outbox.

use madang_sdk_core::{Draft, MessageKey};

use super::Client;
use crate::{
    error::ClientError,
    runtime::{handed_over, spawned},
};

#[uniffi::export]
impl Client {
    /// Sends a message. It is on the disk when this returns, and leaves in the order of the calls; the answer is its id,
    /// by which the timeline shows how far it is.
    pub async fn send(&self, room_id: String, draft: Draft) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.send(&room_id, draft).await }).await
    }

    /// Replaces the text of one's own message, also of one that is not there yet. The answer is the id of the change; of a
    /// message that has never left it is that of the message, which says the new text when it leaves.
    pub async fn edit(&self, room_id: String, message: MessageKey, draft: Draft) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.edit(&room_id, message, draft).await }).await
    }

    /// Deletes a message for everybody; one that has never left is thrown away. The answer is the id of the change.
    pub async fn delete(&self, room_id: String, message: MessageKey) -> Result<String, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.delete(&room_id, message).await }).await
    }

    /// Says that the person is writing. Lossy, and cheap to call at every key: the host need not count.
    pub fn typing(&self, room_id: String) {
        self.at_once(|core| core.typing(&room_id));
    }

    /// What the person began to write in a room; empty: nothing.
    pub async fn draft(&self, room_id: String) -> Result<String, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.draft(&room_id).await }).await
    }

    /// Keeps what the person began to write; empty: nothing.
    pub async fn set_draft(&self, room_id: String, text: String) -> Result<(), ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.set_draft(&room_id, &text).await }).await
    }

    /// Marks everything up to an item as read. Marks merge by maximum: one that moves nothing is none.
    pub async fn mark_read(&self, room_id: String, seq: i64) -> Result<(), ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.mark_read(&room_id, seq).await }).await
    }

    /// Marks an item and all after it as unread. No older mark of another device undoes it.
    pub async fn mark_unread(&self, room_id: String, seq: i64) -> Result<(), ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.mark_unread(&room_id, seq).await }).await
    }

    /// Waits until the server has done a change, or refused it: then the error is its refusal, and the change waits to be
    /// tried again or thrown away. The answer is the position of a message, else 0. Giving the wait up changes nothing.
    pub async fn settled(&self, change_id: String) -> Result<i64, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.settled(&change_id).await }).await
    }

    /// Tries a change that has failed again, at its old place. With a room that could not be made goes all that was meant for it.
    pub async fn retry_failed(&self, change_id: String) -> Result<(), ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.retry_failed(&change_id).await }).await
    }

    /// Throws a change that has failed away; with a room that could not be made all that was meant for it.
    pub async fn discard_failed(&self, change_id: String) -> Result<(), ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.discard_failed(&change_id).await }).await
    }
}
