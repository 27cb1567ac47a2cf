//! Access tokens: asked of the host, kept while they are good, renewed before they end.
//!
//! Always true: however many wait, the host is asked once at a time; what it gives is plain ASCII and of the person whose
//! stream is open; a host that hangs or panics fails a call and holds up nothing else.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::{FutureExt as _, future::Shared};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    clock::Clock,
    config::TokenProvider,
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::lock,
};

/// How long the host may take to give a token. As long as a call may take; it may have to ask its issuer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A token is renewed so long before it ends, so that none ends on its way; of one that lives shortly, in its last tenth.
const EARLY: Duration = Duration::from_mins(1);
/// Longest token that is taken. A header of the server's holds 16 KiB.
const LONGEST: usize = 12 << 10;

type Asking = Shared<Pin<Box<dyn Future<Output = Result<String, ClientError>> + Send>>>;

/// Tokens of one client.
#[derive(Debug)]
pub(crate) struct Tokens {
    provider: Arc<dyn TokenProvider>,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    /// The question that is on its way, and whether it is for a fresh one.
    asking: Mutex<Option<(bool, Asking)>>,
}

/// The last token.
#[derive(Debug, Default)]
struct Held {
    token: String,
    /// When it is to be renewed, by our clock; `None`: that is not known.
    renew_at: Option<SystemTime>,
    /// Whom the token of the open stream is for.
    subject: Option<String>,
}

impl Tokens {
    pub(crate) fn new(provider: Arc<dyn TokenProvider>, clock: Arc<dyn Clock>) -> Self {
        Self { provider, clock, held: Mutex::default(), asking: Mutex::default() }
    }

    /// A token for a call. Fails with `STORE_OF_ANOTHER` when it is not for the person whose stream is open.
    pub(crate) async fn for_call(&self) -> Result<String, ClientError> {
        let token = self.for_stream().await?;
        let held = lock(&self.held).subject.clone();
        match (held, subject(&token)) {
            (Some(held), Some(given)) if held != given => {
                let message = "the token is another person's";
                Err(ClientError::local(ClientErrorKind::Conflict, LocalReason::StoreOfAnother, message))
            }
            _ => Ok(token),
        }
    }

    /// A token for a stream; whether it is the right person's, the server's Welcome tells.
    pub(crate) async fn for_stream(&self) -> Result<String, ClientError> {
        let token = self.ask(false).await?;
        if !self.is_ending(&token) {
            return Ok(token);
        }
        // One that is good for a moment more is better than none.
        Ok(self.ask(true).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a token that is about to end could not be renewed");
            token
        }))
    }

    /// A token in place of one that was refused. Those who ask at once share one renewal.
    pub(crate) async fn renew(&self, refused: &str) -> Result<String, ClientError> {
        let held = lock(&self.held).token.clone();
        if held.is_empty() || held == refused { self.ask(true).await } else { Ok(held) }
    }

    /// A fresh token, whatever the last one was.
    pub(crate) async fn renew_now(&self) -> Result<String, ClientError> {
        self.ask(true).await
    }

    /// The server has taken this token as that of the store's person.
    pub(crate) fn is_mine(&self, token: &str) {
        lock(&self.held).subject = subject(token);
    }

    /// The host has signed in anew: what is known of tokens is worth nothing.
    pub(crate) fn forget(&self) {
        *lock(&self.held) = Held::default();
    }

    /// Asks the host, or waits for the answer to the same question.
    async fn ask(&self, fresh: bool) -> Result<String, ClientError> {
        let asking = {
            let mut slot = lock(&self.asking);
            // An answer that is there is an old one.
            let joins = slot.as_ref().filter(|(fresher, asking)| *fresher >= fresh && asking.peek().is_none());
            match joins {
                Some((_, asking)) => asking.clone(),
                None => slot.insert((fresh, question(&self.provider, &self.clock, fresh))).1.clone(),
            }
        };
        let token = asking.await?;
        self.hold(&token, fresh);
        Ok(token)
    }

    fn hold(&self, token: &str, fresh: bool) {
        let mut held = lock(&self.held);
        if held.token != token {
            token.clone_into(&mut held.token);
            held.renew_at = renew_at(token, fresh, self.clock.now());
        } else if fresh {
            // The host has no other: it is good until it is refused.
            held.renew_at = None;
        }
    }

    fn is_ending(&self, token: &str) -> bool {
        let held = lock(&self.held);
        held.token == token && held.renew_at.is_some_and(|at| at <= self.clock.now())
    }
}

/// Asks the host on a task of its own, so that a panic is its own, and no longer than it may take.
fn question(provider: &Arc<dyn TokenProvider>, clock: &Arc<dyn Clock>, fresh: bool) -> Asking {
    let (provider, patience) = (Arc::clone(provider), clock.sleep(PATIENCE));
    let ask = async move {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { provider.token(fresh).await });
        tokio::select! {
            answer = tasks.join_next() => match answer {
                Some(Ok(answer)) => answer.and_then(check),
                _ => Err(invalid("the host panicked over a token")),
            },
            () = patience => {
                let message = "the host gave no token in time";
                Err(ClientError::local(ClientErrorKind::Offline, LocalReason::TokenTimeout, message))
            }
        }
    };
    ask.boxed().shared()
}

fn check(token: String) -> Result<String, ClientError> {
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    match () {
        () if token.is_empty() => Err(invalid("the host gave an empty token")),
        () if !plain => Err(invalid("the host gave a token that is not plain ASCII")),
        () if token.len() > LONGEST => Err(invalid("the host gave a token of more than 12 KiB")),
        () => Ok(token),
    }
}

fn invalid(message: &str) -> ClientError {
    ClientError::local(ClientErrorKind::Unauthenticated, LocalReason::TokenInvalid, message)
}

/// What a token says of itself, if it is a JWT. Not proven: the server does that.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn subject(token: &str) -> Option<String> {
    let claims = claims(token)?;
    Some(format!("{} {}", claims.get("iss")?.as_str()?, claims.get("sub")?.as_str()?))
}

/// When a token is to be renewed, by our clock. Of a fresh one the age is known whatever our clock says; any other is
/// compared with our clock, and if that is wrong one renewal too many puts it right.
fn renew_at(token: &str, fresh: bool, now: SystemTime) -> Option<SystemTime> {
    let claims = claims(token)?;
    let seconds = |name: &str| claims.get(name).and_then(Value::as_u64).map(Duration::from_secs);
    let (exp, iat) = (seconds("exp")?, seconds("iat"));
    let ours = now.duration_since(UNIX_EPOCH).ok()?;
    let life = exp.checked_sub(iat.unwrap_or(ours)).filter(|life| !life.is_zero());
    let early = life.map_or(EARLY, |life| EARLY.min(life / 10));
    match life {
        Some(life) if fresh => Some(now + life.checked_sub(early)?),
        // Ends before it begins, or is over, and the host calls it fresh: the server will say.
        None if fresh => None,
        _ => UNIX_EPOCH.checked_add(exp.saturating_sub(early)),
    }
}
