//! What the database has of what is asked about. Whoever asks needs no place in the room; nothing here reads a text.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::{
    error::Result,
    ids::{RoomId, UserId},
    sessions::{Account, store::DeviceSession},
    users,
};

/// A person.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub user_id: UserId,
    /// Name at sign-in.
    pub login: String,
    /// Whether the account may be used.
    pub account: Account,
    /// Number of the person's own changes.
    pub user_rev: i64,
}

/// Where a room stands.
#[derive(Debug, Clone)]
pub struct Room {
    pub id: RoomId,
    pub state: i16,
    pub large: bool,
    pub member_count: i32,
    pub seq: i64,
    pub count: i64,
    pub first_count: i64,
    pub rev: i64,
}

/// An item, without what it says.
#[derive(Debug, Clone)]
pub struct Item {
    pub room_id: RoomId,
    pub seq: i64,
    pub rev: i64,
    pub count: i64,
    pub sender_id: UserId,
    pub client_message_id: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub edited_at: Option<DateTime<Utc>>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub deleted_by: Option<Uuid>,
}

/// A person's place in a room.
#[derive(Debug, Clone)]
pub struct Member {
    pub state: i16,
    pub joined_at: DateTime<Utc>,
    pub left_at: Option<DateTime<Utc>>,
    pub history_from_seq: i64,
    pub rev: i64,
    pub last_read_seq: i64,
    pub read_count: i64,
    pub read_generation: i64,
    pub told_delivered: i64,
}

/// A person by id, or by a login that only one has; logins are compared as people type them.
pub async fn find_person(tx: &mut PgConnection, id: Option<UserId>, login: &str) -> Result<Option<Person>> {
    let rows = sqlx::query!(
        r#"select u.id, u.login, u.state, u.locked_until, u.expires_at, coalesce(c.user_rev, 0) as "user_rev!"
           from users u left join user_cursors c on c.user_id = u.id
           where u.id = $1 or $1::uuid is null and u.login_key = $2 limit 2"#,
        id as _,
        users::key(login)
    );
    let mut rows = rows.fetch_all(tx).await?;
    let row = if rows.len() == 1 { rows.pop() } else { None };
    Ok(row.map(|row| Person {
        user_id: row.id.into(),
        login: row.login,
        account: Account { state: row.state, locked_until: row.locked_until, expires_at: row.expires_at },
        user_rev: row.user_rev,
    }))
}

/// Where a person is or was signed in, newest first: at most 50, more than may be signed in at once.
pub async fn find_devices(tx: &mut PgConnection, user_id: UserId) -> Result<Vec<DeviceSession>> {
    let rows = sqlx::query_as!(
        DeviceSession,
        "select user_id, device_id, sid, platform, app_version, address, user_agent, created_at, last_seen_at, revoked_at
         from device_sessions where user_id = $1 order by created_at desc, device_id limit 50",
        user_id as _
    );
    Ok(rows.fetch_all(tx).await?)
}

/// A room, whatever its state.
pub async fn find_room(tx: &mut PgConnection, room_id: RoomId) -> Result<Option<Room>> {
    let row = sqlx::query_as!(
        Room,
        r#"select id as "id: _", state, large, member_count, seq, count, first_count, rev from rooms where id = $1"#,
        room_id as _
    );
    Ok(row.fetch_optional(tx).await?)
}

/// An item by its place.
pub async fn find_item(tx: &mut PgConnection, room_id: RoomId, seq: i64) -> Result<Option<Item>> {
    let row = sqlx::query_as!(
        Item,
        r#"select room_id as "room_id: _", seq, rev, count, sender_id as "sender_id: _", client_message_id, created_at, edited_at,
               deleted_at, deleted_by
           from messages where room_id = $1 and seq = $2"#,
        room_id as _,
        seq
    );
    Ok(row.fetch_optional(tx).await?)
}

/// A message by its id in the sender's client.
pub async fn find_sent(
    tx: &mut PgConnection,
    room_id: RoomId,
    sender_id: UserId,
    client_message_id: Uuid,
) -> Result<Option<Item>> {
    let row = sqlx::query_as!(
        Item,
        r#"select room_id as "room_id: _", seq, rev, count, sender_id as "sender_id: _", client_message_id, created_at, edited_at,
               deleted_at, deleted_by
           from messages where room_id = $1 and sender_id = $2 and client_message_id = $3"#,
        room_id as _,
        sender_id as _,
        client_message_id
    );
    Ok(row.fetch_optional(tx).await?)
}

/// A person's place in a room.
pub async fn find_member(tx: &mut PgConnection, room_id: RoomId, user_id: UserId) -> Result<Option<Member>> {
    let row = sqlx::query_as!(
        Member,
        "select state, joined_at, left_at, history_from_seq, rev, last_read_seq, read_count, read_generation, told_delivered
         from members where room_id = $1 and user_id = $2",
        room_id as _,
        user_id as _
    );
    Ok(row.fetch_optional(tx).await?)
}
