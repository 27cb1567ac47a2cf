//! The life of a client: put to rest and woken, offline by the host's wish, signed out, ended.
//!
//! Always true: one change of life at a time; a client at rest has no task, no connection and no file open; what has ended
//! stays so, for all clones and lists.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use madang_proto::v1::{SignOutRequest, identity_service_client::IdentityServiceClient};
use tokio::{
    sync::{Mutex as AsyncMutex, MutexGuard as AsyncGuard},
    task::JoinSet,
};

use crate::{
    client::Client,
    config::Mode,
    engine::{ConnectionState, Inner},
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::{Changes, lock},
    store::{Durability, meta, notified, outbox},
};

/// How long a sign-out may wait for the server; after that the session ends by its own age.
const SIGN_OUT: Duration = Duration::from_secs(5);

/// What keeps a client alive: its last drop ends it.
#[derive(Debug)]
pub(crate) struct Life {
    inner: Arc<Inner>,
    tasks: Mutex<JoinSet<()>>,
    wish: Mutex<Wish>,
    /// One change of life at a time.
    turn: AsyncMutex<()>,
    /// One [`Client::sync_once`] at a time.
    pub(crate) syncing: AsyncMutex<()>,
}

/// What the host wants.
#[derive(Debug, Clone, Copy, Default)]
struct Wish {
    suspended: bool,
    disconnected: bool,
}

impl Life {
    /// Starts the tasks of a client whose store is open.
    pub(crate) fn begin(inner: Arc<Inner>) -> Self {
        let disconnected = inner.config.mode == Mode::Background;
        inner.offline.send_replace(disconnected);
        Self {
            tasks: Mutex::new(inner.start()),
            wish: Mutex::new(Wish { suspended: false, disconnected }),
            turn: AsyncMutex::default(),
            syncing: AsyncMutex::default(),
            inner,
        }
    }

    /// No task and no file.
    async fn rest(&self, _turn: &AsyncGuard<'_, ()>) {
        self.stop().await;
        for (room_id, seq) in self.inner.seen_rooms() {
            self.inner.store.write_soon(move |w| notified::put(&w.tx, &room_id, seq));
        }
        self.inner.store.suspend().await;
        self.inner.tell_state(ConnectionState::Suspended);
    }

    /// The file and the tasks, if they are not there.
    async fn rise(&self, _turn: &AsyncGuard<'_, ()>) -> Result<(), ClientError> {
        if self.inner.store.is_suspended() {
            self.inner.store.reopen().await?;
            if let Err(error) = take_up(&self.inner).await {
                self.inner.store.suspend().await;
                return Err(error);
            }
            *lock(&self.tasks) = self.inner.start();
        }
        Ok(())
    }

    async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
        self.inner.lost();
        self.inner.connection.reset();
    }

    fn end_tasks(&self) {
        lock(&self.tasks).abort_all();
    }

    fn wish(&self, change: impl FnOnce(&mut Wish)) -> Wish {
        let mut wish = lock(&self.wish);
        change(&mut wish);
        *wish
    }

    /// Wakes the client for one call, whatever the host wants beside it.
    pub(crate) async fn borrow(&self) -> Result<(), ClientError> {
        let turn = self.turn.lock().await;
        if self.inner.store.has_ended() {
            return Err(ClientError::ended());
        }
        self.rise(&turn).await?;
        self.inner.offline.send_replace(false);
        Ok(())
    }

    /// The call is over: back to what the host wants.
    pub(crate) async fn give_back(&self) {
        let turn = self.turn.lock().await;
        let wish = self.wish(|_| ());
        self.inner.offline.send_replace(wish.disconnected);
        let open = !self.inner.store.is_suspended() && !self.inner.store.has_ended();
        if wish.suspended && open {
            self.rest(&turn).await;
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end_tasks();
        self.inner.store.end_soon();
        self.inner.tell_state(ConnectionState::Ended { reason: ClientError::ended() });
        self.inner.observers.end();
    }
}

/// What is remembered beside the rows, read again: another process may have had the file, or it is a new one.
async fn take_up(inner: &Inner) -> Result<(), ClientError> {
    let device_id = inner.connection.device_id().to_owned();
    let known = inner.me.borrow().clone().unwrap_or_default();
    let held_epoch = inner.connection.epoch();
    let read = move |w: &mut crate::store::Write<'_>| {
        meta::set(&w.tx, meta::DEVICE_ID, &device_id)?;
        outbox::recover(&w.tx)?;
        Ok((w.me.clone(), meta::text(&w.tx, meta::EPOCH)?))
    };
    let (me, epoch) = inner.store.write(Durability::Outbox, read).await?;
    if !me.is_empty() && !known.is_empty() && me != known && epoch == held_epoch {
        let message = "the store belongs to another person now";
        return Err(ClientError::local(ClientErrorKind::Conflict, LocalReason::StoreOfAnother, message));
    }
    inner.connection.set_epoch(&epoch);
    if !me.is_empty() {
        inner.me.send_replace(Some(me));
    }
    inner.tell_all();
    Ok(())
}

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

    /// Waits until the outbox is empty, at most this long. Tells whether it is.
    pub async fn drain(&self, timeout: Duration) -> bool {
        let mut changed = self.changed();
        let emptied = async {
            loop {
                match self.inner.store.read(|r| outbox::unsent(r.conn)).await {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) if error.kind == ClientErrorKind::Cancelled => return false,
                    Err(error) => tracing::warn!(%error, "whether the outbox is empty is not known"),
                }
                if changed.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::select! {
            emptied = emptied => emptied,
            () = self.inner.config.clock.sleep(timeout) => false,
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
    let rpc = |channel, request| async { IdentityServiceClient::new(channel).sign_out(request).await };
    let answer = tokio::select! {
        answer = inner.connection.call_once(SignOutRequest {}, rpc) => answer,
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

impl Inner {
    /// Everything that is shown is to be read again.
    fn tell_all(&self) {
        self.observers.publish(&Changes { people: true, everything: true, ..Changes::default() });
    }

    /// Says how the client stands. What has ended stays so.
    pub(crate) fn tell_state(&self, state: ConnectionState) {
        self.state.send_if_modified(|held| {
            let changed = !self.is_over(held) && *held != state;
            if changed {
                self.connection.record.state(&state);
                *held = state;
            }
            changed
        });
    }

    fn is_over(&self, state: &ConnectionState) -> bool {
        matches!(state, ConnectionState::Ended { reason } if *reason == ClientError::ended()) && self.store.has_ended()
    }
}
