//! SQL of people.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, postgres::PgConnection};
use uuid::Uuid;

use super::{Person, key};
use crate::{
    error::Result,
    identity::Claims,
    ids::{RoomId, UserId},
    sessions::Account,
};

/// A profile as it is stored.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "the names of the columns")]
pub(super) struct Profile {
    pub(super) id: Uuid,
    pub(super) login: String,
    pub(super) login_key: String,
    pub(super) display_name: String,
    pub(super) title: String,
    pub(super) status: i16,
    pub(super) custom_emoji: String,
    pub(super) custom_text: String,
    pub(super) custom_until: Option<DateTime<Utc>>,
    pub(super) phone: String,
    pub(super) email: String,
    pub(super) bio: String,
    pub(super) employee_no: String,
    pub(super) state: i16,
    pub(super) profile_rev: i64,
}

/// What a person changes of their own profile; `None` stays.
#[derive(Debug, Clone, Default)]
pub(super) struct ProfileUpdate {
    pub(super) display_name: Option<String>,
    pub(super) title: Option<String>,
    pub(super) bio: Option<String>,
    pub(super) phone: Option<String>,
}

/// What a person says about being reachable.
#[derive(Debug, Clone, Default)]
pub(super) struct StatusUpdate {
    pub(super) status: i16,
    pub(super) emoji: String,
    pub(super) text: String,
    pub(super) until: Option<DateTime<Utc>>,
}

/// The roles of a token as they are stored: 1 shifted by the role's number.
pub(super) fn role_bits(claims: &Claims) -> i32 {
    claims.roles.iter().fold(0, |bits, role| bits | 1 << (*role as i32))
}

fn person(id: Uuid, state: i16, locked_until: Option<DateTime<Utc>>, expires_at: Option<DateTime<Utc>>) -> Person {
    Person { id: id.into(), account: Account { state, locked_until, expires_at } }
}

/// The people whose stored claims are these or newer ones, each in the place where the claims stood.
pub(super) async fn find_settled(pool: &PgPool, claims: &[Arc<Claims>]) -> Result<Vec<Option<Person>>> {
    let issuers: Vec<String> = claims.iter().map(|claims| claims.issuer.clone()).collect();
    let subjects: Vec<String> = claims.iter().map(|claims| claims.subject.clone()).collect();
    let rows = sqlx::query!(
        r#"select w.n as "n!", u.id, u.state, u.locked_until, u.expires_at, u.claimed_at, u.login, u.claimed_name, u.email,
               u.employee_no, u.claimed_roles
           from unnest($1::text[], $2::text[]) with ordinality as w(issuer, subject, n)
               join users u on u.issuer = w.issuer and u.subject = w.subject"#,
        &issuers,
        &subjects
    );
    let mut people = vec![None; claims.len()];
    for row in rows.fetch_all(pool).await? {
        let place = usize::try_from(row.n - 1).unwrap_or(usize::MAX);
        let (Some(claims), Some(found)) = (claims.get(place), people.get_mut(place)) else { continue };
        let stored = (&row.login, &row.claimed_name, &row.email, &row.employee_no, row.claimed_roles);
        let said = (&claims.login, &claims.name, &claims.email, &claims.employee_no, role_bits(claims));
        if row.claimed_at > claims.issued_at || stored == said {
            *found = Some(person(row.id, row.state, row.locked_until, row.expires_at));
        }
    }
    Ok(people)
}

pub(super) async fn find(tx: &mut PgConnection, claims: &Claims) -> Result<Option<Person>> {
    let row = sqlx::query!(
        "select id, state, locked_until, expires_at from users where issuer = $1 and subject = $2",
        claims.issuer,
        claims.subject
    );
    let row = row.fetch_optional(tx).await?;
    Ok(row.map(|row| person(row.id, row.state, row.locked_until, row.expires_at)))
}

/// Locks the person's row; the stored roles.
pub(super) async fn lock(tx: &mut PgConnection, claims: &Claims) -> Result<Option<i32>> {
    let bits = sqlx::query_scalar!(
        "select claimed_roles from users where issuer = $1 and subject = $2 for no key update",
        claims.issuer,
        claims.subject
    );
    Ok(bits.fetch_optional(tx).await?)
}

/// Makes the person or takes over newer claims; the new number of the profile, `None` if nothing changed.
pub(super) async fn upsert(tx: &mut PgConnection, id: UserId, claims: &Claims) -> Result<Option<i64>> {
    let profile_rev = sqlx::query_scalar!(
        "insert into users as u (id, issuer, subject, login, login_key, name_key, display_name, claimed_name, email, employee_no,
             claimed_roles, claimed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11)
         on conflict on constraint users_subject do update set
             login = excluded.login, login_key = excluded.login_key, claimed_name = excluded.claimed_name,
             display_name = case when u.claimed_name = excluded.claimed_name then u.display_name else excluded.display_name end,
             name_key = case when u.claimed_name = excluded.claimed_name then u.name_key else excluded.name_key end,
             email = excluded.email, employee_no = excluded.employee_no, claimed_roles = excluded.claimed_roles,
             claimed_at = excluded.claimed_at, profile_rev = u.profile_rev + 1,
             profile_xid = pg_current_xact_id()::text::bigint
         where u.claimed_at <= excluded.claimed_at and u.state <> 5
             and (u.login, u.claimed_name, u.email, u.employee_no, u.claimed_roles) is distinct from
                 (excluded.login, excluded.claimed_name, excluded.email, excluded.employee_no, excluded.claimed_roles)
         returning profile_rev",
        id as _,
        claims.issuer,
        claims.subject,
        claims.login,
        key(&claims.login),
        key(&claims.name),
        claims.name,
        claims.email,
        claims.employee_no,
        role_bits(claims),
        claims.issued_at
    );
    Ok(profile_rev.fetch_optional(tx).await?)
}

