//! SQL of device sessions.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, postgres::PgConnection};
use uuid::Uuid;

use super::{Account, Known, Visit};
use crate::{
    error::Result,
    ids::{DeviceId, UserId},
};

/// Revoked sessions that are kept of a person.
const REVOKED_KEPT: i64 = 50;

/// A device session as it is stored.
#[derive(Debug, Clone)]
pub struct DeviceSession {
    /// The person.
    pub user_id: Uuid,
    /// The installation.
    pub device_id: Uuid,
    /// Session at the issuer.
    pub sid: String,
    /// Operating system.
    pub platform: String,
    /// Version of the app.
    pub app_version: String,
    /// Network address of the last call.
    pub address: String,
    /// user-agent of the last call.
    pub user_agent: String,
    /// First call.
    pub created_at: DateTime<Utc>,
    /// Last call.
    pub last_seen_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What is known of a visit's device, session and person.
pub(super) async fn find<'c>(on: impl sqlx::Executor<'c, Database = Postgres>, visit: &Visit) -> Result<Known> {
    let known = find_all(on, &[(visit.user_id, visit.device_id, visit.sid.clone())]).await?;
    Ok(known.into_iter().next().unwrap_or_default())
}

/// The same for many, each in the place where it stood.
pub(super) async fn find_all<'c>(
    on: impl sqlx::Executor<'c, Database = Postgres>,
    visits: &[(UserId, DeviceId, String)],
) -> Result<Vec<Known>> {
    let people: Vec<Uuid> = visits.iter().map(|(user_id, ..)| user_id.0).collect();
    let devices: Vec<Uuid> = visits.iter().map(|(_, device_id, _)| device_id.0).collect();
    let sids: Vec<String> = visits.iter().map(|(.., sid)| sid.clone()).collect();
    let rows = sqlx::query!(
        r#"select d.sid as "sid?", d.last_seen_at as "last_seen_at?", d.revoked_at is not null as "revoked!",
               greatest(d.tokens_from, f.tokens_from) as tokens_from, f.fresh_from as "fresh_from?",
               exists (select from revoked_sids r where r.sid = w.sid and w.sid <> '') as "sid_revoked!"
           from unnest($1::uuid[], $2::uuid[], $3::text[]) with ordinality as w(user_id, device_id, sid, n)
               left join device_sessions d on d.user_id = w.user_id and d.device_id = w.device_id
               left join token_floors f on f.user_id = w.user_id
           order by w.n"#,
        &people,
        &devices,
        &sids
    );
    let known = rows.fetch_all(on).await?.into_iter().map(|row| Known {
        sid: row.sid,
        revoked: row.revoked,
        tokens_from: row.tokens_from,
        fresh_from: row.fresh_from,
        sid_revoked: row.sid_revoked,
        last_seen_at: row.last_seen_at,
    });
    Ok(known.collect())
}

/// The accounts of these people.
pub(super) async fn accounts(
    on: impl sqlx::Executor<'_, Database = Postgres>,
    people: &[UserId],
) -> Result<Vec<(UserId, Account)>> {
    let ids: Vec<Uuid> = people.iter().map(|id| id.0).collect();
    let rows = sqlx::query!("select id, state, locked_until, expires_at from users where id = any($1)", &ids);
    let account = |state, locked_until, expires_at| Account { state, locked_until, expires_at };
    let rows = rows.fetch_all(on).await?.into_iter();
    Ok(rows.map(|row| (row.id.into(), account(row.state, row.locked_until, row.expires_at))).collect())
}

/// Locks the person's row of numbers, which stands for the list of sessions.
pub(super) async fn lock_person(tx: &mut PgConnection, user_id: UserId) -> Result<()> {
    sqlx::query!("select user_rev from user_cursors where user_id = $1 for no key update", user_id as _)
        .fetch_optional(tx)
        .await?;
    Ok(())
}

/// Sessions of the person on other devices, revoked ones left out.
pub(super) async fn count_others(tx: &mut PgConnection, visit: &Visit) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from device_sessions where user_id = $1 and device_id <> $2 and revoked_at is null"#,
        visit.user_id as _,
        visit.device_id as _
    );
    Ok(count.fetch_one(tx).await?)
}

