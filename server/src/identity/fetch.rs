//! Fetching the issuer's keys: discovery, then the key set.
//!
//! Always true: no redirect is followed, an answer is bounded in time and size, and the key set comes from where the issuer
//! itself says, over TLS unless the settings allow plaintext.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};

use crate::config::Config;

/// Longest wait for one answer of the issuer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer; Keycloak's are some 10 KiB.
const MOST_BYTES: usize = 256 * 1024;

/// Fetches from one issuer.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: reqwest::Client,
    config: Config,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The key set, each key still as JSON: one that we cannot read must not spoil the others.
#[derive(Deserialize)]
pub(super) struct KeySet {
    pub(super) keys: Vec<serde_json::Value>,
}

impl Fetcher {
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        // reqwest takes the process's provider; a second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("madang")
            .build()
            .map_err(|error| format!("the client for the issuer: {error}"))?;
        Ok(Self { client, config: config.clone() })
    }

    /// The key set as the issuer publishes it now.
    pub(super) async fn fetch(&self) -> Result<KeySet, String> {
        let base = self.config.issuer.trim_end_matches('/');
        let discovery: Discovery = self.get(&format!("{base}/.well-known/openid-configuration")).await?;
        if discovery.issuer != self.config.issuer {
            return Err(format!("discovery is of another issuer: {}", discovery.issuer));
        }
        if !self.config.may_fetch(&discovery.jwks_uri) {
            return Err(format!("jwks_uri must be https: {}", discovery.jwks_uri));
        }
        self.get(&discovery.jwks_uri).await
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let failed = |error: reqwest::Error| format!("{url}: {error}");
        let mut answer =
            self.client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        if !answer.status().is_success() {
            return Err(format!("{url}: {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(format!("{url}: more than {MOST_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url}: {error}"))
    }
}
