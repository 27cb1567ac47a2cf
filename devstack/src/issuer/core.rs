//! What the issuer does, without HTTP: sessions, tokens and the grants that give them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::keys::{Key, KeyRing};
use super::person::Person;
use super::refusal::Refusal;
use super::store::{Answer, Code, Request, Session, Store};
use super::{AUDIENCE, CLIENT_ID, IssuerConfig, Tokens};

/// Seconds a code is good for, as in Keycloak.
const CODE_LIFETIME: i64 = 60;

/// Seconds a device code is good for, as in Keycloak.
pub(super) const DEVICE_LIFETIME: i64 = 600;

/// Seconds a session lives at most, as in Keycloak, unless the idle time is longer.
const SESSION_LIFETIME: i64 = 36_000;

/// The issuer's state, shared by its connections and by the handle.
pub(super) struct Core {
    pub(super) url: String,
    pub(super) device_interval: i64,
    session_idle: i64,
    keys: Mutex<KeyRing>,
    store: Mutex<Store>,
    access_lifetime: AtomicI64,
    clock_offset: AtomicI64,
    /// Grows with every change that a restart must find again.
    pub(super) changes: AtomicU64,
    pub(super) key_fetches: AtomicU64,
    pub(super) discovery_fetches: AtomicU64,
}

