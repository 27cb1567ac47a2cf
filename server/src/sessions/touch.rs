//! Last calls, written in the background: a call never waits for it, and what does not fit is dropped.

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::{Visit, store};
use crate::database::Database;

/// Visits that wait to be written; more are dropped and noted by a later call.
const MOST_WAITING: usize = 4_096;

/// Visits that one statement writes.
const AT_ONCE: usize = 256;

/// Where visits are noted.
#[derive(Debug)]
pub(super) struct Touches(mpsc::Sender<(Visit, DateTime<Utc>)>);

impl Touches {
    /// Starts the task, which ends with this.
    pub(super) fn start(database: Database) -> Self {
        let (sender, mut waiting) = mpsc::channel(MOST_WAITING);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, AT_ONCE).await > 0 {
                if let Err(error) = store::touch(database.pool(), &batch).await {
                    tracing::warn!(%error, "last calls of device sessions were not written");
                }
                batch.clear();
            }
        });
        Self(sender)
    }

    pub(super) fn note(&self, visit: &Visit, now: DateTime<Utc>) {
        // Full: the next call of the device a minute later notes it.
        let _ = self.0.try_send((visit.clone(), now));
    }
}