/// The person whom the issuer knows by this subject.
pub(super) async fn find_by_subject(pool: &PgPool, issuer: &str, subject: &str) -> Result<Option<UserId>> {
    let id = sqlx::query_scalar!("select id from users where issuer = $1 and subject = $2", issuer, subject);
    Ok(id.fetch_optional(pool).await?.map(UserId))
}

pub(super) async fn insert_cursor(tx: &mut PgConnection, id: UserId) -> Result<()> {
    sqlx::query!("insert into user_cursors (user_id) values ($1) on conflict do nothing", id as _).execute(tx).await?;
    Ok(())
}

/// Writes into the audit log that the issuer gave other roles.
pub(super) async fn insert_role_change(tx: &mut PgConnection, id: UserId, claims: &Claims) -> Result<()> {
    let roles: Vec<&str> = claims.roles.iter().map(crate::identity::Role::as_str_name).collect();
    sqlx::query!(
        "insert into audit_events (actor_id, action, target) values ($1, 'roles_changed', $2)",
        id as _,
        roles.join(",")
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The rooms whose members are told of the person's profile.
pub(super) async fn list_small_rooms(tx: &mut PgConnection, id: UserId) -> Result<Vec<RoomId>> {
    let rooms = sqlx::query_scalar!(
        r#"select m.room_id from members m join rooms r on r.id = m.room_id
           where m.user_id = $1 and m.state = 1 and not r.large order by m.room_id limit 5000"#,
        id as _
    );
    Ok(rooms.fetch_all(tx).await?.into_iter().map(RoomId).collect())
}

/// Those of the ids that exist.
pub(super) async fn find_profiles(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Profile>> {
    let rows = sqlx::query_as!(
        Profile,
        "select id, login, login_key, display_name, title, status, custom_emoji, custom_text, custom_until, phone, email, bio,
             employee_no, state, profile_rev
         from users where id = any($1) order by id limit 1000",
        ids
    );
    Ok(rows.fetch_all(connection).await?)
}

/// People who may sign in and whose login or name begins with a key, after a login and an id.
pub(super) async fn search(pool: &PgPool, prefix: &str, after: &(String, Uuid), limit: i64) -> Result<Vec<Profile>> {
    let pattern = format!("{}%", prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    let rows = sqlx::query_as!(
        Profile,
        r#"select id, login, login_key, display_name, title, status, custom_emoji, custom_text, custom_until, phone, email, bio,
             employee_no, state, profile_rev
         from users
         where (login_key like $1 or name_key like $1) and state in (1, 3) and (login_key collate "C", id) > ($2 collate "C", $3)
         order by login_key collate "C", id limit $4"#,
        pattern,
        after.0,
        after.1,
        limit
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Changes a profile; the new number, `None` if nothing changed.
pub(super) async fn update_profile(tx: &mut PgConnection, id: UserId, to: &ProfileUpdate) -> Result<Option<i64>> {
    let profile_rev = sqlx::query_scalar!(
        "update users set display_name = coalesce($2, display_name), name_key = coalesce($3, name_key),
             title = coalesce($4, title), bio = coalesce($5, bio), phone = coalesce($6, phone),
             profile_rev = profile_rev + 1, profile_xid = pg_current_xact_id()::text::bigint
         where id = $1 and (display_name, title, bio, phone) is distinct from
             (coalesce($2, display_name), coalesce($4, title), coalesce($5, bio), coalesce($6, phone))
         returning profile_rev",
        id as _,
        to.display_name,
        to.display_name.as_deref().map(key),
        to.title,
        to.bio,
        to.phone
    );
    Ok(profile_rev.fetch_optional(tx).await?)
}

/// Sets the status as a whole; the new number, `None` if nothing changed.
pub(super) async fn update_status(tx: &mut PgConnection, id: UserId, to: &StatusUpdate) -> Result<Option<i64>> {
    let profile_rev = sqlx::query_scalar!(
        "update users set status = $2, custom_emoji = $3, custom_text = $4, custom_until = $5,
             profile_rev = profile_rev + 1, profile_xid = pg_current_xact_id()::text::bigint
         where id = $1 and (status, custom_emoji, custom_text, custom_until) is distinct from ($2, $3, $4, $5)
         returning profile_rev",
        id as _,
        to.status,
        to.emoji,
        to.text,
        to.until
    );
    Ok(profile_rev.fetch_optional(tx).await?)
}

/// Number of the last change of what belongs to the person.
pub(super) async fn find_user_rev(pool: &PgPool, id: UserId) -> Result<i64> {
    let user_rev = sqlx::query_scalar!("select user_rev from user_cursors where user_id = $1", id as _);
    Ok(user_rev.fetch_optional(pool).await?.unwrap_or_default())
}
