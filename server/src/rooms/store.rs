//! Rooms and members in the database.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{Member, Summary};
use crate::{
    access::{RoomAccess, RoomRow},
    error::{Error, Result},
    ids::{RoomId, UserId},
    timeline::{self, Item},
};

/// A person in a room.
pub type PlaceKey = (RoomId, UserId);

/// Unread mentions that are listed; clients show 99+ (contract).
pub const MOST_MENTIONS: i64 = 100;

/// Writes the numbers that this transaction gave, and lists the change for other nodes and consumers. The last statement
/// of every transaction that changes a room.
pub async fn save(connection: &mut PgConnection, access: &RoomAccess) -> Result<()> {
    let room = access.room();
    sqlx::query!(
        r#"with listed as (insert into room_changes (xid, room_id) values (pg_current_xact_id()::text::bigint, $1))
           update rooms set seq = $2, count = $3, last_countable_seq = $4, rev = $5, member_count = $6, large = $7,
               last_active_at = $8, changed_xid = pg_current_xact_id()::text::bigint where id = $1"#,
        room.id as _,
        room.seq,
        room.count,
        room.last_countable_seq,
        room.rev,
        room.member_count,
        room.large,
        room.last_active_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Those of these people who exist and may be used, in the order of their ids.
pub async fn find_people(connection: &mut PgConnection, people: &[UserId]) -> Result<Vec<UserId>> {
    let ids: Vec<Uuid> = people.iter().map(|id| id.0).collect();
    let found = sqlx::query_scalar!("select id from users where id = any($1) and state = 1 order by id", &ids);
    Ok(found.fetch_all(connection).await?.into_iter().map(UserId).collect())
}

/// Somebody of these people who is in as many rooms as allowed.
pub async fn find_overbooked(connection: &mut PgConnection, people: &[UserId], most: i64) -> Result<Option<UserId>> {
    let ids: Vec<Uuid> = people.iter().map(|id| id.0).collect();
    let full = sqlx::query_scalar!(
        "select user_id from members where user_id = any($1) and state = 1 group by user_id having count(*) >= $2 limit 1",
        &ids,
        most
    );
    Ok(full.fetch_optional(connection).await?.map(UserId))
}

/// Gives each person the next number of their own. Locked in the order of ids, after the room and before the members.
pub async fn next_user_revs(connection: &mut PgConnection, people: &[UserId]) -> Result<Vec<(UserId, i64)>> {
    let ids: Vec<Uuid> = people.iter().map(|id| id.0).collect();
    sqlx::query!("select user_id from user_cursors where user_id = any($1) order by user_id for no key update", &ids)
        .fetch_all(&mut *connection)
        .await?;
    let rows = sqlx::query!(
        "update user_cursors set user_rev = user_rev + 1 where user_id = any($1) returning user_id, user_rev",
        &ids
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.user_id.into(), row.user_rev)).collect())
}

/// Rows of these people in a locked room, joined or not. Whether they are in changes under the room's lock only; the rows
/// are left unlocked, because a mark locks its person first and the row after that.
pub async fn find_members(
    connection: &mut PgConnection,
    access: &RoomAccess,
    people: &[UserId],
) -> Result<Vec<Member>> {
    let ids: Vec<Uuid> = people.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Member,
        "select * from members where room_id = $1 and user_id = any($2) order by user_id",
        access.room_id() as _,
        &ids
    );
    Ok(rows.fetch_all(connection).await?)
}

/// How somebody comes in.
#[derive(Debug, Clone, Copy)]
pub struct Joining {
    /// The person.
    pub user_id: UserId,
    /// The person's next number.
    pub user_rev: i64,
    /// `members.role`.
    pub role: i16,
}

