//! When a room was last opened on this device.

use std::collections::BTreeMap;

use rusqlite::Connection;

/// A room is opened now.
pub(crate) fn put(conn: &Connection, room_id: &str, now_ms: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("insert or replace into visits (room_id, opened_ms) values (?1, ?2)")?
        .execute((room_id, now_ms))?;
    Ok(())
}

/// Rooms that were ever opened, and when last.
pub(crate) fn all(conn: &Connection) -> rusqlite::Result<BTreeMap<String, i64>> {
    conn.prepare_cached("select room_id, opened_ms from visits")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
