//! What changed for a device since its watermark.

use sqlx::postgres::PgConnection;

use crate::{
    error::Result,
    ids::{RoomId, UserId},
};

/// Changed profiles that are named one by one; above it a device fetches again whatever it shows (contract).
pub const MOST_PROFILES: i64 = 500;

/// The horizon: whatever commits after this was read has a transaction id at or above it. Without the guard, the next id,
/// above which transactions that still run are not.
pub async fn watermark(connection: &mut PgConnection, horizon: bool) -> Result<i64> {
    let row = sqlx::query!(
        r#"select pg_snapshot_xmin(s)::text::bigint as "xmin!", pg_snapshot_xmax(s)::text::bigint as "xmax!" from pg_current_snapshot() s"#
    );
    let row = row.fetch_one(connection).await?;
    Ok(if horizon { row.xmin } else { row.xmax })
}

/// Rooms of a person that changed at or after a watermark, or in which the person's place did after a number.
pub async fn changed_rooms(
    connection: &mut PgConnection,
    user_id: UserId,
    watermark: i64,
    user_rev: i64,
) -> Result<Vec<RoomId>> {
    let rows = sqlx::query_scalar!(
        r#"select r.id from members m join rooms r on r.id = m.room_id
           where m.user_id = $1 and m.state = 1 and (r.changed_xid >= $2 or m.user_rev > $3)
           order by r.last_active_at desc, r.id"#,
        user_id as _,
        watermark,
        user_rev
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(RoomId).collect())
}

/// People who share a small room with this one and whose profiles changed at or after a watermark; one more than are named.
pub async fn changed_profiles(
    connection: &mut PgConnection,
    user_id: UserId,
    watermark: i64,
) -> Result<Vec<(UserId, i64)>> {
    let rows = sqlx::query!(
        r#"select u.id, u.profile_rev from users u where u.profile_xid >= $2 and exists
               (select from members mine join rooms r on r.id = mine.room_id and not r.large
                join members theirs on theirs.room_id = mine.room_id and theirs.state = 1
                where mine.user_id = $1 and mine.state = 1 and theirs.user_id = u.id)
           limit $3"#,
        user_id as _,
        watermark,
        MOST_PROFILES + 1
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.id.into(), row.profile_rev)).collect())
}
