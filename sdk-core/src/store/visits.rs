//! When a room was last opened on this device.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

/// A visit is noted no more often than this: what is kept is decided by months, and opening a room is no reason to write.
const NOTED_MS: i64 = 24 * 3_600_000;

/// A room is opened now.
pub(crate) fn put(conn: &Connection, room_id: &str, now_ms: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("insert or replace into visits (room_id, opened_ms) values (?1, ?2)")?
        .execute((room_id, now_ms))?;
    Ok(())
}

/// Whether a room that was last noted then is to be noted as opened now. A clock that went back does not put it off.
pub(crate) fn is_news(visited_ms: Option<i64>, now_ms: i64) -> bool {
    visited_ms.is_none_or(|visited| !(0..NOTED_MS).contains(&(now_ms - visited)))
}

/// When a room was last opened, if ever.
pub(crate) fn find(conn: &Connection, room_id: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("select opened_ms from visits where room_id = ?1")?
        .query_row([room_id], |row| row.get(0))
        .optional()
}

/// Rooms that were ever opened, and when last.
pub(crate) fn all(conn: &Connection) -> rusqlite::Result<BTreeMap<String, i64>> {
    conn.prepare_cached("select room_id, opened_ms from visits")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
