//! What is unread in all rooms together: the number on an app's icon.

use std::sync::Arc;

use crate::{
    engine::Inner,
    error::ClientError,
    observe::Listener,
    store::{Totals, rooms},
};

/// The totals, pulled.
#[derive(Debug)]
pub struct UnreadTotals {
    inner: Arc<Inner>,
    listener: Arc<Listener>,
    told: Totals,
}

impl UnreadTotals {
    pub(crate) async fn open(inner: Arc<Inner>) -> Result<Self, ClientError> {
        let listener = inner.observers.listen(None);
        let told = read(&inner).await?;
        Ok(Self { inner, listener, told })
    }

    /// The totals as they were last told.
    pub fn now(&self) -> Totals {
        self.told
    }

    /// Waits until they are others, and tells them. `None`: the client has ended.
    pub async fn next(&mut self) -> Option<Totals> {
        loop {
            // First: a change that the last read was too early for is found by the next wait.
            let now = match read(&self.inner).await {
                Ok(read) => read,
                Err(error) if self.inner.goes_on(&error).await => continue,
                Err(_) => return None,
            };
            if now != self.told {
                self.told = now;
                return Some(now);
            }
            self.listener.changed().await?;
            self.listener.take();
        }
    }
}

async fn read(inner: &Inner) -> Result<Totals, ClientError> {
    inner.store.read(|r| rooms::totals(r.conn, r.guards)).await
}
