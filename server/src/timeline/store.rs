//! Notices are written here, and the newest items of many rooms read at once.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{Item, Kind, wire};
use crate::{access::RoomAccess, error::Result, ids::UserId};

/// Something that happened in a room.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What.
    pub kind: wire::NoticeKind,
    /// Whom it concerns.
    pub people: Vec<UserId>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Adds a notice; it takes the next position and revision of the locked room and counts as nothing unread.
pub async fn insert_notice(connection: &mut PgConnection, access: &mut RoomAccess, notice: Notice) -> Result<Item> {
    let (seq, rev) = (access.next_seq(), access.next_rev());
    let item = Item {
        room_id: access.room_id(),
        seq,
        rev,
        count: access.room().count,
        sender_id: access.user_id(),
        client_message_id: None,
        payload_hash: None,
        mark_generation: None,
        created_at: notice.at,
        edited_at: None,
        kind: Kind::System as i16,
        text: String::new(),
        format: 1,
        extra: Some(wire::notice_extra(access.user_id(), &notice)),
        mentioned: None,
        mentions_all: false,
        reply_to_seq: 0,
        deleted_by: None,
        deleted_at: None,
        changed: false,
    };
    sqlx::query!(
        "insert into messages (room_id, seq, rev, count, sender_id, created_at, kind, extra) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        item.room_id as _,
        item.seq,
        item.rev,
        item.count,
        item.sender_id as _,
        item.created_at,
        item.kind,
        item.extra
    )
    .execute(connection)
    .await?;
    Ok(item)
}

/// The newest item of each room, for whoever may see it; a room without any is left out.
pub async fn last_items(connection: &mut PgConnection, rooms: &[Uuid]) -> Result<Vec<Item>> {
    let items = sqlx::query_as!(
        Item,
        r#"select i.* from unnest($1::uuid[]) as w(room_id) cross join lateral
               (select * from messages x where x.room_id = w.room_id order by x.seq desc limit 1) i"#,
        rooms
    );
    Ok(items.fetch_all(connection).await?)
}
