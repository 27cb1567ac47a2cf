//! The statements of a batch. Each serves all of its drafts at once.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::{
    access::RoomRow,
    error::Result,
    ids::{RoomId, UserId},
    rooms::Member,
    timeline::Item,
};

/// How long a lane of its own waits for a room: longer than anything that holds one honestly.
pub async fn set_lock_timeout(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("set local lock_timeout = '2s'").execute(connection).await?;
    Ok(())
}

fn uuids<T: Copy + Into<Uuid>>(ids: &[T]) -> Vec<Uuid> {
    ids.iter().map(|id| (*id).into()).collect()
}

/// Locks rooms in the order of ids; those that are locked elsewhere are left out unless it waits.
pub async fn lock_rooms(connection: &mut PgConnection, rooms: &[RoomId], wait: bool) -> Result<Vec<RoomRow>> {
    let ids = uuids(rooms);
    let rows = if wait {
        let rows =
            sqlx::query_as!(RoomRow, "select * from rooms where id = any($1) order by id for no key update", &ids);
        rows.fetch_all(connection).await?
    } else {
        let rows = sqlx::query_as!(
            RoomRow,
            "select * from rooms where id = any($1) order by id for no key update skip locked",
            &ids
        );
        rows.fetch_all(connection).await?
    };
    Ok(rows)
}

/// Rooms of marks, which are not locked.
pub async fn find_rooms(connection: &mut PgConnection, rooms: &[RoomId]) -> Result<Vec<RoomRow>> {
    let ids = uuids(rooms);
    let rows = sqlx::query_as!(RoomRow, "select * from rooms where id = any($1)", &ids);
    Ok(rows.fetch_all(connection).await?)
}

/// Locks the numbers of people in the order of ids, likewise.
pub async fn lock_people(connection: &mut PgConnection, people: &[UserId], wait: bool) -> Result<Vec<(UserId, i64)>> {
    let ids = uuids(people);
    let rows: Vec<(Uuid, i64)> = if wait {
        let rows = sqlx::query!(
            "select user_id, user_rev from user_cursors where user_id = any($1) order by user_id for no key update",
            &ids
        );
        rows.fetch_all(connection).await?.into_iter().map(|row| (row.user_id, row.user_rev)).collect()
    } else {
        let rows = sqlx::query!(
            "select user_id, user_rev from user_cursors where user_id = any($1) order by user_id for no key update skip locked",
            &ids
        );
        rows.fetch_all(connection).await?.into_iter().map(|row| (row.user_id, row.user_rev)).collect()
    };
    Ok(rows.into_iter().map(|(id, rev)| (id.into(), rev)).collect())
}

/// Locks member rows in the order of rooms and people.
pub async fn lock_members(connection: &mut PgConnection, places: &[(RoomId, UserId)]) -> Result<Vec<Member>> {
    let (rooms, people): (Vec<Uuid>, Vec<Uuid>) = places.iter().map(|(room, user)| (room.0, user.0)).unzip();
    let rows = sqlx::query_as!(
        Member,
        r#"select m.* from members m join unnest($1::uuid[], $2::uuid[]) w (room_id, user_id)
               on m.room_id = w.room_id and m.user_id = w.user_id
           order by m.room_id, m.user_id for no key update of m"#,
        &rooms,
        &people
    );
    Ok(rows.fetch_all(connection).await?)
}

