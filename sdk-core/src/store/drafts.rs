//! What a person began to write. Kept on this device; survives everything but the end of the room.

use rusqlite::{Connection, OptionalExtension as _};

/// The draft of a room; empty: none.
pub(crate) fn find(conn: &Connection, room_id: &str) -> rusqlite::Result<String> {
    let found = conn
        .prepare_cached("select body from drafts where room_id = ?1")?
        .query_row([room_id], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Keeps a draft; an empty one is forgotten.
pub(crate) fn put(conn: &Connection, room_id: &str, body: &str) -> rusqlite::Result<()> {
    if body.is_empty() {
        conn.execute("delete from drafts where room_id = ?1", [room_id])?;
    } else {
        conn.execute("insert or replace into drafts (room_id, body) values (?1, ?2)", (room_id, body))?;
    }
    Ok(())
}
