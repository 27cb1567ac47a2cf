//! The way to the server: one HTTP/2 connection, and what each call carries.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use madang_proto::{Call, v1::ErrorReason};
use prost::bytes::Bytes;
use tokio::sync::watch;
use tonic::{
    Request,
    metadata::{Ascii, MetadataMap, MetadataValue},
};

use crate::{
    ask::{ask, read},
    config::{Backoff, ClientConfig, Mode, TokenProvider},
    diagnostics::Recorder,
    error::{ClientError, ClientErrorKind},
    net::{Line, Route, Wire},
    observe::lock,
    tokens::Tokens,
};

/// Deadline of a call that gives no other; the server caps its own work below that.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// Attempts of a command that somebody waits for.
const ATTEMPTS: u32 = 3;
/// Longest wait between those, whatever the server asks for: beyond that the caller decides.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Connection {
    route: Arc<Route>,
    line: Mutex<Line>,
    in_front: watch::Sender<bool>,
    pub(crate) record: Arc<Recorder>,
    tokens: Tokens,
    fixed: MetadataMap,
    epoch: Mutex<String>,
    backoff: Backoff,
    clock: Arc<dyn crate::clock::Clock>,
}

impl Connection {
    /// Connects when first used. Fails if an address is none or the host's roots are no certificates.
    pub(crate) fn new(
        config: &ClientConfig,
        device_id: &str,
        tokens: Arc<dyn TokenProvider>,
    ) -> Result<Self, ClientError> {
        let route = Arc::new(Route::new(&config.server, &config.network, Arc::clone(&config.clock))?);
        let record = Arc::new(Recorder::new(Arc::clone(&config.clock)));
        let in_front = watch::Sender::new(config.mode == Mode::Foreground);
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
            line: Mutex::new(Line::new(&route, &record, in_front.subscribe())),
            route,
            in_front,
            record,
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

    /// Drops the connection, and what is on its way over it; the next call opens another.
    pub(crate) fn reset(&self) {
        *lock(&self.line) = Line::new(&self.route, &self.record, self.in_front.subscribe());
    }

    /// Whether the app is in front: a dead connection is found out sooner.
    pub(crate) fn set_in_front(&self, in_front: bool) {
        self.in_front.send_if_modified(|held| std::mem::replace(held, in_front) != in_front);
    }

    /// Where calls go in.
    pub(crate) fn channel(&self) -> Wire {
        lock(&self.line).wire()
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
        let (metadata, token) = self.metadata(epoch).await?;
        let mut request = Request::new(message);
        *request.metadata_mut() = metadata;
        Ok((request, token))
    }

    async fn metadata(&self, epoch: bool) -> Result<(MetadataMap, String), ClientError> {
        let token = if epoch { self.tokens.for_call().await? } else { self.tokens.for_stream().await? };
        let mut metadata = self.fixed.clone();
        metadata.insert("authorization", ascii("authorization", &format!("Bearer {token}"))?);
        let known = lock(&self.epoch).clone();
        if epoch && !known.is_empty() {
            metadata.insert("madang-epoch", ascii("madang-epoch", &known)?);
        }
        Ok((metadata, token))
    }

    /// What a call of somebody who is not signed in carries.
    pub(crate) fn fixed(&self) -> MetadataMap {
        self.fixed.clone()
    }

    /// Calls once; a token that has expired is renewed and the call repeated.
    pub(crate) async fn call_once<C: Call>(&self, question: &C) -> Result<C::Answer, ClientError> {
        read::<C>(self.ask_once(C::PATH, question.encode_to_vec().into()).await?)
    }

    /// Calls, and repeats what may be repeated a few times: somebody waits. Every call of the contract may be repeated.
    pub(crate) async fn call<C: Call>(&self, question: &C) -> Result<C::Answer, ClientError> {
        read::<C>(self.ask_patiently(C::PATH, question.encode_to_vec().into()).await?)
    }

    /// The same for a question that is encoded already; the encoded answer.
    pub(crate) async fn ask_once(&self, path: &'static str, question: Bytes) -> Result<Bytes, ClientError> {
        let mut renewed = false;
        loop {
            let (mut request, token) = self.request(question.clone(), true).await?;
            request.set_timeout(DEADLINE);
            let error = match ask(self.channel(), path, request).await {
                Ok(answer) => return Ok(answer),
                Err(status) => ClientError::from(status),
            };
            if error.reason != Some(ErrorReason::TokenExpired) || renewed {
                return Err(error);
            }
            renewed = true;
            self.renew(&token).await?;
        }
    }

    async fn ask_patiently(&self, path: &'static str, question: Bytes) -> Result<Bytes, ClientError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.ask_once(path, question.clone()).await {
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