/// The same without a lock.
pub async fn find_members(connection: &mut PgConnection, places: &[(RoomId, UserId)]) -> Result<Vec<Member>> {
    let (rooms, people): (Vec<Uuid>, Vec<Uuid>) = places.iter().map(|(room, user)| (room.0, user.0)).unzip();
    let rows = sqlx::query_as!(
        Member,
        r#"select m.* from members m join unnest($1::uuid[], $2::uuid[]) w (room_id, user_id)
               on m.room_id = w.room_id and m.user_id = w.user_id"#,
        &rooms,
        &people
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Items that were stored under these ids before.
pub async fn find_sent(connection: &mut PgConnection, ids: &[(RoomId, UserId, Uuid)]) -> Result<Vec<Item>> {
    let rooms: Vec<Uuid> = ids.iter().map(|id| id.0.0).collect();
    let people: Vec<Uuid> = ids.iter().map(|id| id.1.0).collect();
    let names: Vec<Uuid> = ids.iter().map(|id| id.2).collect();
    let rows = sqlx::query_as!(
        Item,
        r#"select i.* from messages i join unnest($1::uuid[], $2::uuid[], $3::uuid[]) w (room_id, sender_id, id)
               on i.room_id = w.room_id and i.sender_id = w.sender_id and i.client_message_id = w.id"#,
        &rooms,
        &people,
        &names
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Those of these places where the person is in the room.
pub async fn find_joined(connection: &mut PgConnection, places: &[(RoomId, UserId)]) -> Result<Vec<(RoomId, UserId)>> {
    let (rooms, people): (Vec<Uuid>, Vec<Uuid>) = places.iter().map(|(room, user)| (room.0, user.0)).unzip();
    let rows = sqlx::query!(
        r#"select m.room_id, m.user_id from members m join unnest($1::uuid[], $2::uuid[]) w (room_id, user_id)
               on m.room_id = w.room_id and m.user_id = w.user_id where m.state = 1"#,
        &rooms,
        &people
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.room_id.into(), row.user_id.into())).collect())
}

/// Position and count of the greatest item at or below each of these; (0, 0) where there is none.
pub async fn find_counts(connection: &mut PgConnection, at: &[(RoomId, i64)]) -> Result<Vec<(i64, i64)>> {
    let (rooms, seqs): (Vec<Uuid>, Vec<i64>) = at.iter().map(|(room, seq)| (room.0, *seq)).unzip();
    let rows = sqlx::query!(
        r#"select coalesce(i.seq, 0) as "seq!", coalesce(i.count, 0) as "count!"
           from unnest($1::uuid[], $2::bigint[]) with ordinality w (room_id, seq, n)
           left join lateral (select x.seq, x.count from messages x where x.room_id = w.room_id and x.seq <= w.seq
               order by x.seq desc limit 1) i on true order by w.n"#,
        &rooms,
        &seqs
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.seq, row.count)).collect())
}

/// Unread items that mention each of these people in a room, at most 100 each.
pub async fn find_mentions(
    connection: &mut PgConnection,
    places: &[(RoomId, UserId)],
) -> Result<Vec<(RoomId, UserId, i64)>> {
    let (rooms, people): (Vec<Uuid>, Vec<Uuid>) = places.iter().map(|(room, user)| (room.0, user.0)).unzip();
    let rows = sqlx::query!(
        r#"select m.room_id as "room_id!", m.user_id as "user_id!", x.seq as "seq!"
           from unnest($1::uuid[], $2::uuid[]) w (room_id, user_id)
           join members m on m.room_id = w.room_id and m.user_id = w.user_id and m.state = 1
           cross join lateral
               (select distinct n.seq from mentions n join messages i on i.room_id = n.room_id and i.seq = n.seq
                where n.room_id = m.room_id and (n.user_id = m.user_id or n.user_id is null)
                    and n.seq > m.last_read_seq and n.seq >= m.history_from_seq
                    and i.deleted_at is null and i.sender_id <> m.user_id
                order by n.seq limit 100) x order by 1, 2, 3"#,
        &rooms,
        &people
    );
    let rows = rows.fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.room_id.into(), row.user_id.into(), row.seq)).collect())
}

