//! Profiles of people who were seen in a room.

use std::collections::BTreeSet;

use madang_proto::v1::User;
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _};

/// Stores profiles by their number.
pub(crate) fn upsert(conn: &Connection, users: &[User]) -> rusqlite::Result<()> {
    let sql = "insert into users (user_id, profile_rev, profile) values (?1, ?2, ?3)
         on conflict (user_id) do update set profile_rev = excluded.profile_rev, profile = excluded.profile
         where excluded.profile_rev >= users.profile_rev";
    let mut statement = conn.prepare_cached(sql)?;
    for user in users {
        statement.execute((&user.id, user.profile_rev, user.encode_to_vec()))?;
    }
    Ok(())
}

/// A profile.
pub(crate) fn find(conn: &Connection, user_id: &str) -> rusqlite::Result<Option<User>> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached("select profile from users where user_id = ?1")?
        .query_row([user_id], |row| row.get(0))
        .optional()?;
    Ok(bytes.and_then(|bytes| User::decode(bytes.as_slice()).ok()))
}

/// Forgets a profile.
pub(crate) fn delete(conn: &Connection, user_id: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("delete from users where user_id = ?1")?.execute([user_id])?;
    Ok(())
}

/// The number of a profile that is held.
pub(crate) fn rev(conn: &Connection, user_id: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("select profile_rev from users where user_id = ?1")?
        .query_row([user_id], |row| row.get(0))
        .optional()
}

/// A profile has changed: one that is held and older is shown until there is another, and is wanted by the next process too.
/// Tells whether it is.
pub(crate) fn outdate(conn: &Connection, user_id: &str, profile_rev: i64) -> rusqlite::Result<bool> {
    let sql = "update users set profile_rev = -1 where user_id = ?1 and profile_rev < ?2";
    Ok(conn.prepare_cached(sql)?.execute((user_id, profile_rev))? > 0)
}

/// Any profile may have changed.
pub(crate) fn outdate_all(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("update users set profile_rev = -1")?.execute([])?;
    Ok(())
}

/// Whose profiles are held and have changed since.
pub(crate) fn outdated(conn: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    conn.prepare_cached("select user_id from users where profile_rev < 0")?.query_map([], |row| row.get(0))?.collect()
}
