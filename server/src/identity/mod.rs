//! From a bearer token to who it speaks for: the issuer's keys, and every check of an access token.
//!
//! Always true: a token is believed only after its signature was checked with a key of the issuer under an algorithm of the
//! allow-list that fits the key; its issuer, audience, client and times are checked by type and by our clock. An issuer that
//! is away stops nobody whose key is known. Tokens are never logged. This module knows no person and no database.

mod claims;
mod fetch;
mod keys;
mod token;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

pub use self::{claims::Claims, wire::Role};
use self::{claims::Rules, keys::Keys, token::Token};
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
        let parsed = Token::parse(token)?;
        let key = self.keys.key(&parsed.key_id, parsed.algorithm).await?;
        parsed.check_signature(&key.decoding)?;
        let claims = Arc::new(self.rules.read(&parsed.payload()?, self.clock.now())?);
        self.remember(name, key.generation, &claims);
        Ok(claims)
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