/// Lets people in: new rows, or the rows of earlier stays. Whoever comes in has read everything.
pub async fn upsert_joined(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    joining: &[Joining],
    at: DateTime<Utc>,
) -> Result<Vec<Member>> {
    let revs: Vec<i64> = joining.iter().map(|_| access.next_rev()).collect();
    let people: Vec<Uuid> = joining.iter().map(|j| j.user_id.0).collect();
    let user_revs: Vec<i64> = joining.iter().map(|j| j.user_rev).collect();
    let roles: Vec<i16> = joining.iter().map(|j| j.role).collect();
    let room = access.room();
    let history_from = if room.history_hidden { room.seq + 1 } else { 1 };
    let mut members = sqlx::query_as!(
        Member,
        r#"insert into members (room_id, user_id, state, role, joined_at, history_from_seq, rev, user_rev, last_read_seq,
               read_count, told_read, receipt_rev)
           select $1, w.user_id, 1, w.role, $2, $3, w.rev, w.user_rev, $4, $5, $4, w.rev
           from unnest($6::uuid[], $7::smallint[], $8::bigint[], $9::bigint[]) w (user_id, role, rev, user_rev)
           on conflict (room_id, user_id) do update set state = 1, role = excluded.role, joined_at = excluded.joined_at,
               left_at = null, history_from_seq = excluded.history_from_seq, rev = excluded.rev, user_rev = excluded.user_rev,
               last_read_seq = excluded.last_read_seq, read_count = excluded.read_count,
               read_generation = members.read_generation + 1, told_read = excluded.told_read,
               told_delivered = 0, receipt_rev = excluded.receipt_rev
           returning *"#,
        room.id as _,
        at,
        history_from,
        room.seq,
        room.count,
        &people,
        &roles,
        &revs,
        &user_revs
    )
    .fetch_all(connection)
    .await?;
    members.sort_by_key(|member| member.rev);
    access.room_mut().member_count += i32::try_from(members.len()).unwrap_or(i32::MAX);
    Ok(members)
}

/// Ends a stay and keeps its record.
pub async fn end_stay(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    (user_id, user_rev): (UserId, i64),
    state: i16,
    at: DateTime<Utc>,
) -> Result<Member> {
    let rev = access.next_rev();
    let member = sqlx::query_as!(
        Member,
        r#"with stay as (insert into stays (room_id, user_id, joined_at, left_at, ended_how)
               select room_id, user_id, joined_at, $5, $3 from members where room_id = $1 and user_id = $2
               on conflict do nothing)
           update members set state = $3, role = 1, left_at = $5, rev = $4, user_rev = $6 where room_id = $1 and user_id = $2
           returning *"#,
        access.room_id() as _,
        user_id as _,
        state,
        rev,
        at,
        user_rev
    )
    .fetch_one(connection)
    .await?;
    access.room_mut().member_count -= 1;
    Ok(member)
}

/// Another admin, or the eldest member, of a locked room.
pub async fn find_heir(connection: &mut PgConnection, access: &RoomAccess, admin: bool) -> Result<Option<UserId>> {
    let heir = sqlx::query_scalar!(
        r#"select user_id from members where room_id = $1 and state = 1 and user_id <> $2 and (role = 2 or not $3)
           order by joined_at, user_id limit 1"#,
        access.room_id() as _,
        access.user_id() as _,
        admin
    );
    Ok(heir.fetch_optional(connection).await?.map(UserId))
}

/// Gives a member another role.
pub async fn update_role(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    (user_id, user_rev): (UserId, i64),
    role: i16,
) -> Result<Member> {
    let rev = access.next_rev();
    let member = sqlx::query_as!(
        Member,
        "update members set role = $3, rev = $4, user_rev = $5 where room_id = $1 and user_id = $2 returning *",
        access.room_id() as _,
        user_id as _,
        role,
        rev,
        user_rev
    );
    Ok(member.fetch_one(connection).await?)
}

/// The room of two people, the smaller id first.
pub async fn find_direct(connection: &mut PgConnection, pair: (Uuid, Uuid)) -> Result<Option<RoomId>> {
    let id = sqlx::query_scalar!("select id from rooms where direct_a = $1 and direct_b = $2", pair.0, pair.1);
    Ok(id.fetch_optional(connection).await?.map(RoomId))
}

/// The room that an id names, with its maker and the hash of the request.
pub async fn find_made(connection: &mut PgConnection, room_id: RoomId) -> Result<Option<(UserId, Vec<u8>)>> {
    let row = sqlx::query!("select created_by, payload_hash from rooms where id = $1", room_id as _);
    Ok(row.fetch_optional(connection).await?.map(|row| (row.created_by.into(), row.payload_hash)))
}

/// These rooms as the person sees them in this snapshot: only those that the person is in.
pub async fn summaries(connection: &mut PgConnection, user_id: UserId, rooms: &[RoomId]) -> Result<Vec<Summary>> {
    summaries_unless(connection, &places_of(user_id, rooms), false).await
}

/// One room as the person sees it; refused when they are not in it.
pub async fn summary(connection: &mut PgConnection, user_id: UserId, room_id: RoomId) -> Result<Summary> {
    let summaries = summaries(connection, user_id, &[room_id]).await?;
    summaries.into_iter().next().ok_or_else(Error::room_not_found)
}

