//! Tokens over HTTP: the token endpoint's answers.

use std::time::Duration;

use madang_sdk_core::{ClientError, ClientErrorKind};
use serde::Deserialize;
use tokio::time::Instant;

/// To ask the issuer.
const DEADLINE: Duration = Duration::from_secs(15);
/// A token is renewed so long before its end: a call on its way must not outlive it.
const MARGIN: Duration = Duration::from_secs(20);

/// Tokens as they are held.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    until: Instant,
}

impl Tokens {
    /// Tokens that end after a while.
    pub(super) fn new(access: String, refresh: Option<String>, lives: Duration) -> Self {
        Self { access, refresh, until: Instant::now() + lives.saturating_sub(MARGIN) }
    }

    /// Whether the access token is good for a while.
    pub(super) fn are_good(&self) -> bool {
        Instant::now() < self.until
    }
}

/// The token endpoint's answer.
#[derive(Debug, Deserialize)]
pub(super) struct TokenAnswer {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

/// A client for the issuer. Redirects are not followed: an issuer that sends elsewhere is not the one asked for.
pub(super) fn client() -> Result<reqwest::Client, ClientError> {
    reqwest::Client::builder()
        .timeout(DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| ClientError::new(ClientErrorKind::Internal, error.to_string()))
}

/// Asks a token endpoint.
pub(super) async fn ask(http: &reqwest::Client, endpoint: &str, form: &[(&str, &str)]) -> Result<Tokens, ClientError> {
    let offline = |error: reqwest::Error| ClientError::new(ClientErrorKind::Offline, format!("the issuer: {error}"));
    let answer = http.post(endpoint).form(form).send().await.map_err(offline)?;
    let status = answer.status();
    if status.is_client_error() {
        let body = answer.text().await.unwrap_or_default();
        return Err(ClientError::new(ClientErrorKind::Unauthenticated, format!("the issuer refused: {status} {body}")));
    }
    let answer: TokenAnswer = answer.error_for_status().map_err(offline)?.json().await.map_err(offline)?;
    let lives = Duration::from_secs(answer.expires_in.unwrap_or(60));
    Ok(Tokens::new(answer.access_token, answer.refresh_token, lives))
}
