//! The way to the server: one HTTP/2 connection, and what each call carries.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use madang_proto::v1::ErrorReason;
use rustls::crypto::ring;
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use crate::{
    config::{Backoff, ClientConfig, TokenProvider},
    error::{ClientError, ClientErrorKind},
    observe::lock,
    tokens::Tokens,
};

/// To open a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Deadline of a call that gives no other; the server caps its own work below that.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// HTTP/2 pings: half the time after which the server counts a peer as dead.
const PING: Duration = Duration::from_secs(20);
/// Wait for the answer to a ping.
const PING_ANSWER: Duration = Duration::from_secs(10);
/// Attempts of a command that somebody waits for.
const ATTEMPTS: u32 = 3;
/// Longest wait between those, whatever the server asks for: beyond that the caller decides.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Connection {
    endpoint: Endpoint,
    channel: Mutex<Channel>,
    tokens: Tokens,
    fixed: MetadataMap,
    epoch: Mutex<String>,
    backoff: Backoff,
    clock: Arc<dyn crate::clock::Clock>,
}

impl Connection {
    /// Connects when first used. Fails if the address is none.
    pub(crate) fn new(
        config: &ClientConfig,
        device_id: &str,
        tokens: Arc<dyn TokenProvider>,
    ) -> Result<Self, ClientError> {
        let endpoint = endpoint(&config.server)?;
        let mut fixed = MetadataMap::new();
        let values = [
            ("madang-device-id", device_id),
            ("madang-platform", &config.platform),
            ("madang-app-version", &config.app_version),
            ("accept-language", &config.language),
        ];
        for (name, value) in values {
            fixed.insert(name, ascii(name, value)?);
        }
        Ok(Self {
            channel: Mutex::new(endpoint.connect_lazy()),
            endpoint,
            tokens: Tokens::new(tokens, Arc::clone(&config.clock)),
            fixed,
            epoch: Mutex::default(),
            backoff: config.backoff,
            clock: Arc::clone(&config.clock),
        })
    }

    /// Id of this installation.
    pub(crate) fn device_id(&self) -> &str {
        // It was made from a text when the connection was.
        self.fixed.get("madang-device-id").and_then(|id| id.to_str().ok()).unwrap_or_default()
    }

    /// Drops the connection; the next call opens another.
    pub(crate) fn reset(&self) {
        *lock(&self.channel) = self.endpoint.connect_lazy();
    }

    pub(crate) fn channel(&self) -> Channel {
        lock(&self.channel).clone()
    }

    /// The epoch that calls name from now on.
    pub(crate) fn set_epoch(&self, epoch: &str) {
        epoch.clone_into(&mut lock(&self.epoch));
    }

    /// The epoch that calls name.
    pub(crate) fn epoch(&self) -> String {
        lock(&self.epoch).clone()
    }

    /// A token in place of one that was refused or ends. Those who ask at once share one renewal.
    pub(crate) async fn renew(&self, refused: &str) -> Result<String, ClientError> {
        self.tokens.renew(refused).await
    }

    /// A fresh token, whatever the last one was.
    pub(crate) async fn renew_now(&self) -> Result<String, ClientError> {
        self.tokens.renew_now().await
    }

    /// The server has taken this token as that of the store's person.
    pub(crate) fn is_mine(&self, token: &str) {
        self.tokens.is_mine(token);
    }

    /// The host has signed in anew.
    pub(crate) fn forget_token(&self) {
        self.tokens.forget();
    }

    /// A request with everything that a call carries, and the token it carries. The stream names its epoch in Hello.
    pub(crate) async fn request<T>(&self, message: T, epoch: bool) -> Result<(Request<T>, String), ClientError> {
        let token = if epoch { self.tokens.for_call().await? } else { self.tokens.for_stream().await? };
        let mut request = self.bare(message);
        let bearer = ascii("authorization", &format!("Bearer {token}"))?;
        request.metadata_mut().insert("authorization", bearer);
        let known = lock(&self.epoch).clone();
        if epoch && !known.is_empty() {
            request.metadata_mut().insert("madang-epoch", ascii("madang-epoch", &known)?);
        }
        Ok((request, token))
    }

    /// A request of somebody who is not signed in.
    pub(crate) fn bare<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.fixed.clone();
        request
    }

    /// Calls once; a token that has expired is renewed and the call repeated.
    pub(crate) async fn call_once<T, R, F>(
        &self,
        message: T,
        rpc: impl Fn(Channel, Request<T>) -> F,
    ) -> Result<R, ClientError>
    where
        T: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut renewed = false;
        loop {
            let (mut request, token) = self.request(message.clone(), true).await?;
            request.set_timeout(DEADLINE);
            let error = match rpc(self.channel(), request).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => ClientError::from(status),
            };
            if error.reason != Some(ErrorReason::TokenExpired) || renewed {
                return Err(error);
            }
            renewed = true;
            self.renew(&token).await?;
        }
    }

    /// Calls, and repeats what may be repeated a few times: somebody waits. Every call of the contract may be repeated.
    pub(crate) async fn call<T, R, F>(
        &self,
        message: T,
        rpc: impl Fn(Channel, Request<T>) -> F,
    ) -> Result<R, ClientError>
    where
        T: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.call_once(message.clone(), &rpc).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let delay = error.retry_after.unwrap_or_default().max(self.backoff.delay(attempt));
            if attempt == ATTEMPTS || !error.may_repeat() || delay > PATIENCE {
                return Err(error);
            }
            self.clock.sleep(delay).await;
        }
    }
}

fn ascii(name: &str, value: &str) -> Result<MetadataValue<Ascii>, ClientError> {
    let invalid = |_| ClientError::new(ClientErrorKind::Invalid, format!("{name} is not plain ASCII"));
    value.parse().map_err(invalid)
}

/// The endpoint of an address; fails if it is none.
pub(crate) fn endpoint(server: &str) -> Result<Endpoint, ClientError> {
    let invalid = |error: &dyn std::fmt::Display| {
        ClientError::new(ClientErrorKind::Invalid, format!("the server's address {server:?}: {error}"))
    };
    let endpoint = Endpoint::from_shared(server.to_owned())
        .map_err(|error| invalid(&error))?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING_ANSWER)
        .keep_alive_while_idle(true)
        .user_agent(concat!("madang-sdk-core/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| invalid(&error))?;
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        Some("https") => {
            let verifier = rustls_platform_verifier::Verifier::new(Arc::new(ring::default_provider()))
                .map_err(|error| invalid(&error))?;
            endpoint
                .tls_config_with_verifier(ClientTlsConfig::new(), Arc::new(verifier))
                .map_err(|error| invalid(&error))
        }
        _ => Err(invalid(&"must begin with http:// or https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_http_or_https_and_nothing_else() {
        assert!(endpoint("http://127.0.0.1:50051").is_ok());
        assert!(endpoint("https://chat.example.com").is_ok());
        for wrong in ["chat.example.com", "ftp://chat.example.com", "", "http://"] {
            assert_eq!(endpoint(wrong).unwrap_err().kind, ClientErrorKind::Invalid, "{wrong}");
        }
    }
}
