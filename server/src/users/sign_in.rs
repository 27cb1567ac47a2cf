//! From a token and a device to a caller: the token is checked, the person found or made, the account and the device session
//! looked at. The door uses it for calls, and streams for a fresh token.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::People;
use crate::{
    access::Caller,
    clock::Clock,
    error::{Error, Reason, Refusal, Result},
    identity::{Claims, Identity, Logout},
    ids::DeviceId,
    realtime::Opener,
    sessions::{Sessions, Visit},
};

/// Where a call comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The installation.
    pub device_id: DeviceId,
    /// Operating system, as the client says.
    pub platform: String,
    /// Version of the app, as the client says.
    pub app_version: String,
    /// Network address.
    pub address: String,
    /// user-agent header.
    pub user_agent: String,
}

/// Makes callers.
#[derive(Debug)]
pub struct SignIn {
    identity: Identity,
    people: People,
    sessions: Arc<Sessions>,
    clock: Arc<dyn Clock>,
}

impl SignIn {
    /// Puts the parts together.
    pub fn new(identity: Identity, people: People, sessions: Arc<Sessions>, clock: Arc<dyn Clock>) -> Self {
        Self { identity, people, sessions, clock }
    }

    /// Fetches the issuer's keys if they are not there yet; for the start.
    pub async fn warm(&self) {
        self.identity.warm().await;
    }

    /// Checks a token; touches no database.
    pub async fn claims(&self, token: &str) -> Result<Arc<Claims>> {
        self.identity.verify(token).await
    }

    /// Checks what the issuer says of a session that has ended; touches no database.
    pub async fn logout(&self, token: &str) -> Result<Logout> {
        self.identity.verify_logout(token).await
    }

    /// Notes that it was carried out: said again, it is refused.
    pub fn logout_is_done(&self, logout: &Logout) {
        self.identity.logout_is_done(logout);
    }

    /// The caller whom checked claims name, on a device.
    pub async fn caller(&self, claims: &Arc<Claims>, origin: Origin) -> Result<Caller> {
        let person = self.people.person(claims).await?;
        person.account.check(self.clock.now())?;
        let Origin { device_id, platform, app_version, address, user_agent } = origin;
        let (sid, issued_at) = (claims.sid.clone(), claims.issued_at);
        let visit = Visit { user_id: person.id, device_id, sid, issued_at, platform, app_version, address, user_agent };
        self.sessions.admit(&visit).await?;
        Ok(Caller {
            user_id: person.id,
            device_id,
            sid: visit.sid,
            roles: claims.roles.clone(),
            issued_at,
            expires_at: claims.expires_at,
            address: visit.address,
            user_agent: visit.user_agent,
        })
    }

    /// When a fresh token for an open stream ends. Refused when it is another person's, or of another session at the issuer:
    /// `TOKEN_INVALID` with the check `sub` or `sid`.
    pub async fn renew(&self, opener: &Opener, token: &str) -> Result<DateTime<Utc>> {
        let claims = self.identity.verify(token).await?;
        let person = self.people.person(&claims).await?;
        if person.id != opener.user_id {
            return Err(other("sub"));
        }
        if claims.sid != opener.sid {
            return Err(other("sid"));
        }
        person.account.check(self.clock.now())?;
        let visit = Visit::to_check(person.id, opener.device_id, &claims.sid, claims.issued_at);
        self.sessions.check(&visit).await?;
        Ok(claims.expires_at)
    }
}

fn other(check: &'static str) -> Error {
    Refusal::new(Reason::TokenInvalid, "the token is not of this stream's person and session")
        .with("check", check)
        .into()
}
