//! What keeps a client alive: its tasks, its store, and what the host wants of both.
//!
//! Always true: one change of life at a time; a client at rest has no task, no connection and no file open; what has ended
//! stays so, for all clones and lists.

use std::sync::{Arc, Mutex};

use tokio::{
    sync::{Mutex as AsyncMutex, MutexGuard as AsyncGuard},
    task::JoinSet,
};

use crate::{
    config::Mode,
    engine::{ConnectionState, Inner},
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::{Changes, lock},
    store::{Durability, meta, notified, outbox},
};

/// What keeps a client alive: its last drop ends it.
#[derive(Debug)]
pub(crate) struct Life {
    inner: Arc<Inner>,
    tasks: Mutex<JoinSet<()>>,
    pub(crate) wish: Mutex<Wish>,
    /// One change of life at a time.
    pub(crate) turn: AsyncMutex<()>,
    /// One [`sync_once`](crate::Client::sync_once) at a time.
    pub(crate) syncing: AsyncMutex<()>,
}

/// What the host wants.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    pub(crate) suspended: bool,
    pub(crate) disconnected: bool,
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
    pub(crate) async fn rest(&self, _turn: &AsyncGuard<'_, ()>) {
        self.stop().await;
        for (room_id, seq) in self.inner.seen_rooms() {
            self.inner.store.write_soon(move |w| notified::put(&w.tx, &room_id, seq));
        }
        self.inner.store.suspend().await;
        self.inner.tell_state(ConnectionState::Suspended);
    }

    /// The file and the tasks, if they are not there.
    pub(crate) async fn rise(&self, _turn: &AsyncGuard<'_, ()>) -> Result<(), ClientError> {
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

    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
        self.inner.lost();
        self.inner.connection.reset();
    }

    fn end_tasks(&self) {
        lock(&self.tasks).abort_all();
    }

    pub(crate) fn wish(&self, change: impl FnOnce(&mut Wish)) -> Wish {
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

impl Inner {
    /// Everything that is shown is to be read again.
    pub(crate) fn tell_all(&self) {
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
