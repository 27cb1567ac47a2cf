//! Where access tokens come from: the host is asked, and answers when it can. A question and its answer are two calls, so
//! that no language has to wait inside a callback.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use madang_sdk_core::{self as core, ClientErrorKind};
use tokio::sync::oneshot;

use crate::{error::ClientError, live::Counted, runtime::blocking};

/// Where access tokens come from. The host keeps them; the client asks before each call.
#[uniffi::export(with_foreign)]
pub trait TokenProvider: Send + Sync {
    /// A token is wanted: answer the request, now or within 20 s, on any thread. Called on a thread that may block.
    fn token_wanted(&self, request: Arc<TokenRequest>) -> Result<(), ClientError>;
}

type Answer = Result<String, core::ClientError>;

/// A question for a token. One that is let go of without an answer counts as failed.
#[derive(uniffi::Object)]
pub struct TokenRequest {
    fresh: bool,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
    _live: Counted,
}

#[uniffi::export]
impl TokenRequest {
    /// The last token was refused or is about to end: another one is wanted.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Gives a token that is good now: plain ASCII.
    pub fn give(&self, token: String) {
        self.answer(Ok(token));
    }

    /// There is no token, because the person must sign in again.
    pub fn sign_in_needed(&self, message: String) {
        self.answer(Err(core::ClientError::new(ClientErrorKind::Unauthenticated, message)));
    }

    /// There is no token for now; the client asks again by and by.
    pub fn fail(&self, message: String) {
        self.answer(Err(core::ClientError::new(ClientErrorKind::Offline, message)));
    }
}

impl TokenRequest {
    fn answer(&self, answer: Answer) {
        let sender = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody waits any more: the next question comes anyway.
            let _ = sender.send(answer);
        }
    }
}

/// The host's provider, as the core asks it.
pub(crate) struct HostTokens {
    host: Arc<dyn TokenProvider>,
    _live: Counted,
}

impl HostTokens {
    pub(crate) fn new(host: Arc<dyn TokenProvider>) -> Self {
        Self { host, _live: Counted::callback() }
    }
}

impl fmt::Debug for HostTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostTokens(..)")
    }
}

#[async_trait]
impl core::TokenProvider for HostTokens {
    async fn token(&self, fresh: bool) -> Answer {
        let (sender, answer) = oneshot::channel();
        let request = TokenRequest { fresh, answer: Mutex::new(Some(sender)), _live: Counted::token_request() };
        let host = Arc::clone(&self.host);
        blocking(move || host.token_wanted(Arc::new(request))).await??;
        let unanswered =
            |_| core::ClientError::new(ClientErrorKind::Offline, "the host let go of the question for a token");
        answer.await.map_err(unanswered)?
    }
}
