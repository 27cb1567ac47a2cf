//! Device sessions: where a person is signed in, and what has been revoked.
//!
//! Always true: a token of a revoked session of the issuer, or one issued before its device (or the whole person) was revoked,
//! is refused on every node at most a second later, and at once on the node that revoked it; when the issuer says that it ended a
//! session, the person's other devices must renew their tokens, for it may have ended theirs without a word; a person has at most as many
//! sessions as the settings say. Streams are ended by whoever revokes, through `realtime`; the calls are in `users::identity`.

mod account;
mod memory;
mod rules;
pub mod store;
mod touch;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgPool, postgres::PgConnection};

pub use self::{
    account::Account,
    rules::{Known, Verdict},
};
use self::{memory::Memory, touch::Touches};
use crate::{
    clock::Clock,
    config::Config,
    database::{DOOR_PATIENCE, Database},
    error::{Error, Reason, Refusal, Result},
    ids::{DeviceId, UserId},
    together::Together,
};

/// How precise the last call of a session is kept; each session is written at most this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// How long an issuer may need to end the other sessions of a person after it has named one: Keycloak tells us before it has
/// written its own end down, and renews a token meanwhile (seen within 100 ms). Tokens issued in that time do not count.
pub const ISSUER_SETTLES: Duration = Duration::from_secs(2);

/// A call of a person on a device, as it came in.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The person.
    pub user_id: UserId,
    /// The installation.
    pub device_id: DeviceId,
    /// Session at the issuer; may be empty.
    pub sid: String,
    /// When the token was issued.
    pub issued_at: DateTime<Utc>,
    /// Operating system, as the client says.
    pub platform: String,
    /// Version of the app, as the client says.
    pub app_version: String,
    /// Network address.
    pub address: String,
    /// user-agent header.
    pub user_agent: String,
}

impl Visit {
    /// A visit that is only looked at, never written down.
    pub fn to_check(user_id: UserId, device_id: DeviceId, sid: &str, issued_at: DateTime<Utc>) -> Self {
        let text = String::new;
        let (platform, app_version, address, user_agent) = (text(), text(), text(), text());
        Self { user_id, device_id, sid: sid.to_owned(), issued_at, platform, app_version, address, user_agent }
    }
}

/// The device sessions of a node's callers.
#[derive(Debug)]
pub struct Sessions {
    database: Database,
    clock: Arc<dyn Clock>,
    most: i64,
    memory: Memory,
    door: Together<(UserId, DeviceId, String), Known>,
    touches: Touches,
}

impl Sessions {
    /// Also starts the task that writes last calls.
    pub fn start(config: &Config, database: Database, clock: Arc<dyn Clock>) -> Self {
        let touches = Touches::start(database.clone());
        let (most, memory, pool) = (config.device_sessions_per_person, Memory::default(), database.pool().clone());
        let door = Together::start(database.door_turns(), move |visits| {
            let pool = pool.clone();
            Box::pin(async move { Ok(store::find_all(&pool, &visits).await?.into_iter().map(Ok).collect()) })
        });
        Self { database, clock, most, memory, door, touches }
    }

    /// Lets a visit in and notes it. Refused with `SESSION_REVOKED`, `TOKEN_EXPIRED` or `TOO_MANY_DEVICES`.
    pub async fn admit(&self, visit: &Visit) -> Result<()> {
        let now = self.clock.now();
        let known = self.known(visit, now).await?;
        match known.verdict(visit) {
            Verdict::Good => {
                self.touch(visit, &known, now);
                Ok(())
            }
            Verdict::Revoked => Err(revoked()),
            Verdict::Stale => Err(stale()),
            // Boxed: it is rare, and every call would carry its size.
            Verdict::New => Box::pin(self.sign_in(visit, now)).await,
        }
    }

    /// Whether a session could be let in as it was; nothing is noted.
    pub async fn check(&self, visit: &Visit) -> Result<()> {
        match store::find(self.database.pool(), visit).await?.verdict(visit) {
            Verdict::Revoked => Err(revoked()),
            Verdict::Stale => Err(stale()),
            Verdict::Good | Verdict::New => Ok(()),
        }
    }

    /// Forgets revocations at the issuer that are older than any token can be; once an hour is often enough.
    pub async fn prune(&self) {
        if let Err(error) = store::delete_old_revoked_sids(self.database.pool()).await {
            tracing::warn!(%error, "old revocations were not deleted");
        }
    }

    /// Forgets what is remembered of a person, so that a revocation holds at once.
    pub fn forget(&self, user_id: UserId) {
        self.memory.forget(user_id);
    }

    async fn known(&self, visit: &Visit, now: DateTime<Utc>) -> Result<Known> {
        if let Some(known) = self.memory.get(visit, now) {
            return Ok(known);
        }
        let version = self.memory.version();
        let question = (visit.user_id, visit.device_id, visit.sid.clone());
        let known = self.door.ask_within(DOOR_PATIENCE, question).await?;
        self.memory.put(visit, known.clone(), now, version);
        Ok(known)
    }

    fn touch(&self, visit: &Visit, known: &Known, now: DateTime<Utc>) {
        if known.last_seen_at.is_none_or(|at| now - at >= TOUCH_EVERY) {
            self.memory.touched(visit, now);
            self.touches.note(visit, now);
        }
    }

    /// Makes the session, or gives the device's session to a new sign-in.
    async fn sign_in(&self, visit: &Visit, now: DateTime<Utc>) -> Result<()> {
        let (wanted, most) = (visit.clone(), self.most);
        let made = self.database.write(
            move |tx| {
                let visit = wanted.clone();
                Box::pin(async move { Ok((sign_in(tx, &visit, most, now).await?, ())) })
            },
            |()| std::future::ready(()),
        );
        made.await?;
        self.memory.forget(visit.user_id);
        Ok(())
    }
}

/// Under the lock of the person's row, which a revocation takes too.
async fn sign_in(tx: &mut PgConnection, visit: &Visit, most: i64, now: DateTime<Utc>) -> Result<()> {
    store::lock_person(tx, visit.user_id).await?;
    match store::find(&mut *tx, visit).await?.verdict(visit) {
        Verdict::Good => return Ok(()),
        Verdict::Revoked => return Err(revoked()),
        Verdict::Stale => return Err(stale()),
        Verdict::New => {}
    }
    if store::count_others(tx, visit).await? >= most {
        let message = format!("at most {most} device sessions: revoke one");
        return Err(Refusal::new(Reason::TooManyDevices, message).with("limit", most).into());
    }
    store::upsert(tx, visit, now).await?;
    store::delete_old_revoked(tx, visit.user_id).await
}

/// Whether the device session behind a stream may still be used; for the poll.
pub async fn look(connection: &mut PgConnection, visit: &Visit) -> Result<Verdict> {
    Ok(store::find(connection, visit).await?.verdict(visit))
}

/// Those of these people whose accounts may not be used now, and why; for the poll.
pub async fn shut(pool: &PgPool, people: &[UserId], now: DateTime<Utc>) -> Result<Vec<(UserId, Refusal)>> {
    let accounts = store::accounts(pool, people).await?.into_iter();
    Ok(accounts.filter_map(|(id, account)| Some((id, account.check(now).err()?.into_refusal()))).collect())
}

fn stale() -> Error {
    Error::refused(Reason::TokenExpired, "the token was issued before a session of this person was ended")
}

fn revoked() -> Error {
    Error::refused(Reason::SessionRevoked, "the device session was revoked")
}
