//! Up to where the person was told of new messages, by room: by a notification, or by having seen them.

use rusqlite::{Connection, OptionalExtension as _};

/// The newest item that the person was told of; 0: none.
pub(crate) fn find(conn: &Connection, room_id: &str) -> rusqlite::Result<i64> {
    let found = conn
        .prepare_cached("select seq from notified where room_id = ?1")?
        .query_row([room_id], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// The person was told of everything up to an item. What they were told stays told.
pub(crate) fn put(conn: &Connection, room_id: &str, seq: i64) -> rusqlite::Result<()> {
    let sql = "insert into notified (room_id, seq) values (?1, ?2)
         on conflict (room_id) do update set seq = excluded.seq where excluded.seq > notified.seq";
    conn.prepare_cached(sql)?.execute((room_id, seq))?;
    Ok(())
}
