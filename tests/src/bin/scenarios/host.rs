//! The host of a client: has a sign-in at the issuer, and answers the client's questions for a token.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use madang_sdk_core::{ClientError, ClientErrorKind, TokenProvider};
use tokio::sync::watch;

use crate::Ground;

/// Names of sign-ins.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What a host answers.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// A token of the sign-in of this name.
    Good(u64),
    /// None for now.
    Missing,
    /// The person must sign in.
    SignIn,
}

impl Answer {
    /// A token of a new sign-in.
    fn anew() -> Self {
        Self::Good(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The host of a client.
#[derive(Debug)]
pub(crate) struct Host {
    ground: Arc<Ground>,
    pub(crate) login: String,
    answer: Mutex<Answer>,
    /// How often a fresh token was wanted.
    renewals: watch::Sender<u64>,
}

impl Host {
    pub(crate) fn new(ground: &Arc<Ground>, login: &str) -> Arc<Self> {
        Arc::new(Self {
            ground: Arc::clone(ground),
            login: login.to_owned(),
            answer: Mutex::new(Answer::anew()),
            renewals: watch::Sender::new(0),
        })
    }

    /// What it answers from now on.
    pub(crate) fn answers(&self, how: &str) -> Result<()> {
        *self.answer.lock().expect("no panic holds it") = match how {
            "anew" => Answer::anew(),
            "missing" => Answer::Missing,
            "sign_in" => Answer::SignIn,
            _ => bail!("no such answer"),
        };
        Ok(())
    }

    /// Waits until a fresh token is wanted.
    pub(crate) async fn renewed(&self) -> Result<()> {
        Ok(self.renewals.subscribe().changed().await?)
    }

    async fn ask(&self, line: String) -> Result<String> {
        let ground = Arc::clone(&self.ground);
        // A question that is given up halfway would leave its answer to the next one.
        let answer = tokio::spawn(async move { ground.say(&line).await }).await??;
        Ok(answer["token"].as_str().unwrap_or_default().to_owned())
    }
}

#[async_trait]
impl TokenProvider for Host {
    async fn token(&self, fresh: bool) -> Result<String, ClientError> {
        if fresh {
            self.renewals.send_modify(|times| *times += 1);
        }
        let answer = *self.answer.lock().expect("no panic holds it");
        match answer {
            Answer::Good(sign_in) => {
                let word = if fresh { "fresh" } else { "token" };
                let asked = self.ask(format!("{word} {} {sign_in}", self.login)).await;
                asked.map_err(|error| ClientError::new(ClientErrorKind::Offline, format!("{error:#}")))
            }
            Answer::Missing => Err(ClientError::new(ClientErrorKind::Offline, "no token for now")),
            Answer::SignIn => Err(ClientError::new(ClientErrorKind::Unauthenticated, "sign in")),
        }
    }
}
