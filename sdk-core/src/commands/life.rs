//! The life of a client, as its host decides it: put to rest and woken, offline, signed out, ended.

use std::time::Duration;

use madang_proto::v1::SignOutRequest;

use crate::{
    client::Client,
    config::Mode,
    engine::{ConnectionState, Inner},
    error::{ClientError, ClientErrorKind},
    store::outbox,
};

/// How long a sign-out may wait for the server; after that the session ends by its own age.
const SIGN_OUT: Duration = Duration::from_secs(5);

/// How long a look into the outbox may take: a disk that does not answer within it has nothing to say to whoever waits.
const LOOK: Duration = Duration::from_secs(1);

impl Client {
    /// Puts the client to rest, as before the system freezes the app: nothing runs, and the store's file is closed, with
    /// nothing beside it, when this returns; at most 2 s. Calls fail with `SUSPENDED` until [`resume`](Self::resume), lists
    /// wait, and what was typed waits on the disk. A [`sync_once`](Self::sync_once) that runs is broken off.
    pub async fn suspend(&self) -> Result<(), ClientError> {
        self.life.wish(|wish| wish.suspended = true);
        self.inner.broken_off.send_modify(|times| *times += 1);
        let turn = self.life.turn.lock().await;
        self.still_there()?;
        self.life.rest(&turn).await;
        Ok(())
    }

    /// Goes on after [`suspend`](Self::suspend), and connects at once. Whatever another process did to the file meanwhile is
    /// seen. Fails as opening does, as with `STORE_BUSY`, and then stays at rest; may be repeated.
    pub async fn resume(&self) -> Result<(), ClientError> {
        let turn = self.life.turn.lock().await;
        self.still_there()?;
        self.life.rise(&turn).await?;
        self.life.wish(|wish| wish.suspended = false);
        drop(turn);
        self.reconnect();
        Ok(())
    }

    /// Lets go of the connection and opens no other until [`reconnect`](Self::reconnect): the host wants to be offline. The
    /// store stays open, and everything works as without a network.
    pub fn disconnect(&self) {
        self.life.wish(|wish| wish.disconnected = true);
        self.inner.offline.send_replace(true);
        self.inner.connection.reset();
    }

    /// Connects, at once: after [`disconnect`](Self::disconnect), after a new sign-in, or instead of waiting for the next
    /// attempt. A client that is there for the background connects only in [`sync_once`](Self::sync_once).
    pub fn reconnect(&self) {
        if self.inner.config.mode == Mode::Background {
            return;
        }
        self.life.wish(|wish| wish.disconnected = false);
        self.inner.connection.forget_token();
        self.inner.offline.send_replace(false);
        self.inner.wake.hurry.notify_one();
    }

    /// Waits until the outbox is empty, at most this long. Tells whether it is; it looks once in any case.
    pub async fn drain(&self, timeout: Duration) -> bool {
        let mut changed = self.changed();
        let clock = &self.inner.config.clock;
        let first = tokio::select! {
            first = self.is_drained() => first,
            () = clock.sleep(LOOK) => None,
        };
        if let Some(drained) = first {
            return drained;
        }
        let emptied = async {
            while changed.changed().await.is_ok() {
                if let Some(drained) = self.is_drained().await {
                    return drained;
                }
            }
            false
        };
        tokio::select! {
            emptied = emptied => emptied,
            () = clock.sleep(timeout) => false,
        }
    }

    /// Whether the outbox is empty; `None`: not yet.
    async fn is_drained(&self) -> Option<bool> {
        match self.inner.store.read(|r| outbox::unsent(r.conn)).await {
            Ok(0) => Some(true),
            Ok(_) => None,
            Err(error) if error.kind == ClientErrorKind::Cancelled => Some(false),
            Err(error) => {
                tracing::warn!(%error, "whether the outbox is empty is not known");
                None
            }
        }
    }

    /// Drains the outbox, at most this long, then ends the client with all its clones and lists. When it returns the file is
    /// closed and no thread is left. What was not sent waits on the disk.
    pub async fn shutdown(&self, timeout: Duration) {
        self.drain(timeout).await;
        self.inner.broken_off.send_modify(|times| *times += 1);
        let _turn = self.life.turn.lock().await;
        self.life.stop().await;
        self.inner.store.end().await;
        self.ended();
    }

    /// Signs this device out: the server revokes its session, if it can be reached within 5 s, and everything that the store
    /// has on the disk is removed, also what was typed and not sent. Then the client has ended. Tells whether the server
    /// knows; else the session ends by its own age. Fails if the store cannot be removed, as with `STORE_BUSY`.
    pub async fn sign_out(&self) -> Result<bool, ClientError> {
        self.inner.broken_off.send_modify(|times| *times += 1);
        let _turn = self.life.turn.lock().await;
        self.still_there()?;
        self.life.stop().await;
        let revoked = revoke(&self.inner).await;
        self.inner.store.erase().await?;
        self.ended();
        Ok(revoked)
    }

    fn still_there(&self) -> Result<(), ClientError> {
        if self.inner.store.has_ended() { Err(ClientError::ended()) } else { Ok(()) }
    }

    fn ended(&self) {
        self.inner.tell_state(ConnectionState::Ended { reason: ClientError::ended() });
        self.inner.observers.end();
    }
}

/// Revokes this device's session; tells whether it is revoked.
async fn revoke(inner: &Inner) -> bool {
    let answer = tokio::select! {
        answer = inner.connection.call_once(&SignOutRequest {}) => answer,
        () = inner.config.clock.sleep(SIGN_OUT) => Err(ClientError::new(ClientErrorKind::Offline, "no answer")),
    };
    match answer {
        Ok(_) => true,
        // Whoever is not let in has no session any more.
        Err(error) if error.kind == ClientErrorKind::Unauthenticated && error.reason.is_some() => true,
        Err(error) => {
            tracing::warn!(%error, "the server does not know of the sign-out");
            false
        }
    }
}
