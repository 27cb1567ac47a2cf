//! What changed for a device since its watermark.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::{
    error::Result,
    ids::{RoomId, UserId},
    realtime::Membership,
};

/// Changed profiles that are looked at one by one, each for 0.1 ms; above it a device fetches again whatever it shows. The
/// contract lets 500 be named, but a crowd that comes back after a whole company has changed would keep the database from
/// everything else.
const MOST_PROFILES: usize = 200;

/// The horizon: whatever commits after this was read has a transaction id at or above it. Without the guard, the next id,
/// above which transactions that still run are not.
pub async fn watermark(connection: &mut PgConnection, horizon: bool) -> Result<i64> {
    let row = sqlx::query!(
        r#"select pg_snapshot_xmin(s)::text::bigint as "xmin!", pg_snapshot_xmax(s)::text::bigint as "xmax!" from pg_current_snapshot() s"#
    );
    let row = row.fetch_one(connection).await?;
    Ok(if horizon { row.xmin } else { row.xmax })
}

/// The rooms of somebody whose stream begins.
#[derive(Debug, Clone, Default)]
pub struct Rooms {
    /// Those that changed since the watermark, or in which the person's place did since the number; the most recently active first.
    pub changed: Vec<RoomId>,
    /// All that are not deleted.
    pub memberships: Vec<Membership>,
}

/// The rooms of these people, each with what they hold: a watermark and a number. Each in the place where the person stood;
/// bounded by the rooms a person may be in.
pub async fn rooms(connection: &mut PgConnection, people: &[(UserId, i64, i64)]) -> Result<Vec<Rooms>> {
    let ids: Vec<Uuid> = people.iter().map(|(user_id, ..)| user_id.0).collect();
    let watermarks: Vec<i64> = people.iter().map(|(_, watermark, _)| *watermark).collect();
    let user_revs: Vec<i64> = people.iter().map(|(.., user_rev)| *user_rev).collect();
    let rows = sqlx::query!(
        r#"select w.n as "n!", r.id, r.rev as room_rev, r.seq as room_seq, r.state <> 3 as "is_there!", m.rev,
               m.history_from_seq, r.changed_xid >= w.watermark or m.user_rev > w.user_rev as "has_changed!"
           from unnest($1::uuid[], $2::bigint[], $3::bigint[]) with ordinality as w(user_id, watermark, user_rev, n)
           join members m on m.user_id = w.user_id join rooms r on r.id = m.room_id
           where m.state = 1 order by r.last_active_at desc, r.id"#,
        &ids,
        &watermarks,
        &user_revs
    );
    let mut found = vec![Rooms::default(); people.len()];
    for row in rows.fetch_all(connection).await? {
        let (room_id, rooms) = (row.id.into(), &mut found[usize::try_from(row.n - 1).unwrap_or(usize::MAX)]);
        if row.has_changed {
            rooms.changed.push(room_id);
        }
        if row.is_there {
            rooms.memberships.push(Membership {
                room_id,
                joined: true,
                rev: row.rev,
                history_from_seq: row.history_from_seq,
                room_rev: row.room_rev,
                room_seq: row.room_seq,
            });
        }
    }
    Ok(found)
}

/// Of each of these people, since a watermark of theirs: who shares a small room with them and has another profile now; nothing
/// where so many changed that any may have. Each in the place where the person stood.
pub async fn changed_profiles(
    connection: &mut PgConnection,
    people: &[(UserId, i64)],
) -> Result<Vec<Option<Vec<(UserId, i64)>>>> {
    let (ids, watermarks): (Vec<Uuid>, Vec<i64>) = people.iter().map(|(id, watermark)| (id.0, *watermark)).unzip();
    let rows = sqlx::query!(
        r#"select w.n as "n!", u.id, u.profile_rev, exists
               (select from members mine join rooms r on r.id = mine.room_id and not r.large
                join members theirs on theirs.room_id = mine.room_id and theirs.state = 1
                where mine.user_id = w.user_id and mine.state = 1 and theirs.user_id = u.id) as "shares!"
           from unnest($1::uuid[], $2::bigint[]) with ordinality as w(user_id, watermark, n) cross join lateral
               (select id, profile_rev from users where profile_xid >= w.watermark order by profile_xid limit $3) u"#,
        &ids,
        &watermarks,
        i64::try_from(MOST_PROFILES + 1).unwrap_or(i64::MAX)
    );
    let (mut looked_at, mut shared) = (vec![0; people.len()], vec![Vec::new(); people.len()]);
    for row in rows.fetch_all(connection).await? {
        let place = usize::try_from(row.n - 1).unwrap_or(usize::MAX);
        looked_at[place] += 1;
        if row.shares {
            shared[place].push((row.id.into(), row.profile_rev));
        }
    }
    let told =
        looked_at.into_iter().zip(shared).map(|(looked_at, shared)| (looked_at <= MOST_PROFILES).then_some(shared));
    Ok(told.collect())
}
