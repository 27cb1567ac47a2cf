//! The issuer's state on disk, so that a restart keeps tokens good.
//!
//! Written at most twice a second and at the end: a process that is killed loses the sign-ins of its last half second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::core::Core;
use super::keys::{KeyRing, SavedKeys};
use super::store::{Session, Store};

/// Time between two writes.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Serialize, Deserialize)]
struct Saved {
    keys: SavedKeys,
    sessions: Vec<Session>,
}

/// Keys and sessions of the last time; new ones when there was none.
pub(super) fn load(path: &Path) -> Result<(KeyRing, Store)> {
    if !path.exists() {
        return Ok((KeyRing::generate()?, Store::default()));
    }
    let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let saved: Saved = serde_json::from_slice(&text).with_context(|| format!("understand {}", path.display()))?;
    let mut store = Store::default();
    for session in saved.sessions {
        store.sessions.insert(session.sid.clone(), session);
    }
    Ok((KeyRing::load(&saved.keys)?, store))
}

pub(super) fn save(path: &Path, core: &Core) -> Result<()> {
    let sessions = core.store().sessions.in_order().map(|(_, session)| session.clone()).collect();
    let saved = Saved { keys: core.keys().save()?, sessions };
    crate::files::write_private(path, &serde_json::to_vec(&saved)?)
}

/// Writes what has changed, again and again. Ends when aborted.
pub(super) async fn keep(path: PathBuf, core: Arc<Core>) {
    let mut written = None;
    loop {
        let changes = core.changes.load(Ordering::Relaxed);
        // A write that fails is tried again with the next round.
        if written != Some(changes) && save(&path, &core).is_ok() {
            written = Some(changes);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