/// A person in each of these rooms.
pub fn places_of(user_id: UserId, rooms: &[RoomId]) -> Vec<PlaceKey> {
    rooms.iter().map(|room_id| (*room_id, user_id)).collect()
}

/// Rooms and people in two columns, each place once: two streams of one person may ask for the same.
fn columns(places: &[PlaceKey]) -> (Vec<Uuid>, Vec<Uuid>) {
    let places: BTreeSet<&PlaceKey> = places.iter().collect();
    places.into_iter().map(|(room_id, user_id)| (room_id.0, user_id.0)).unzip()
}

/// Rooms as these people see them in this snapshot; unchecked, what a server that does not look at memberships would tell.
/// Four statements, however many there are.
pub async fn summaries_unless(
    connection: &mut PgConnection,
    places: &[PlaceKey],
    unchecked: bool,
) -> Result<Vec<Summary>> {
    let (mut rooms, people) = columns(places);
    let members = sqlx::query_as!(
        Member,
        r#"select m.* from unnest($1::uuid[], $2::uuid[]) as w(room_id, user_id)
           join members m on m.room_id = w.room_id and m.user_id = w.user_id where m.state = 1 or $3"#,
        &rooms,
        &people,
        unchecked
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut mentions = unread_mentions(connection, places).await?;
    rooms.sort_unstable();
    rooms.dedup();
    let last = timeline::last_items(connection, &rooms).await?;
    let rows = sqlx::query_as!(RoomRow, "select * from rooms where id = any($1) and state <> 3", &rooms)
        .fetch_all(connection)
        .await?;
    let rows: HashMap<RoomId, RoomRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let last: HashMap<RoomId, Item> = last.into_iter().map(|item| (item.room_id, item)).collect();
    let summary = |member: Member| {
        let (room, place) = (rows.get(&member.room_id)?.clone(), (member.room_id, member.user_id));
        let last = last.get(&member.room_id).filter(|item| item.seq >= member.history_from_seq).cloned();
        let mentions = mentions.remove(&place).unwrap_or_default();
        Some(Summary { room, member, last, mentions })
    };
    Ok(members.into_iter().filter_map(summary).collect())
}

/// Unread items that mention people in rooms, oldest first, at most 100 of each.
pub async fn unread_mentions(
    connection: &mut PgConnection,
    places: &[PlaceKey],
) -> Result<HashMap<PlaceKey, Vec<i64>>> {
    let (rooms, people) = columns(places);
    let rows = sqlx::query!(
        r#"select m.room_id as "room_id!", m.user_id as "user_id!", x.seq as "seq!"
           from unnest($1::uuid[], $2::uuid[]) as w(room_id, user_id)
           join members m on m.room_id = w.room_id and m.user_id = w.user_id cross join lateral
               (select distinct n.seq from mentions n join messages i on i.room_id = n.room_id and i.seq = n.seq
                where n.room_id = m.room_id and (n.user_id = m.user_id or n.user_id is null)
                    and n.seq > m.last_read_seq and n.seq >= m.history_from_seq
                    and i.deleted_at is null and i.sender_id <> m.user_id
                order by n.seq limit $3) x
           where m.state = 1 order by 1, 2, 3"#,
        &rooms,
        &people,
        MOST_MENTIONS
    );
    let mut found: HashMap<PlaceKey, Vec<i64>> = HashMap::new();
    for row in rows.fetch_all(connection).await? {
        found.entry((row.room_id.into(), row.user_id.into())).or_default().push(row.seq);
    }
    Ok(found)
}

/// A page of the person's rooms, the most recently active first.
pub async fn list_mine(
    connection: &mut PgConnection,
    user_id: UserId,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<RoomId>> {
    let (at, id) = after.map_or((None, None), |(at, id)| (Some(at), Some(id)));
    let ids = sqlx::query_scalar!(
        r#"select r.id from members m join rooms r on r.id = m.room_id
           where m.user_id = $1 and m.state = 1 and r.state <> 3
               and ($2::timestamptz is null or (r.last_active_at, r.id) < ($2, $3))
           order by r.last_active_at desc, r.id desc limit $4"#,
        user_id as _,
        at,
        id,
        limit
    );
    Ok(ids.fetch_all(connection).await?.into_iter().map(RoomId).collect())
}

/// A page of who is in a room, in the order of joining.
pub async fn list_members(
    connection: &mut PgConnection,
    access: &RoomAccess,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Member>> {
    let (at, id) = after.map_or((None, None), |(at, id)| (Some(at), Some(id)));
    let rows = sqlx::query_as!(
        Member,
        r#"select * from members where room_id = $1 and state = 1
               and ($2::timestamptz is null or (joined_at, user_id) > ($2, $3))
           order by joined_at, user_id limit $4"#,
        access.room_id() as _,
        at,
        id,
        limit
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Member rows that changed after a revision, in its order; with 0 those who are in.
pub async fn members_changed(
    connection: &mut PgConnection,
    access: &RoomAccess,
    after_rev: i64,
    limit: i64,
) -> Result<Vec<Member>> {
    let rows = sqlx::query_as!(
        Member,
        "select * from members where room_id = $1 and rev > $2 and ($2 > 0 or state = 1) order by rev limit $3",
        access.room_id() as _,
        after_rev,
        limit
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Own memberships that changed after a number, in its order; with 0 those that exist.
pub async fn memberships_changed(
    connection: &mut PgConnection,
    user_id: UserId,
    after: i64,
    limit: i64,
) -> Result<Vec<Member>> {
    let rows = sqlx::query_as!(
        Member,
        "select * from members where user_id = $1 and user_rev > $2 and ($2 > 0 or state = 1) order by user_rev limit $3",
        user_id as _,
        after,
        limit
    );
    Ok(rows.fetch_all(connection).await?)
}

/// The first memberships of people that changed after a number of each, at most so many of each person.
pub async fn memberships_changed_of(
    connection: &mut PgConnection,
    people: &[(UserId, i64)],
    limit: i64,
) -> Result<Vec<Member>> {
    let (ids, after): (Vec<Uuid>, Vec<i64>) = people.iter().map(|(user_id, after)| (user_id.0, *after)).unzip();
    let rows = sqlx::query_as!(
        Member,
        r#"select m.* from unnest($1::uuid[], $2::bigint[]) as w(user_id, after) cross join lateral
               (select * from members x where x.user_id = w.user_id and x.user_rev > w.after order by x.user_rev limit $3) m"#,
        &ids,
        &after,
        limit
    );
    Ok(rows.fetch_all(connection).await?)
}

/// One's place in a room that is gone.
#[derive(Debug, Clone, Copy)]
pub struct Gone {
    /// The room.
    pub room_id: RoomId,
    /// The person.
    pub user_id: UserId,
    /// `members.state`.
    pub state: i16,
    /// Revision of the room at which the membership last changed.
    pub rev: i64,
    /// Number of the person's changes likewise.
    pub user_rev: i64,
    /// Final revision of a room that has ended.
    pub ended_rev: Option<i64>,
}

/// Own places in rooms that are gone, for the verdict.
pub async fn find_gone(connection: &mut PgConnection, places: &[PlaceKey]) -> Result<Vec<Gone>> {
    let (rooms, people) = columns(places);
    let rows = sqlx::query!(
        r#"select m.room_id, m.user_id, m.state, m.rev, m.user_rev, case when r.state = 3 then r.rev end as ended_rev
           from unnest($1::uuid[], $2::uuid[]) as w(room_id, user_id)
           join members m on m.room_id = w.room_id and m.user_id = w.user_id join rooms r on r.id = m.room_id"#,
        &rooms,
        &people
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    let gone = rows.map(|row| Gone {
        room_id: row.room_id.into(),
        user_id: row.user_id.into(),
        state: row.state,
        rev: row.rev,
        user_rev: row.user_rev,
        ended_rev: row.ended_rev,
    });
    Ok(gone.collect())
}

/// The person's number.
pub async fn user_rev(connection: &mut PgConnection, user_id: UserId) -> Result<i64> {
    Ok(user_revs(connection, &[user_id]).await?.remove(&user_id).unwrap_or(0))
}

/// The numbers of people; who has none yet is left out.
pub async fn user_revs(connection: &mut PgConnection, people: &[UserId]) -> Result<HashMap<UserId, i64>> {
    let ids: Vec<Uuid> = people.iter().map(|id| id.0).collect();
    let rows = sqlx::query!("select user_id, user_rev from user_cursors where user_id = any($1)", &ids);
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.user_id.into(), row.user_rev)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_two_streams_ask_for_is_asked_for_once() {
        let place = |room, person| (RoomId(Uuid::from_u128(room)), UserId(Uuid::from_u128(person)));
        let (rooms, people) = columns(&[place(2, 1), place(1, 1), place(2, 1), place(2, 3)]);
        assert_eq!(rooms, [1, 2, 2].map(Uuid::from_u128));
        assert_eq!(people, [1, 1, 3].map(Uuid::from_u128));
    }
}
