//! What a node is made of, as far as the slices need it.

use std::sync::Arc;

use sqlx::postgres::PgConnection;

use crate::{
    clock::Clock,
    config::Config,
    database::{Database, Work},
    error::Result,
    limits::Limits,
    realtime::{Changes, Hub},
};

/// One server process.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name, unique among the nodes of an installation.
    pub name: Arc<str>,
    /// Settings.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The database.
    pub database: Database,
    /// How often and how much at once.
    pub limits: Arc<Limits>,
    /// The streams of this node.
    pub hub: Arc<Hub>,
}

impl Node {
    /// Runs a transaction and tells the streams what it changed. Both happen whatever becomes of the caller.
    pub async fn change<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut PgConnection) -> Work<'t, (T, Changes)> + Send + Sync + 'static,
    {
        let (hub, guards) = (Arc::clone(&self.hub), self.database.guards());
        let publish = move |changes| async move {
            if guards.pass("publish_change").await {
                hub.publish(changes);
            }
        };
        self.database.write(work, publish).await
    }
}