impl Core {
    pub(super) fn new(url: String, config: &IssuerConfig, keys: KeyRing, mut store: Store) -> Self {
        let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 4);
        store.people = config.people.iter().map(|person| (person.login.clone(), person.clone())).collect();
        Self {
            url,
            device_interval: seconds(config.device_interval),
            session_idle: seconds(config.session_idle),
            keys: Mutex::new(keys),
            store: Mutex::new(store),
            access_lifetime: AtomicI64::new(seconds(config.access_token_lifetime)),
            clock_offset: AtomicI64::new(0),
            changes: AtomicU64::new(0),
            key_fetches: AtomicU64::new(0),
            discovery_fetches: AtomicU64::new(0),
        }
    }

    /// Seconds since 1970 by the issuer's clock.
    pub(super) fn now(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "the issuer is a program of its own, and this is its clock")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 2) + self.clock_offset.load(Ordering::Relaxed)
    }

    pub(super) fn set_clock_offset(&self, seconds: i64) {
        self.clock_offset.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn set_access_lifetime(&self, seconds: i64) {
        self.access_lifetime.store(seconds, Ordering::Relaxed);
    }

    /// A panic while the lock was held leaves whole entries behind, so the state stays good.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, KeyRing> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Signs a person in, without a question.
    pub(super) fn begin(&self, login: &str, scope: &str, nonce: Option<String>) -> Result<Tokens> {
        let now = self.now();
        let session = Session {
            sid: crate::random::id(),
            login: login.to_owned(),
            scope: granted_scope(scope),
            nonce,
            refresh_jti: crate::random::id(),
            began: now,
            used: now,
        };
        let tokens = self.tokens(&session)?;
        self.store().sessions.insert(session.sid.clone(), session);
        self.changed();
        Ok(tokens)
    }

    /// The tokens of a session as it is.
    fn tokens(&self, session: &Session) -> Result<Tokens> {
        let now = self.now();
        let person = self.person(&session.login)?;
        let keys = self.keys();
        let header = header(&keys);
        let access_token = keys.current().sign(&header, &self.access_claims(&person, session))?;
        let id_token = if has_scope(&session.scope, "openid") {
            Some(keys.current().sign(&header, &self.id_claims(&person, session, &access_token))?)
        } else {
            None
        };
        let refresh_token = keys.sign_refresh(&json!({
            "iss": self.url, "aud": self.url, "sub": person.subject(), "azp": CLIENT_ID, "typ": "Refresh",
            "sid": session.sid, "jti": session.refresh_jti, "scope": session.scope,
            "iat": now, "exp": now + self.session_idle,
        }))?;
        Ok(Tokens {
            access_token,
            refresh_token,
            id_token,
            sid: session.sid.clone(),
            scope: session.scope.clone(),
            expires_in: self.access_lifetime.load(Ordering::Relaxed),
            refresh_expires_in: self.session_idle,
        })
    }

    /// Lets another key sign.
    pub(super) fn rotate(&self, key: Key) {
        self.keys().add(key);
        self.changed();
    }

    pub(super) fn person(&self, login: &str) -> Result<Person> {
        self.store().people.get(login).cloned().with_context(|| format!("the issuer knows no person {login:?}"))
    }

    /// The claims of an access token of a person, for a session that need not exist.
    pub(super) fn access_claims(&self, person: &Person, session: &Session) -> Value {
        let now = self.now();
        let audience = if person.account_audience { json!([AUDIENCE, "account"]) } else { json!(AUDIENCE) };
        json!({
            "iss": self.url, "aud": audience, "azp": CLIENT_ID, "sub": person.subject(), "typ": "Bearer",
            "jti": crate::random::id(), "sid": session.sid, "acr": "1", "scope": session.scope,
            "iat": now, "exp": now + self.access_lifetime.load(Ordering::Relaxed),
            "realm_access": { "roles": person.roles },
            "preferred_username": person.login, "email": email(person), "email_verified": true,
            "name": person.name(), "given_name": person.given_name, "family_name": person.family_name,
            "employee_no": person.employee_no,
        })
    }

    /// The claims of an ID token: signed by the same key, of the same issuer, and no access token all the same.
    fn id_claims(&self, person: &Person, session: &Session, access_token: &str) -> Value {
        let mut claims = self.access_claims(person, session);
        let digest = Sha256::digest(access_token);
        claims["typ"] = json!("ID");
        claims["aud"] = json!(CLIENT_ID);
        claims["auth_time"] = json!(session.began);
        claims["at_hash"] = json!(URL_SAFE_NO_PAD.encode(&digest[..16]));
        if let Some(fields) = claims.as_object_mut() {
            fields.remove("realm_access");
            fields.remove("scope");
        }
        if let Some(nonce) = &session.nonce {
            claims["nonce"] = json!(nonce);
        }
        claims
    }

    /// Gives the next tokens of a session. A refresh token that was used before ends the session: one of the two who
    /// hold it has stolen it.
    pub(super) fn refresh(&self, token: &str) -> Result<Tokens, Refusal> {
        let claims = self.keys().verify_refresh(token).ok_or_else(|| Refusal::grant("Invalid refresh token"))?;
        let sid = claims["sid"].as_str().unwrap_or_default();
        self.session(sid).ok_or_else(|| Refusal::grant("Session not active"))?;
        let spent = self.spend(sid, claims["jti"].as_str().unwrap_or_default());
        let Some(session) = spent else {
            self.end(sid);
            return Err(Refusal::grant("Maximum allowed refresh token reuse exceeded"));
        };
        self.tokens(&session).map_err(|_| Refusal::grant("User disabled"))
    }

    /// Puts the next refresh token in the place of this one, if this one is the session's: looking and replacing are
    /// one step, so that of two at once one is too late.
    fn spend(&self, sid: &str, jti: &str) -> Option<Session> {
        let now = self.now();
        let mut store = self.store();
        let session = store.sessions.get_mut(sid).filter(|session| session.refresh_jti == jti)?;
        session.refresh_jti = crate::random::id();
        session.used = now;
        let session = session.clone();
        drop(store);
        self.changed();
        Some(session)
    }

    /// The session, if it has not ended by itself.
    pub(super) fn session(&self, sid: &str) -> Option<Session> {
        let now = self.now();
        let session = self.store().sessions.get(sid).cloned()?;
        let longest = SESSION_LIFETIME.max(self.session_idle);
        let alive = session.used + self.session_idle > now && session.began + longest > now;
        if !alive {
            self.end(sid);
        }
        alive.then_some(session)
    }

    /// Ends a session; tells whether there was one.
    pub(super) fn end(&self, sid: &str) -> bool {
        let ended = self.store().sessions.remove(sid).is_some();
        self.changed();
        ended
    }

    /// Exchanges a code. It is spent by the first try, right or wrong.
    pub(super) fn redeem(&self, code: &str, redirect_uri: &str, verifier: &str) -> Result<Tokens, Refusal> {
        let code: Code = self.store().codes.remove(code).ok_or_else(|| Refusal::grant("Code not valid"))?;
        if code.began + CODE_LIFETIME < self.now() {
            return Err(Refusal::grant("Code is expired"));
        }
        if code.request.redirect_uri != redirect_uri {
            return Err(Refusal::grant("Incorrect redirect_uri"));
        }
        check_verifier(&code.request.challenge, verifier)?;
        let Request { scope, nonce, .. } = code.request;
        self.begin(&code.login, &scope, nonce).map_err(|_| Refusal::grant("User disabled"))
    }

    /// Answers a device that asks whether somebody has signed in.
    pub(super) fn poll(&self, device_code: &str, verifier: &str) -> Result<Tokens, Refusal> {
        let now = self.now();
        let mut store = self.store();
        let device = store.devices.get_mut(device_code).ok_or_else(|| Refusal::grant("Device code not valid"))?;
        if device.began + DEVICE_LIFETIME < now {
            store.devices.remove(device_code);
            return Err(Refusal::new("expired_token", "Device code is expired"));
        }
        check_verifier(&device.challenge, verifier)?;
        let last = device.asked.replace(now);
        if last.is_some_and(|last| now - last < device.interval) {
            device.interval += 5; // RFC 8628, section 3.5
            return Err(Refusal::new("slow_down", "Slow down"));
        }
        let (answer, scope) = (device.answer.clone(), device.scope.clone());
        match answer {
            Answer::Waiting => {
                return Err(Refusal::new("authorization_pending", "The authorization request is still pending"));
            }
            Answer::Denied | Answer::Granted { .. } => store.devices.remove(device_code),
        };
        drop(store);
        match answer {
            Answer::Granted { login } => self.begin(&login, &scope, None).map_err(|_| Refusal::grant("User disabled")),
            _ => Err(Refusal::new("access_denied", "The end user denied the authorization request")),
        }
    }
}

/// The header of every token.
pub(super) fn header(keys: &KeyRing) -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": keys.current().kid })
}

/// An address under a name that never resolves (RFC 2606).
fn email(person: &Person) -> String {
    format!("{}@example.org", person.login)
}

/// PKCE with S256 (RFC 7636): the verifier is the text whose hash was sent before.
fn check_verifier(challenge: &str, verifier: &str) -> Result<(), Refusal> {
    if verifier.is_empty() {
        return Err(Refusal::grant("PKCE code verifier not specified"));
    }
    if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != challenge {
        return Err(Refusal::grant("PKCE verification failed: Code mismatch"));
    }
    Ok(())
}

fn has_scope(scope: &str, wanted: &str) -> bool {
    scope.split(' ').any(|one| one == wanted)
}

/// What of the asked scope is granted: `profile` and `email` always, as the client's default scopes in Keycloak.
fn granted_scope(asked: &str) -> String {
    let extra = ["openid", "offline_access"].into_iter().filter(|scope| has_scope(asked, scope));
    extra.chain(["profile", "email"]).collect::<Vec<_>>().join(" ")
}
