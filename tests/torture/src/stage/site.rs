//! Where a plan takes place: servers on a database. Neighbours share them, each with people of their own.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use madang_devstack::postgres::TestDatabase;
use tokio::sync::Mutex;

use super::{Ground, Nodes};
use crate::plan::Plan;

/// Servers and their database.
pub struct Site {
    /// What all seeds of the run share.
    pub ground: Arc<Ground>,
    /// The servers.
    pub nodes: Arc<Nodes>,
    /// The database breaks in one way at a time.
    pub turn: Mutex<()>,
    database: TestDatabase,
}

impl Site {
    /// Starts the servers of a plan on a database of their own.
    pub async fn start(ground: &Arc<Ground>, plan: &Plan, logs: &Path, without: Option<&str>) -> Result<Self> {
        let database = ground.database().await?;
        let nodes = Arc::new(Nodes::start(ground, plan, &database.url, logs, without).await?);
        Ok(Self { ground: Arc::clone(ground), nodes, turn: Mutex::default(), database })
    }

    /// How to connect to the database.
    pub fn database_url(&self) -> &str {
        &self.database.url
    }
}
