//! Marks and receipts in the database, but for moving one's own mark: that is the writer's.

use sqlx::{PgPool, postgres::PgConnection};
use uuid::Uuid;

use crate::{
    access::RoomAccess,
    error::Result,
    ids::{RoomId, UserId},
    realtime::ReadCount,
    rooms::Member,
};

/// Unread items, unread mentions and rooms with unread items of a person, by the formula.
pub async fn totals(connection: &mut PgConnection, user_id: UserId) -> Result<(i64, i64, i32)> {
    let row = sqlx::query!(
        r#"select coalesce(sum(u.unread), 0)::bigint as "unread!", coalesce(sum(u.mentions), 0)::bigint as "mentions!",
               (count(*) filter (where u.unread > 0))::int as "rooms!"
           from (select greatest(r.count - greatest(m.read_count, r.first_count), 0) as unread,
                   (select count(*) from (select distinct n.seq from mentions n
                        join messages i on i.room_id = n.room_id and i.seq = n.seq
                        where n.room_id = m.room_id and (n.user_id = m.user_id or n.user_id is null)
                            and n.seq > m.last_read_seq and n.seq >= m.history_from_seq
                            and i.deleted_at is null and i.sender_id <> m.user_id limit 100) x) as mentions
               from members m join rooms r on r.id = m.room_id where m.user_id = $1 and m.state = 1 and r.state <> 3) u"#,
        user_id as _
    )
    .fetch_one(connection)
    .await?;
    Ok((row.unread, row.mentions, row.rooms))
}

/// A page of how far members have read, in the order of ids. In large rooms nobody was told, so the marks themselves count.
pub async fn list(
    connection: &mut PgConnection,
    access: &RoomAccess,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Member>> {
    let rows = sqlx::query_as!(
        Member,
        r#"select * from members where room_id = $1 and state = 1 and ($2::uuid is null or user_id > $2)
           order by user_id limit $3"#,
        access.room_id() as _,
        after,
        limit
    );
    let mut members = rows.fetch_all(connection).await?;
    if access.room().large {
        for member in &mut members {
            member.told_read = member.last_read_seq;
        }
    }
    Ok(members)
}

/// Receipts that changed after a revision, in its order; with 0 those of everybody who is in.
pub async fn changed(
    connection: &mut PgConnection,
    access: &RoomAccess,
    after_rev: i64,
    limit: i64,
) -> Result<Vec<Member>> {
    let rows = sqlx::query_as!(
        Member,
        "select * from members where room_id = $1 and receipt_rev > $2 and state = 1 order by receipt_rev, user_id limit $3",
        access.room_id() as _,
        after_rev,
        limit
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Members of a locked room whose marks or deliveries have moved beyond what was told, of those who were gathered.
pub async fn find_untold(
    connection: &mut PgConnection,
    access: &RoomAccess,
    delivered: &[(UserId, i64)],
) -> Result<Vec<UserId>> {
    let (people, seqs): (Vec<Uuid>, Vec<i64>) = delivered.iter().map(|(id, seq)| (id.0, *seq)).unzip();
    let rows = sqlx::query_scalar!(
        r#"select m.user_id from members m join unnest($2::uuid[], $3::bigint[]) w (user_id, seq) on w.user_id = m.user_id
           where m.room_id = $1 and m.state = 1 and (m.last_read_seq > m.told_read or least(w.seq, $4) > m.told_delivered)"#,
        access.room_id() as _,
        &people,
        &seqs,
        access.room().seq
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(UserId).collect())
}

/// Tells the marks and deliveries of these members under one revision.
pub async fn update_told(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    delivered: &[(UserId, i64)],
    untold: &[UserId],
) -> Result<Vec<Member>> {
    let rev = access.next_rev();
    let (people, seqs): (Vec<Uuid>, Vec<i64>) =
        delivered.iter().filter(|(id, _)| untold.contains(id)).map(|(id, seq)| (id.0, *seq)).unzip();
    let rows = sqlx::query_as!(
        Member,
        r#"update members m set told_read = greatest(m.told_read, m.last_read_seq),
               told_delivered = greatest(m.told_delivered, least(w.seq, $4)), receipt_rev = $5
           from unnest($2::uuid[], $3::bigint[]) w (user_id, seq)
           where m.room_id = $1 and m.user_id = w.user_id returning m.*"#,
        access.room_id() as _,
        &people,
        &seqs,
        access.room().seq,
        rev
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Small rooms in which marks have not been told, because the node that gathered them is gone.
pub async fn find_forgotten(connection: &mut PgConnection, limit: i64) -> Result<Vec<(RoomId, UserId)>> {
    let rows = sqlx::query!(
        r#"select m.room_id, m.user_id from members m join rooms r on r.id = m.room_id
           where m.state = 1 and m.last_read_seq > m.told_read and r.state = 1 and not r.large limit $1"#,
        limit
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.room_id.into(), row.user_id.into())).collect())
}

/// How many have read these items, of those who are in the room and may see them; senders are not counted.
pub(super) async fn count_reads(pool: &PgPool, items: &[(RoomId, i64)]) -> Result<Vec<((RoomId, i64), ReadCount)>> {
    let (rooms, seqs): (Vec<Uuid>, Vec<i64>) = items.iter().map(|(room_id, seq)| (room_id.0, *seq)).unzip();
    let rows = sqlx::query!(
        r#"select i.room_id, i.seq, (count(m.user_id) filter (where m.last_read_seq >= i.seq))::int as "read!",
               count(m.user_id)::int as "members!"
           from unnest($1::uuid[], $2::bigint[]) w (room_id, seq)
               join messages i on i.room_id = w.room_id and i.seq = w.seq
               left join members m on m.room_id = i.room_id and m.state = 1 and m.user_id <> i.sender_id
                   and m.history_from_seq <= i.seq
           group by i.room_id, i.seq"#,
        &rooms,
        &seqs
    );
    let count = |read, members| ReadCount { read, members };
    let rows = rows.fetch_all(pool).await?.into_iter();
    Ok(rows.map(|row| ((row.room_id.into(), row.seq), count(row.read, row.members))).collect())
}
