//! A device's tokens: the host's side, which keeps a good one in a file, and the core's, which asks for it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use madang_sdk_core::{ClientError, ClientErrorKind, TokenProvider};
use serde_json::json;
use tokio::sync::Mutex;

use crate::stage::Ground;

/// What a server forgives the issuer's clock: a token ends for calls so much later than it says.
const LEEWAY: i64 = 30;

/// The host's side: a session at the issuer.
pub struct Tokens {
    ground: Arc<Ground>,
    login: String,
    sid: String,
    file: PathBuf,
}

/// How long a token is good.
#[derive(Debug, Clone, Copy)]
pub enum Life {
    /// Longer than any run.
    Long,
    /// Streams end so many seconds later.
    Stream(i64),
    /// Calls are refused so many seconds later, and streams at once.
    Call(i64),
}

impl Tokens {
    /// Signs in.
    pub fn begin(ground: &Arc<Ground>, login: &str, file: PathBuf) -> Result<Self> {
        let sid = ground.issuer.session(login)?.sid;
        let tokens = Self { ground: Arc::clone(ground), login: login.to_owned(), sid, file };
        tokens.renew(Life::Long)?;
        Ok(tokens)
    }

    /// Puts a fresh token where the core finds it.
    pub fn renew(&self, life: Life) -> Result<()> {
        let token = self.ground.issuer.token_with(&self.login, |claims, _| {
            claims["sid"] = json!(self.sid);
            let now = claims["iat"].as_i64().unwrap_or_default();
            match life {
                Life::Long => {}
                Life::Stream(seconds) => claims["exp"] = json!(now + seconds),
                Life::Call(seconds) => claims["exp"] = json!(now - LEEWAY + seconds),
            }
        })?;
        // Whole at any time: the core may be reading.
        let new = self.file.with_extension("new");
        std::fs::write(&new, token).with_context(|| format!("write {}", new.display()))?;
        std::fs::rename(&new, &self.file).context("put a token in its place")
    }
}

/// The core's side: a token is held until another is wanted, and getting one may be slow, or fail.
#[derive(Debug)]
pub struct FileTokens {
    file: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    token: Option<String>,
    fails: u32,
    slow: Duration,
}

impl FileTokens {
    /// Tokens from a file.
    pub fn of(file: PathBuf) -> Self {
        Self { file, held: Mutex::default() }
    }

    /// Forgets what is held; from now on a fresh token takes long, and the next few times there is none.
    pub async fn trouble(&self, fails: u32, slow: Duration) {
        *self.held.lock().await = Held { token: None, fails, slow };
    }
}

#[async_trait]
impl TokenProvider for FileTokens {
    async fn token(&self, fresh: bool) -> Result<String, ClientError> {
        let mut held = self.held.lock().await;
        if let (Some(token), false) = (&held.token, fresh) {
            return Ok(token.clone());
        }
        if fresh && held.fails > 0 {
            held.fails -= 1;
            tokio::time::sleep(held.slow).await;
            return Err(ClientError::new(ClientErrorKind::Offline, "the issuer does not answer"));
        }
        let read = tokio::fs::read_to_string(&self.file).await;
        let read = read.map_err(|error| ClientError::new(ClientErrorKind::Unauthenticated, error.to_string()))?;
        held.token = Some(read.clone());
        Ok(read)
    }
}
