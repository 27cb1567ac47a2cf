//! What waits in the outbox: put in, waited for, tried again, thrown away.

use crate::{
    client::Client,
    clock::{millis, new_id},
    engine::changes::{self, Change},
    error::{ClientError, ClientErrorKind},
    store::{
        Durability, Write,
        outbox::{self, Entry, EntryState},
    },
    waiters::Waiter,
};

impl Client {
    /// The id of a new change.
    pub(super) fn change_id(&self) -> String {
        new_id(&*self.inner.config.clock)
    }

    /// Puts a change in, under this id, which is the answer.
    pub(super) async fn change(&self, change: impl Change, id: String) -> Result<String, ClientError> {
        changes::check(&change)?;
        let now = millis(self.inner.config.clock.now());
        let change_id = id.clone();
        self.inner.store.write(Durability::Outbox, move |w| changes::put(w, &change, &change_id, "", now)).await?;
        self.inner.wake.outbox.notify_one();
        Ok(id)
    }

    /// Waits until the server has done a change, or refused it: then the error is its refusal, and the change waits to be
    /// tried again or thrown away. The answer is the position of a message, else 0. Giving the wait up changes nothing. At
    /// most 10,000 changes are waited for at once.
    pub async fn settled(&self, change_id: &str) -> Result<i64, ClientError> {
        let observers = &self.inner.observers;
        let mut waiter: Option<Waiter> = None;
        loop {
            let entry = self.entry(change_id).await?;
            match (entry.state, &mut waiter) {
                (EntryState::Acknowledged, _) => return Ok(entry.seq),
                (EntryState::Failed, _) => return Err(ClientError::refused(entry.reason, entry.message)),
                // What happened since it was read is seen by the next look.
                (_, None) => waiter = Some(observers.waiters.wait_for(entry.id)?),
                (_, Some(waiter)) => tokio::select! {
                    () = waiter.touched() => {}
                    () = observers.ended() => return Err(ClientError::ended()),
                },
            }
        }
    }

    async fn entry(&self, change_id: &str) -> Result<Entry, ClientError> {
        let id = change_id.to_owned();
        let entry = self.inner.store.read(move |r| outbox::find(r.conn, &id)).await?;
        entry.ok_or_else(|| ClientError::new(ClientErrorKind::NotFound, "no such change is known any more"))
    }

    /// Tries a change that has failed again, at its old place. With a room that could not be made goes all that was meant for it.
    pub async fn retry_failed(&self, change_id: &str) -> Result<(), ClientError> {
        self.failed(change_id, changes::retry).await?;
        self.inner.wake.outbox.notify_one();
        Ok(())
    }

    /// Throws a change that has failed away; with a room that could not be made all that was meant for it.
    pub async fn discard_failed(&self, change_id: &str) -> Result<(), ClientError> {
        self.failed(change_id, changes::discard).await
    }

    async fn failed(
        &self,
        change_id: &str,
        job: impl FnOnce(&mut Write<'_>, &str) -> rusqlite::Result<bool> + Send + 'static,
    ) -> Result<(), ClientError> {
        let id = change_id.to_owned();
        let found = self.inner.store.write(Durability::Outbox, move |w| job(w, &id)).await?;
        let missing = || ClientError::new(ClientErrorKind::NotFound, "no such change has failed");
        found.then_some(()).ok_or_else(missing)
    }
}
