//! What was typed and the server does not have.

use std::sync::Arc;

use super::diff::{Followed, Keyed, ListChange};
use crate::{
    engine::Inner,
    error::ClientError,
    observe::Listener,
    store::{OutboxItem, outbox},
};

/// What waits, is on its way or has failed, of all rooms, oldest first; pulled.
#[derive(Debug)]
pub struct OutboxList {
    inner: Arc<Inner>,
    listener: Arc<Listener>,
    list: Followed<OutboxItem>,
    /// Something changed that is not read yet.
    stale: bool,
}

impl Keyed for OutboxItem {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        &self.client_message_id
    }
}

impl OutboxList {
    pub(crate) async fn open(inner: Arc<Inner>) -> Result<Self, ClientError> {
        let listener = inner.observers.listen(None);
        let items = read(&inner).await?;
        Ok(Self { inner, listener, list: Followed::new(items), stale: false })
    }

    /// The entries after the changes that [`next`](Self::next) has told.
    pub fn items(&self) -> &[OutboxItem] {
        self.list.told()
    }

    /// Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. `None`: the client
    /// has ended.
    pub async fn next(&mut self) -> Option<Vec<ListChange<OutboxItem>>> {
        loop {
            if let Some(batch) = self.list.batch() {
                return Some(batch);
            }
            if !self.stale {
                self.listener.changed().await?;
            }
            self.stale = true;
            self.listener.take();
            let items = read(&self.inner).await.ok()?;
            self.stale = false;
            self.list.turn_into(items);
        }
    }
}

async fn read(inner: &Inner) -> Result<Vec<OutboxItem>, ClientError> {
    inner.store.read(|r| Ok(outbox::waiting(r.conn)?.into_iter().map(OutboxItem::from).collect())).await
}
