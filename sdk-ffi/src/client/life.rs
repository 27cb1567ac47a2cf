//! The life of a client, as its host decides it.

use std::time::Duration;

use madang_sdk_core::{self as core, SyncOutcome};

use super::Client;
use crate::{
    error::ClientError,
    runtime::{handed_over, spawned},
};

#[uniffi::export]
impl Client {
    /// Puts the client to rest, as before the system freezes the app: nothing runs, and the store's file is closed, with
    /// nothing beside it, when this returns; at most 2 s. Calls fail with `SUSPENDED` until `resume`, lists
    /// wait, and what was typed waits on the disk. A `sync_once` that runs is broken off.
    pub async fn suspend(&self) -> Result<(), ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.suspend().await }).await
    }

    /// Goes on after `suspend`, and connects at once. Whatever another process did to the file meanwhile is
    /// seen. Fails as opening does, as with `STORE_BUSY`, and then stays at rest; may be repeated.
    pub async fn resume(&self) -> Result<(), ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.resume().await }).await
    }

    /// Lets go of the connection and opens no other until `reconnect`: the host wants to be offline. The
    /// store stays open, and everything works as without a network.
    pub fn disconnect(&self) {
        self.at_once(core::Client::disconnect);
    }

    /// Connects, at once: after `disconnect`, after a new sign-in, or instead of waiting for the next
    /// attempt. A client that is there for the background connects only in `sync_once`.
    pub fn reconnect(&self) {
        self.at_once(core::Client::reconnect);
    }

    /// Waits until the outbox is empty, at most this long. Tells whether it is.
    pub async fn drain(&self, timeout: Duration) -> Result<bool, ClientError> {
        let core = self.core.clone();
        spawned(async move { Ok(core.drain(timeout).await) }).await
    }

    /// Drains the outbox, at most this long, then ends the client with all its clones and lists. When it returns the file is
    /// closed and no thread is left. What was not sent waits on the disk.
    pub async fn shutdown(&self, timeout: Duration) -> Result<(), ClientError> {
        let core = self.core.clone();
        handed_over(async move {
            core.shutdown(timeout).await;
            Ok(())
        })
        .await
    }

    /// Signs this device out: the server revokes its session, if it can be reached within 5 s, and everything that the store
    /// has on the disk is removed, also what was typed and not sent. Then the client has ended. Tells whether the server
    /// knows; else the session ends by its own age. Fails if the store cannot be removed, as with `STORE_BUSY`.
    pub async fn sign_out(&self) -> Result<bool, ClientError> {
        let core = self.core.clone();
        handed_over(async move { core.sign_out().await }).await
    }

    /// Connects, catches up, sends what waits, and says what to notify of: for a push or a background fetch. Takes no longer
    /// than `deadline` and a moment, and does not fail for being offline: then it is not `finished`. Works on a client that
    /// is at rest, which is at rest again afterwards, and on one that runs. Fails when the person must sign in, when the
    /// server will not have this client, with `STORE_BUSY` when another process has the store meanwhile, and with
    /// `SUSPENDED` when the host puts the client to rest during it.
    pub async fn sync_once(&self, deadline: Duration) -> Result<SyncOutcome, ClientError> {
        let core = self.core.clone();
        spawned(async move { core.sync_once(deadline).await }).await
    }

    /// The system says that the network is another one: what is connected is let go of, and it is connected anew at once.
    pub fn network_changed(&self) {
        self.at_once(core::Client::network_changed);
    }

    /// Whether the app is in front of the person. A dead connection is then found out within 20 s instead of 45 s, for which
    /// the device is woken every 10 s; and bringing the app to the front looks whether the connection is still there, and
    /// does not wait for the next attempt. A client begins in front, unless it is there for the background: an app that runs
    /// on behind others says so here, and is woken by the server's heartbeats alone.
    pub fn set_foreground(&self, foreground: bool) {
        self.at_once(|core| core.set_foreground(foreground));
    }

    /// Whether the network is paid for by what goes over it. Then nothing is fetched that nobody has asked for: the next stream
    /// brings the rows of rooms on the screen alone, and of the others what the room list shows; they come when a room is
    /// opened. `sync_once` tells the newest message of a room instead of all. Room list and badges are as
    /// right as ever.
    pub fn set_metered(&self, metered: bool) {
        self.core.set_metered(metered);
    }

    /// Says which rooms are on the screen beside open timelines: they are kept complete.
    pub fn set_focus(&self, room_ids: Vec<String>) {
        self.at_once(|core| core.set_focus(room_ids));
    }

    /// Catches a room up before it returns.
    pub async fn sync_room_now(&self, room_id: String) -> Result<(), ClientError> {
        let core = self.core.clone();
        spawned(async move { core.sync_room_now(&room_id).await }).await
    }

    /// Drops every message, member and receipt that can be had from the server again, and gives the disk back what they took.
    /// What was typed, drafts, marks and badges stay; a room's messages come again when it is opened.
    pub async fn clear_cache(&self) -> Result<(), ClientError> {
        let core = self.core.clone();
        spawned(async move { core.clear_cache().await }).await
    }
}
