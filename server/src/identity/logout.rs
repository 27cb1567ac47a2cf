//! The issuer's word that a session has ended (OpenID Connect Back-Channel Logout 1.0).
//!
//! Always true: a logout token is carried out once on a node, and only with the signature, issuer, client and times of one; whoever
//! repeats it elsewhere ends nothing that was begun later, because the time of its issue counts.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    claims::{LEEWAY, contains, identifier, time},
    invalid,
};
use crate::{
    config::Config,
    error::{Error, Reason, Result},
};

/// What a logout token is for (OpenID Connect Back-Channel Logout 1.0, 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Logout tokens that are remembered until they end; Keycloak's live for two minutes.
const MOST_REMEMBERED: usize = 10_000;

/// A session that the issuer has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    /// Who, as the issuer knows them.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The session; empty: all of the person's may have ended.
    pub sid: String,
    /// When the issuer said so.
    pub issued_at: DateTime<Utc>,
    /// Names the token.
    id: String,
    /// How long the token may be said.
    until: DateTime<Utc>,
}

/// What logout tokens must say, and those that were carried out.
#[derive(Debug)]
pub(super) struct Logouts {
    issuer: String,
    clients: Vec<String>,
    done: Mutex<HashMap<String, DateTime<Utc>>>,
}

impl Logouts {
    pub(super) fn new(config: &Config) -> Self {
        let mut clients = config.allowed_clients.clone();
        clients.push(config.client_id.clone());
        clients.extend(config.web_client_id.clone());
        Self { issuer: config.issuer.clone(), clients, done: Mutex::default() }
    }

    /// Reads a payload whose signature is right, unless it was carried out before.
    pub(super) fn read(&self, payload: &Map<String, Value>, now: DateTime<Utc>) -> Result<Logout> {
        if payload.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(invalid("iss"));
        }
        let is_for_us = |audience: &Value| self.clients.iter().any(|client| contains(audience, client));
        if !payload.get("aud").is_some_and(is_for_us) {
            return Err(invalid("aud"));
        }
        let event = payload.get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(invalid("events"));
        }
        // Whoever has a nonce holds an ID token.
        if payload.contains_key("nonce") {
            return Err(invalid("nonce"));
        }
        let text = |name| identifier(payload.get(name).and_then(Value::as_str).unwrap_or_default());
        let id = text("jti").filter(|id| !id.is_empty()).ok_or_else(|| invalid("jti"))?;
        let until = time(payload, "exp")?.ok_or_else(|| invalid("exp"))? + LEEWAY;
        let logout = Logout {
            subject: text("sub").filter(|subject| !subject.is_empty()).ok_or_else(|| invalid("sub"))?,
            issuer: self.issuer.clone(),
            sid: text("sid").ok_or_else(|| invalid("sid"))?,
            issued_at: time(payload, "iat")?.ok_or_else(|| invalid("iat"))?,
            id,
            until,
        };
        if logout.until <= now {
            return Err(Error::refused(Reason::TokenExpired, "the logout token has expired"));
        }
        if logout.issued_at - LEEWAY > now {
            return Err(invalid("iat"));
        }
        if self.done().get(&logout.id).is_some_and(|until| *until > now) {
            return Err(invalid("jti"));
        }
        Ok(logout)
    }

    /// Remembers one that was carried out.
    pub(super) fn remember(&self, logout: &Logout, now: DateTime<Utc>) {
        let mut done = self.done();
        if done.len() >= MOST_REMEMBERED {
            done.retain(|_, until| *until > now);
        }
        if done.len() >= MOST_REMEMBERED {
            done.clear();
        }
        done.insert(logout.id.clone(), logout.until);
    }

    fn done(&self) -> MutexGuard<'_, HashMap<String, DateTime<Utc>>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