/// Makes the session, or gives it to a new sign-in; a revoked one begins anew.
pub(super) async fn upsert(tx: &mut PgConnection, visit: &Visit, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "insert into device_sessions as d (user_id, device_id, sid, platform, app_version, address, user_agent, created_at, last_seen_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         on conflict (user_id, device_id) do update set
             sid = excluded.sid, platform = excluded.platform, app_version = excluded.app_version, address = excluded.address,
             user_agent = excluded.user_agent, last_seen_at = excluded.last_seen_at, revoked_at = null,
             created_at = case when d.revoked_at is null then d.created_at else excluded.created_at end",
        visit.user_id as _,
        visit.device_id as _,
        visit.sid,
        visit.platform,
        visit.app_version,
        visit.address,
        visit.user_agent,
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets revoked sessions but the newest; no token of theirs can be alive.
pub(super) async fn delete_old_revoked(tx: &mut PgConnection, user_id: UserId) -> Result<()> {
    sqlx::query!(
        "delete from device_sessions where user_id = $1 and revoked_at < now() - interval '30 days' and device_id not in
             (select device_id from device_sessions where user_id = $1 and revoked_at is not null order by revoked_at desc limit $2)",
        user_id as _,
        REVOKED_KEPT
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets sessions of the issuer that ended long ago: no refresh token of theirs is alive (Keycloak's offline sessions last
/// 60 days).
pub(super) async fn delete_old_revoked_sids(pool: &PgPool) -> Result<()> {
    sqlx::query!("delete from revoked_sids where revoked_at < now() - interval '90 days'").execute(pool).await?;
    Ok(())
}

/// Writes last calls. Rows are locked in order, and those that are locked elsewhere are left for the next time.
pub(super) async fn touch(pool: &PgPool, visits: &[(Visit, DateTime<Utc>)]) -> Result<()> {
    let (mut users, mut devices, mut sids, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut texts: [Vec<String>; 4] = Default::default();
    for (visit, at) in visits {
        users.push(visit.user_id.0);
        devices.push(visit.device_id.0);
        sids.push(visit.sid.clone());
        times.push(*at);
        let [platforms, versions, addresses, agents] = &mut texts;
        platforms.push(visit.platform.clone());
        versions.push(visit.app_version.clone());
        addresses.push(visit.address.clone());
        agents.push(visit.user_agent.clone());
    }
    sqlx::query!(
        "with seen as (
             select distinct on (user_id, device_id) *
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[])
                 as s (user_id, device_id, sid, at, platform, app_version, address, user_agent)
             order by user_id, device_id, at desc
         ), locked as (
             select d.user_id, d.device_id from device_sessions d join seen s using (user_id, device_id)
             order by d.user_id, d.device_id for no key update of d skip locked
         )
         update device_sessions d set last_seen_at = greatest(d.last_seen_at, s.at), platform = s.platform,
             app_version = s.app_version, address = s.address, user_agent = s.user_agent
         from locked l join seen s using (user_id, device_id)
         where d.user_id = l.user_id and d.device_id = l.device_id and d.sid = s.sid and d.revoked_at is null",
        &users,
        &devices,
        &sids,
        &times,
        &texts[0],
        &texts[1],
        &texts[2],
        &texts[3]
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Sessions of a person, newest first; revoked ones left out.
pub async fn list(pool: &PgPool, user_id: UserId) -> Result<Vec<DeviceSession>> {
    let rows = sqlx::query_as!(
        DeviceSession,
        "select user_id, device_id, sid, platform, app_version, address, user_agent, created_at, last_seen_at, revoked_at
         from device_sessions where user_id = $1 and revoked_at is null order by created_at desc, device_id limit 1000",
        user_id as _
    );
    Ok(rows.fetch_all(pool).await?)
}

/// The session of a person on a device, revoked or not.
pub async fn find_session(
    tx: &mut PgConnection,
    user_id: UserId,
    device_id: DeviceId,
) -> Result<Option<DeviceSession>> {
    let row = sqlx::query_as!(
        DeviceSession,
        "select user_id, device_id, sid, platform, app_version, address, user_agent, created_at, last_seen_at, revoked_at
         from device_sessions where user_id = $1 and device_id = $2",
        user_id as _,
        device_id as _
    );
    Ok(row.fetch_optional(tx).await?)
}

/// Moves the person's number, so that every node looks at the person's streams; locks the list of sessions. `None`: no such
/// person.
pub async fn bump_person(tx: &mut PgConnection, user_id: UserId) -> Result<Option<i64>> {
    let user_rev = sqlx::query_scalar!(
        "update user_cursors set user_rev = user_rev + 1 where user_id = $1 returning user_rev",
        user_id as _
    );
    Ok(user_rev.fetch_optional(tx).await?)
}

/// Revokes the session of a device and those that share its session at the issuer; the devices.
pub async fn revoke_device(
    tx: &mut PgConnection,
    user_id: UserId,
    device_id: DeviceId,
    now: DateTime<Utc>,
) -> Result<Vec<DeviceId>> {
    let devices = sqlx::query_scalar!(
        "update device_sessions set revoked_at = $3, tokens_from = $3
         where user_id = $1 and revoked_at is null and (device_id = $2 or sid <> '' and sid =
             (select sid from device_sessions where user_id = $1 and device_id = $2))
         returning device_id",
        user_id as _,
        device_id as _,
        now
    );
    Ok(devices.fetch_all(tx).await?.into_iter().map(DeviceId).collect())
}

/// Revokes all sessions of a person, and every token issued before, on whatever device; the number of sessions.
pub async fn revoke_all(tx: &mut PgConnection, user_id: UserId, now: DateTime<Utc>) -> Result<u64> {
    sqlx::query!(
        "insert into token_floors (user_id, tokens_from) values ($1, $2)
         on conflict (user_id) do update set tokens_from = greatest(token_floors.tokens_from, excluded.tokens_from)",
        user_id as _,
        now
    )
    .execute(&mut *tx)
    .await?;
    let revoked = sqlx::query!(
        "update device_sessions set revoked_at = $2, tokens_from = $2 where user_id = $1 and revoked_at is null",
        user_id as _,
        now
    );
    Ok(revoked.execute(tx).await?.rows_affected())
}

/// Revokes a person's session at the issuer, and demands of the tokens of all others that they be issued later than `settled_at`;
/// the devices that were signed in by that session.
pub async fn end_issuers(
    tx: &mut PgConnection,
    user_id: UserId,
    sid: &str,
    settled_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<DeviceId>> {
    sqlx::query!(
        "insert into token_floors (user_id, tokens_from, fresh_from) values ($1, 'epoch', $2)
         on conflict (user_id) do update set fresh_from = greatest(token_floors.fresh_from, excluded.fresh_from)",
        user_id as _,
        settled_at
    )
    .execute(&mut *tx)
    .await?;
    let devices = sqlx::query_scalar!(
        "update device_sessions set revoked_at = $3, tokens_from = $3
         where user_id = $1 and sid = $2 and $2 <> '' and revoked_at is null returning device_id",
        user_id as _,
        sid,
        now
    );
    Ok(devices.fetch_all(tx).await?.into_iter().map(DeviceId).collect())
}

/// Refuses the sessions at the issuer of what was revoked at a time, and one more.
pub async fn revoke_sids(tx: &mut PgConnection, user_id: UserId, also: &str, at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "insert into revoked_sids (sid, user_id, revoked_at)
         select distinct sid, $1::uuid, $3::timestamptz
         from (select sid from device_sessions where user_id = $1 and revoked_at = $3 union all select $2) s
         where sid <> '' order by sid
         on conflict (sid) do nothing",
        user_id as _,
        also,
        at
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes into the audit log who did what to whom, and from where.
pub async fn insert_audit(tx: &mut PgConnection, entry: &AuditEntry<'_>) -> Result<()> {
    sqlx::query!(
        "insert into audit_events (at, actor_id, action, target, address, user_agent) values ($1, $2, $3, $4, $5, $6)",
        entry.at,
        entry.actor_id as _,
        entry.action,
        entry.target,
        entry.address,
        entry.user_agent
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A line of the audit log.
#[derive(Debug)]
pub struct AuditEntry<'a> {
    /// When.
    pub at: DateTime<Utc>,
    /// Who; `None`: whoever runs the node.
    pub actor_id: Option<UserId>,
    /// What.
    pub action: &'a str,
    /// To whom or what.
    pub target: String,
    /// From where.
    pub address: &'a str,
    /// With what.
    pub user_agent: &'a str,
}
