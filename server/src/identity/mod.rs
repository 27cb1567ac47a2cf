//! From a bearer token to who it speaks for: the issuer's keys, and every check of an access token.
//!
//! Always true: a token is believed only after its signature was checked with a key of the issuer under an algorithm of the
//! allow-list that fits the key; its issuer, audience, client and times are checked by type and by our clock. An issuer that
//! is away stops nobody whose key is known. Tokens are never logged. This module knows no person and no database.

mod claims;
mod fetch;
mod keys;
mod logout;
mod signature;
mod token;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use self::{claims::Claims, logout::Logout, wire::Role};
use self::{
    claims::Rules,
    keys::Keys,
    logout::Logouts,
    token::{Token, Use},
};
use crate::{
    clock::Clock,
    config::Config,
    error::{Error, Reason, Refusal, Result},
};

/// Verified tokens that are remembered: some 10 MB.
const MOST_REMEMBERED: usize = 10_000;

/// Checks tokens.
#[derive(Debug)]
pub struct Identity {
    keys: Keys,
    rules: Rules,
    logouts: Logouts,
    clock: Arc<dyn Clock>,
    remembered: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// Generation of the keys that checked them.
    generation: u64,
    claims: HashMap<[u8; 32], Arc<Claims>>,
}

impl Identity {
    /// Fetches nothing yet: an issuer that is down does not stop the server.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self {
            keys: Keys::new(config, Arc::clone(&clock))?,
            rules: Rules::new(config),
            logouts: Logouts::new(config),
            clock,
            remembered: Mutex::default(),
        })
    }

    /// Who the token speaks for. Refused with `TOKEN_INVALID`, `TOKEN_EXPIRED` or `ISSUER_UNAVAILABLE`.
    pub async fn verify(&self, token: &str) -> Result<Arc<Claims>> {
        token::check_length(token)?;
        let name: [u8; 32] = Sha256::digest(token).into();
        self.keys.refresh_in_background();
        if let Some(claims) = self.remembered(&name) {
            self.rules.check_times(&claims, self.clock.now())?;
            return Ok(claims);
        }
        let (payload, generation) = self.signed(token, Use::Access).await?;
        let claims = Arc::new(self.rules.read(&payload, self.clock.now())?);
        self.remember(name, generation, &claims);
        Ok(claims)
    }

    /// Which session the issuer says has ended. Refused like [`Self::verify`]; with the check `jti` when it is done already.
    pub async fn verify_logout(&self, token: &str) -> Result<Logout> {
        self.keys.refresh_in_background();
        let (payload, _) = self.signed(token, Use::Logout).await?;
        self.logouts.read(&payload, self.clock.now())
    }

    /// Remembers a logout until its token ends.
    pub fn logout_is_done(&self, logout: &Logout) {
        self.logouts.remember(logout, self.clock.now());
    }

    /// What a token says that the issuer has signed, and the generation of the keys that says so.
    async fn signed(&self, token: &str, wanted: Use) -> Result<(Map<String, Value>, u64)> {
        let parsed = Token::parse(token, wanted)?;
        let key = self.keys.key(&parsed.key_id, parsed.algorithm).await?;
        parsed.check_signature(&key.public)?;
        Ok((parsed.payload()?, key.generation))
    }

    /// Fetches the keys if they are not there yet; for the start.
    pub async fn warm(&self) {
        self.keys.warm().await;
    }

    fn remembered(&self, name: &[u8; 32]) -> Option<Arc<Claims>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = remembered.generation == self.keys.generation();
        remembered.claims.get(name).filter(|_| fresh).cloned()
    }

    fn remember(&self, name: [u8; 32], generation: u64, claims: &Arc<Claims>) {
        let now = self.clock.now();
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.generation != generation {
            // A key may be gone: what it signed is checked anew.
            *remembered = Remembered { generation, claims: HashMap::new() };
        }
        if remembered.claims.len() >= MOST_REMEMBERED {
            remembered.claims.retain(|_, claims| claims.expires_at > now);
        }
        if remembered.claims.len() >= MOST_REMEMBERED {
            remembered.claims.clear();
        }
        remembered.claims.insert(name, Arc::clone(claims));
    }
}

/// A token that fails a check.
fn invalid(check: &'static str) -> Error {
    Refusal::new(Reason::TokenInvalid, format!("the token fails the check: {check}")).with("check", check).into()
}

#[cfg(test)]
mod tests;
