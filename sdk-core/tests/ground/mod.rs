//! What the tests without a server share.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use madang_sdk_core::{Backoff, Client, ClientConfig, ClientError, StoreLocation, TokenProvider};

pub const ROOM: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A token that nobody looks at.
#[derive(Debug)]
pub struct AnyToken;

#[async_trait]
impl TokenProvider for AnyToken {
    async fn token(&self, _: bool) -> Result<String, ClientError> {
        Ok("token".into())
    }
}

/// Settings of a client whose server is not there.
pub fn config(store: StoreLocation) -> ClientConfig {
    // Port 1 of the loopback: nobody listens there.
    let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) };
    ClientConfig { backoff, ..ClientConfig::new("http://127.0.0.1:1", store) }
}

/// A client on a file.
pub async fn open(store: &Path) -> Result<Client, ClientError> {
    Client::open(config(StoreLocation::File(store.to_owned())), Arc::new(AnyToken)).await
}

/// A place for a store, for as long as its folder is held.
#[allow(dead_code, reason = "not every file of tests needs it")]
pub fn store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let store = folder.path().join("store.db");
    (folder, store)
}
