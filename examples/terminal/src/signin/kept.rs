//! An account that was signed in: its refresh token lies in a file that only its owner may read (0600). A key ring of the
//! system would be better kept; this file works everywhere.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use madang_sdk_core::{ClientError, ClientErrorKind, TokenProvider};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::http::{self, Tokens};

/// An account on a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    /// Name at sign-in.
    pub(super) login: String,
    /// Where tokens are refreshed.
    pub(super) token_endpoint: String,
    /// Who refreshes.
    pub(super) client_id: String,
    /// Ends with the session at the issuer.
    pub(super) refresh_token: String,
}

impl Account {
    /// Reads an account; `None`: nobody has signed in yet.
    pub(super) fn read(file: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let account =
            serde_json::from_str(&text).with_context(|| format!("{} is not what it should be", file.display()))?;
        Ok(Some(account))
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let fresh = file.with_extension("new");
        // An earlier one might have wider rights.
        let _ = fs::remove_file(&fresh);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut written = options.open(&fresh).with_context(|| format!("cannot write {}", fresh.display()))?;
        written.write_all(&serde_json::to_vec(self)?)?;
        written.sync_all()?;
        fs::rename(&fresh, file).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Tokens by refreshing. Issuers that rotate refresh tokens end the session when one is used twice, so the new one is on the
/// disk before the access token is used.
#[derive(Debug)]
pub(super) struct KeptTokens {
    http: reqwest::Client,
    file: PathBuf,
    held: Mutex<(Account, Option<Tokens>)>,
}

impl KeptTokens {
    pub(super) fn new(file: PathBuf, account: Account) -> Result<Self> {
        Ok(Self { http: http::client()?, file, held: Mutex::new((account, None)) })
    }

    async fn refresh(&self, account: &mut Account) -> Result<Tokens, ClientError> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &account.client_id),
            ("refresh_token", &account.refresh_token),
        ];
        let tokens = http::ask(&self.http, &account.token_endpoint, &form).await?;
        if let Some(rotated) = &tokens.refresh {
            account.refresh_token.clone_from(rotated);
            let storage = |error: anyhow::Error| ClientError::new(ClientErrorKind::Storage, format!("{error:#}"));
            account.write(&self.file).map_err(storage)?;
        }
        Ok(tokens)
    }
}

#[async_trait]
impl TokenProvider for KeptTokens {
    async fn token(&self, fresh: bool) -> Result<String, ClientError> {
        let (account, tokens) = &mut *self.held.lock().await;
        if let Some(tokens) = tokens.as_ref().filter(|tokens| !fresh && tokens.are_good()) {
            return Ok(tokens.access.clone());
        }
        match self.refresh(account).await {
            Ok(renewed) => Ok(tokens.insert(renewed).access.clone()),
            Err(error) => {
                if error.kind == ClientErrorKind::Unauthenticated {
                    // The session at the issuer is over: the next start signs in anew.
                    let _ = fs::remove_file(&self.file);
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn tokens_lie_where_only_their_owner_reads_them() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = std::env::temp_dir().join(format!("madang-terminal-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("tokens.json");
        let account = Account {
            login: "ann".into(),
            token_endpoint: "http://issuer/token".into(),
            client_id: "madang".into(),
            refresh_token: "secret".into(),
        };
        account.write(&file).unwrap();
        account.write(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Account::read(&file).unwrap().unwrap().refresh_token, "secret");
        fs::remove_dir_all(&folder).unwrap();
    }
}