/// Stores new items.
pub async fn insert_items(connection: &mut PgConnection, items: &[&Item], at: DateTime<Utc>) -> Result<()> {
    let column = |get: fn(&Item) -> i64| items.iter().map(|item| get(item)).collect::<Vec<i64>>();
    let rooms: Vec<Uuid> = items.iter().map(|i| i.room_id.0).collect();
    let senders: Vec<Uuid> = items.iter().map(|i| i.sender_id.0).collect();
    let names: Vec<Option<Uuid>> = items.iter().map(|i| i.client_message_id).collect();
    let hashes: Vec<Option<Vec<u8>>> = items.iter().map(|i| i.payload_hash.clone()).collect();
    let generations: Vec<Option<i64>> = items.iter().map(|i| i.mark_generation).collect();
    let texts: Vec<&str> = items.iter().map(|i| i.text.as_str()).collect();
    let formats: Vec<i16> = items.iter().map(|i| i.format).collect();
    let extras: Vec<Option<Vec<u8>>> = items.iter().map(|i| i.extra.clone()).collect();
    let all: Vec<bool> = items.iter().map(|i| i.mentions_all).collect();
    // A list of lists cannot be unnested by rows, so each travels as the text of an array.
    let mentioned: Vec<Option<String>> = items.iter().map(|i| i.mentioned.as_deref().map(array_text)).collect();
    sqlx::query!(
        r#"insert into messages (room_id, seq, rev, count, sender_id, client_message_id, payload_hash, mark_generation, created_at,
               kind, text, format, extra, mentioned, mentions_all, reply_to_seq)
           select w.room_id, w.seq, w.rev, w.count, w.sender_id, w.name, w.hash, w.generation, $1, 1, w.text, w.format, w.extra,
               w.mentioned::uuid[], w.mentions_all, w.reply_to_seq
           from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::uuid[], $8::bytea[], $9::bigint[],
               $10::text[], $11::smallint[], $12::bytea[], $13::text[], $14::boolean[], $15::bigint[])
               w (room_id, seq, rev, count, sender_id, name, hash, generation, text, format, extra, mentioned, mentions_all,
               reply_to_seq)"#,
        at,
        &rooms,
        &column(|i| i.seq),
        &column(|i| i.rev),
        &column(|i| i.count),
        &senders,
        &names as &[Option<Uuid>],
        &hashes as &[Option<Vec<u8>>],
        &generations as &[Option<i64>],
        &texts as &[&str],
        &formats,
        &extras as &[Option<Vec<u8>>],
        &mentioned as &[Option<String>],
        &all,
        &column(|i| i.reply_to_seq)
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn array_text(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// Stores who is mentioned where; `None` is everybody.
pub async fn insert_mentions(connection: &mut PgConnection, mentions: &[(RoomId, i64, Option<UserId>)]) -> Result<()> {
    let rooms: Vec<Uuid> = mentions.iter().map(|m| m.0.0).collect();
    let seqs: Vec<i64> = mentions.iter().map(|m| m.1).collect();
    let people: Vec<Option<Uuid>> = mentions.iter().map(|m| m.2.map(|id| id.0)).collect();
    sqlx::query!(
        r#"insert into mentions (room_id, seq, user_id) select * from unnest($1::uuid[], $2::bigint[], $3::uuid[])
           on conflict do nothing"#,
        &rooms,
        &seqs,
        &people as &[Option<Uuid>]
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the numbers of rooms, and lists them as changed.
pub async fn update_rooms(connection: &mut PgConnection, rooms: &[&RoomRow], at: DateTime<Utc>) -> Result<()> {
    let ids: Vec<Uuid> = rooms.iter().map(|room| room.id.0).collect();
    let column = |get: fn(&RoomRow) -> i64| rooms.iter().map(|room| get(room)).collect::<Vec<i64>>();
    sqlx::query!(
        r#"with listed as (insert into room_changes (xid, room_id)
               select pg_current_xact_id()::text::bigint, id from unnest($1::uuid[]) id)
           update rooms r set seq = w.seq, count = w.count, last_countable_seq = w.last, rev = w.rev,
               changed_xid = pg_current_xact_id()::text::bigint, last_active_at = $6
           from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) w (id, seq, count, last, rev)
           where r.id = w.id"#,
        &ids,
        &column(|room| room.seq),
        &column(|room| room.count),
        &column(|room| room.last_countable_seq),
        &column(|room| room.rev),
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves marks.
pub async fn update_marks(connection: &mut PgConnection, members: &[&Member]) -> Result<()> {
    let rooms: Vec<Uuid> = members.iter().map(|m| m.room_id.0).collect();
    let people: Vec<Uuid> = members.iter().map(|m| m.user_id.0).collect();
    let column = |get: fn(&Member) -> i64| members.iter().map(|member| get(member)).collect::<Vec<i64>>();
    sqlx::query!(
        r#"update members m set last_read_seq = w.seq, read_count = w.count, read_generation = w.generation, user_rev = w.user_rev,
               told_read = greatest(m.told_read, w.told), receipt_rev = greatest(m.receipt_rev, w.receipt_rev)
           from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
               w (room_id, user_id, seq, count, generation, user_rev, told, receipt_rev)
           where m.room_id = w.room_id and m.user_id = w.user_id"#,
        &rooms,
        &people,
        &column(|m| m.last_read_seq),
        &column(|m| m.read_count),
        &column(|m| m.read_generation),
        &column(|m| m.user_rev),
        &column(|m| m.told_read),
        &column(|m| m.receipt_rev)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the numbers of people.
pub async fn update_people(connection: &mut PgConnection, people: &[(UserId, i64)]) -> Result<()> {
    let (ids, revs): (Vec<Uuid>, Vec<i64>) = people.iter().map(|(id, rev)| (id.0, *rev)).unzip();
    sqlx::query!(
        r#"update user_cursors c set user_rev = w.user_rev from unnest($1::uuid[], $2::bigint[]) w (user_id, user_rev)
           where c.user_id = w.user_id"#,
        &ids,
        &revs
    )
    .execute(connection)
    .await?;
    Ok(())
}
