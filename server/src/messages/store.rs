//! Messages in the database, but for sending: that is the writer's.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::{access::RoomAccess, error::Result, ids::UserId, timeline::Item};

/// One item that the caller may see.
pub async fn find(connection: &mut PgConnection, access: &RoomAccess, seq: i64) -> Result<Option<Item>> {
    let item = sqlx::query_as!(
        Item,
        "select * from messages where room_id = $1 and seq = $2 and seq >= $3",
        access.room_id() as _,
        seq,
        access.history_from_seq()
    );
    Ok(item.fetch_optional(connection).await?)
}

/// The newest items below a position, newest first.
pub async fn list_before(
    connection: &mut PgConnection,
    access: &RoomAccess,
    seq: i64,
    limit: i64,
) -> Result<Vec<Item>> {
    let items = sqlx::query_as!(
        Item,
        "select * from messages where room_id = $1 and seq < $2 and seq >= $3 order by seq desc limit $4",
        access.room_id() as _,
        seq,
        access.history_from_seq(),
        limit
    );
    Ok(items.fetch_all(connection).await?)
}

/// The oldest items above a position, oldest first.
pub async fn list_after(connection: &mut PgConnection, access: &RoomAccess, seq: i64, limit: i64) -> Result<Vec<Item>> {
    let items = sqlx::query_as!(
        Item,
        "select * from messages where room_id = $1 and seq > $2 and seq >= $3 order by seq limit $4",
        access.room_id() as _,
        seq,
        access.history_from_seq(),
        limit
    );
    Ok(items.fetch_all(connection).await?)
}

/// When an item was committed, if the caller may see it.
pub async fn find_created_at(
    connection: &mut PgConnection,
    access: &RoomAccess,
    seq: i64,
) -> Result<Option<DateTime<Utc>>> {
    let created_at = sqlx::query_scalar!(
        "select created_at from messages where room_id = $1 and seq = $2 and seq >= $3",
        access.room_id() as _,
        seq,
        access.history_from_seq()
    );
    Ok(created_at.fetch_optional(connection).await?)
}

/// Items at or below a position that changed after a revision, in the order of revisions.
pub async fn list_changed(
    connection: &mut PgConnection,
    access: &RoomAccess,
    (rev, seq): (i64, i64),
    from_seq: i64,
    limit: i64,
) -> Result<Vec<Item>> {
    let items = sqlx::query_as!(
        Item,
        r#"select * from messages where room_id = $1 and changed and rev > $2 and seq <= $3 and seq >= $4
           order by rev limit $5"#,
        access.room_id() as _,
        rev,
        seq,
        from_seq,
        limit
    );
    Ok(items.fetch_all(connection).await?)
}

/// A new body.
#[derive(Debug, Clone)]
pub struct Edit {
    /// What it says now.
    pub text: String,
    /// `messages.format`.
    pub format: i16,
    /// Rarer fields, encoded.
    pub extra: Option<Vec<u8>>,
    /// People mentioned now.
    pub mentioned: Vec<UserId>,
    /// Everybody is mentioned now.
    pub mention_all: bool,
    /// When.
    pub at: DateTime<Utc>,
}

/// Replaces the body of an item in a locked room.
pub async fn update_body(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    seq: i64,
    edit: &Edit,
) -> Result<Item> {
    let rev = access.next_rev();
    let people: Vec<Uuid> = edit.mentioned.iter().map(|id| id.0).collect();
    let mentioned: Vec<Uuid> = sqlx::query_scalar!(
        "select user_id from members where room_id = $1 and user_id = any($2) and state = 1 order by user_id",
        access.room_id() as _,
        &people
    )
    .fetch_all(&mut *connection)
    .await?;
    let item = sqlx::query_as!(
        Item,
        r#"update messages set text = $3, format = $4, extra = $5, mentioned = $6, mentions_all = $7, edited_at = $8, rev = $9,
               changed = true
           where room_id = $1 and seq = $2 returning *"#,
        access.room_id() as _,
        seq,
        edit.text,
        edit.format,
        edit.extra,
        (!mentioned.is_empty()).then_some(&mentioned[..]),
        edit.mention_all,
        edit.at,
        rev
    )
    .fetch_one(&mut *connection)
    .await?;
    delete_mentions(connection, access, seq).await?;
    let mut named: Vec<Option<Uuid>> = mentioned.into_iter().map(Some).collect();
    named.extend(edit.mention_all.then_some(None));
    sqlx::query!(
        "insert into mentions (room_id, seq, user_id) select $1, $2, unnest($3::uuid[])",
        access.room_id() as _,
        seq,
        &named as &[Option<Uuid>]
    )
    .execute(connection)
    .await?;
    Ok(item)
}

/// Leaves a tombstone of an item in a locked room: the content is gone.
pub async fn update_deleted(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    seq: i64,
    at: DateTime<Utc>,
) -> Result<Item> {
    let rev = access.next_rev();
    delete_mentions(connection, access, seq).await?;
    let item = sqlx::query_as!(
        Item,
        r#"update messages set text = '', extra = null, mentioned = null, mentions_all = false, deleted_by = $3, deleted_at = $4,
               rev = $5, changed = true
           where room_id = $1 and seq = $2 returning *"#,
        access.room_id() as _,
        seq,
        access.user_id() as _,
        at,
        rev
    );
    Ok(item.fetch_one(connection).await?)
}

async fn delete_mentions(connection: &mut PgConnection, access: &RoomAccess, seq: i64) -> Result<()> {
    sqlx::query!("delete from mentions where room_id = $1 and seq = $2", access.room_id() as _, seq)
        .execute(connection)
        .await?;
    Ok(())
}
