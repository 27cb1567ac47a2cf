//! Single values: who the store belongs to, and the numbers that belong to the whole of it.

use rusqlite::{Connection, OptionalExtension as _, ToSql, types::FromSql};

/// Id of this installation.
pub(crate) const DEVICE_ID: &str = "device_id";
/// The person.
pub(crate) const USER_ID: &str = "user_id";
/// Identity of the server's history that all numbers belong to.
pub(crate) const EPOCH: &str = "epoch";
/// Number of the person's changes.
pub(crate) const USER_REV: &str = "user_rev";
/// Where the server begins to look for changes.
pub(crate) const WATERMARK: &str = "watermark";
/// How often any profile may have changed.
pub(crate) const PROFILES_CHANGED: &str = "profiles_changed";
/// When the store was last kept small, in milliseconds since 1970.
pub(crate) const KEPT_SMALL_MS: &str = "kept_small_ms";

fn get<T: FromSql>(conn: &Connection, key: &str) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached("select value from meta where key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

/// A text; empty when it was never set.
pub(crate) fn text(conn: &Connection, key: &str) -> rusqlite::Result<String> {
    Ok(get(conn, key)?.unwrap_or_default())
}

/// A number; 0 when it was never set.
pub(crate) fn number(conn: &Connection, key: &str) -> rusqlite::Result<i64> {
    Ok(get(conn, key)?.unwrap_or_default())
}

/// Sets a value.
pub(crate) fn set(conn: &Connection, key: &str, value: impl ToSql) -> rusqlite::Result<()> {
    let sql = "insert into meta (key, value) values (?1, ?2) on conflict (key) do update set value = excluded.value";
    conn.prepare_cached(sql)?.execute((key, value))?;
    Ok(())
}
