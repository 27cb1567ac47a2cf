//! What a token says, checked by type, by the settings and by our clock.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{
    invalid,
    wire::{Role, role},
};
use crate::{
    config::Config,
    error::{Error, Reason, Result},
};

/// How far the clocks of the issuer and of this node may be apart.
pub(super) const LEEWAY: TimeDelta = TimeDelta::seconds(30);

/// Latest time that a token may name, in seconds: the year 5138. Above it, arithmetic would be at the mercy of the issuer.
const LATEST: f64 = 1e11;

/// Most characters of a subject, a session or a login.
const MOST_CHARACTERS: usize = 255;

/// What a checked token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who, as the issuer knows them.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// Session at the issuer. Empty when the token names none (service accounts): then only the device and the time of issue
    /// can revoke it.
    pub sid: String,
    /// Global roles that are ours.
    pub roles: Vec<Role>,
    /// `preferred_username`, or the subject.
    pub login: String,
    /// `name`, or the login; at most 60 characters.
    pub name: String,
    /// `email`; may be empty.
    pub email: String,
    /// `employee_no`; may be empty.
    pub employee_no: String,
    /// When the token was issued.
    pub issued_at: DateTime<Utc>,
    /// When the token ends.
    pub expires_at: DateTime<Utc>,
    not_before: Option<DateTime<Utc>>,
}

/// What tokens must say.
#[derive(Debug)]
pub(super) struct Rules {
    issuer: String,
    audience: String,
    clients: Vec<String>,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            clients: config.allowed_clients.clone(),
        }
    }

    /// Reads a payload whose signature is right.
    pub(super) fn read(&self, payload: &Map<String, Value>, now: DateTime<Utc>) -> Result<Claims> {
        // By type: an issuer as a list, or a number, is not this issuer.
        if payload.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(invalid("iss"));
        }
        if !payload.get("aud").is_some_and(|audience| contains(audience, &self.audience)) {
            return Err(invalid("aud"));
        }
        self.check_client(payload)?;
        // Keycloak's ID, refresh and logout tokens are signed with the same key.
        if !payload.get("typ").is_none_or(|typ| typ == "Bearer") {
            return Err(invalid("token_type"));
        }
        let claims = claims(payload)?;
        self.check_times(&claims, now)?;
        Ok(claims)
    }

    /// Checks the times; also of a token that was checked before.
    pub(super) fn check_times(&self, claims: &Claims, now: DateTime<Utc>) -> Result<()> {
        debug_assert_eq!(claims.issuer, self.issuer);
        if claims.expires_at + LEEWAY <= now {
            return Err(Error::refused(Reason::TokenExpired, "the token has expired"));
        }
        if claims.not_before.is_some_and(|from| from - LEEWAY > now) {
            return Err(invalid("nbf"));
        }
        if claims.issued_at - LEEWAY > now {
            return Err(invalid("iat"));
        }
        Ok(())
    }

    fn check_client(&self, payload: &Map<String, Value>) -> Result<()> {
        let client = payload.get("azp").and_then(Value::as_str).unwrap_or_default();
        let allowed = self.clients.is_empty() || self.clients.iter().any(|known| known == client);
        if allowed { Ok(()) } else { Err(invalid("azp")) }
    }
}

pub(super) fn contains(audience: &Value, wanted: &str) -> bool {
    match audience {
        Value::String(one) => one == wanted,
        Value::Array(many) => many.iter().any(|one| one == wanted),
        _ => false,
    }
}

fn claims(payload: &Map<String, Value>) -> Result<Claims> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or_default();
    let subject = identifier(text("sub")).filter(|subject| !subject.is_empty()).ok_or_else(|| invalid("sub"))?;
    let login = shown(text("preferred_username"), MOST_CHARACTERS);
    let login = if login.is_empty() { subject.clone() } else { login };
    let name = shown(text("name"), 60);
    Ok(Claims {
        issuer: text("iss").to_owned(),
        sid: identifier(text("sid")).ok_or_else(|| invalid("sid"))?,
        roles: roles(payload),
        name: if name.is_empty() { shown(&login, 60) } else { name },
        login,
        email: shown(text("email"), MOST_CHARACTERS),
        employee_no: shown(text("employee_no"), MOST_CHARACTERS),
        issued_at: time(payload, "iat")?.ok_or_else(|| invalid("iat"))?,
        expires_at: time(payload, "exp")?.ok_or_else(|| invalid("exp"))?,
        not_before: time(payload, "nbf")?,
        subject,
    })
}

/// A text that names something: taken as it is or not at all.
pub(super) fn identifier(text: &str) -> Option<String> {
    let right = text.chars().count() <= MOST_CHARACTERS && !text.chars().any(char::is_control);
    right.then(|| text.to_owned())
}

/// A text for people: made fit to be stored and shown.
fn shown(text: &str, characters: usize) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    clean.trim().chars().take(characters).collect::<String>().trim_end().to_owned()
}

pub(super) fn time(payload: &Map<String, Value>, name: &'static str) -> Result<Option<DateTime<Utc>>> {
    let Some(value) = payload.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=LATEST).contains(seconds)).ok_or_else(|| invalid(name))?;
    #[expect(clippy::cast_possible_truncation, reason = "within 1e14, as checked above")]
    let milliseconds = (seconds * 1000.0) as i64;
    DateTime::from_timestamp_millis(milliseconds).map(Some).ok_or_else(|| invalid(name))
}

/// Keycloak's `realm_access.roles`.
fn roles(payload: &Map<String, Value>) -> Vec<Role> {
    let names = payload.get("realm_access").and_then(|access| access.get("roles")).and_then(Value::as_array);
    let mut roles = Vec::new();
    for found in names.into_iter().flatten().filter_map(Value::as_str).filter_map(role) {
        if !roles.contains(&found) {
            roles.push(found);
        }
    }
    roles
}
