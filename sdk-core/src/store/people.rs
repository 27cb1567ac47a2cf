//! Profiles of people who were seen in a room. Below zero, a profile's number is that of a newer one that was heard of, as
//! `-1 - number`: answers that were read before it are not taken for it, by whichever process they are read.

use std::collections::BTreeSet;

use madang_proto::v1::User;
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _};

use super::{Write, meta};

/// Outdated, and any number is newer.
const ANY: i64 = -1;

/// Stores profiles by their number, as of a moment at which they were true.
pub(crate) fn upsert(conn: &Connection, users: &[User]) -> rusqlite::Result<()> {
    put(conn, users, true)
}

/// Stores profiles that were asked for. Those that may have changed since are shown, and wanted again: tells whose.
pub(crate) fn take(w: &mut Write<'_>, users: &[User], asked_at: i64) -> rusqlite::Result<BTreeSet<String>> {
    w.changes.people = true;
    put(&w.tx, users, changes_of_all(&w.tx)? == asked_at)?;
    let mut statement = w.tx.prepare_cached("select 1 from users where user_id = ?1 and profile_rev < 0")?;
    let mut outdated = BTreeSet::new();
    for user in users {
        if statement.exists([&user.id])? {
            outdated.insert(user.id.clone());
        }
    }
    Ok(outdated)
}

fn put(conn: &Connection, users: &[User], newest: bool) -> rusqlite::Result<()> {
    let sql = "insert into users (user_id, profile_rev, profile) values (?1, ?2, ?3)
         on conflict (user_id) do update set profile_rev = excluded.profile_rev, profile = excluded.profile
         where ?4 >= max(users.profile_rev, -1 - users.profile_rev)";
    let mut statement = conn.prepare_cached(sql)?;
    for user in users {
        let rev = if newest { user.profile_rev } else { ANY };
        statement.execute((&user.id, rev, user.encode_to_vec(), user.profile_rev))?;
    }
    Ok(())
}

/// Shows a profile in place of one that is held, under the same number.
pub(crate) fn show(conn: &Connection, user: &User) -> rusqlite::Result<()> {
    let sql = "update users set profile = ?2 where user_id = ?1 and profile <> x''";
    conn.prepare_cached(sql)?.execute((&user.id, user.encode_to_vec()))?;
    Ok(())
}

/// A profile.
pub(crate) fn find(conn: &Connection, user_id: &str) -> rusqlite::Result<Option<User>> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached("select profile from users where user_id = ?1 and profile <> x''")?
        .query_row([user_id], |row| row.get(0))
        .optional()?;
    Ok(bytes.and_then(|bytes| User::decode(bytes.as_slice()).ok()))
}

/// A profile is held.
pub(crate) fn knows(conn: &Connection, user_id: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("select 1 from users where user_id = ?1 and profile <> x''")?.exists([user_id])
}

/// Forgets a profile, but not its number.
pub(crate) fn forget(conn: &Connection, user_id: &str) -> rusqlite::Result<()> {
    let sql = "update users set profile = x'', profile_rev = min(profile_rev, -1 - profile_rev) where user_id = ?1";
    conn.prepare_cached(sql)?.execute([user_id])?;
    Ok(())
}

/// A profile has changed: one that is held and older is shown until there is another, and is wanted by the next process too.
/// Of one that is not held the number is kept, because an older answer may be on its way. Tells whether it is wanted.
pub(crate) fn outdate(conn: &Connection, user_id: &str, profile_rev: i64) -> rusqlite::Result<bool> {
    let sql = "insert into users (user_id, profile_rev, profile) values (?1, -1 - ?2, x'')
         on conflict (user_id) do update set profile_rev = excluded.profile_rev
         where max(users.profile_rev, -1 - users.profile_rev) < ?2
         returning profile <> x''";
    Ok(conn.prepare_cached(sql)?.query_row((user_id, profile_rev), |row| row.get(0)).optional()?.unwrap_or(false))
}

/// Any profile may have changed, also those that are being asked for.
pub(crate) fn outdate_all(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("update users set profile_rev = min(profile_rev, -1 - profile_rev)")?.execute([])?;
    meta::set(conn, meta::PROFILES_CHANGED, changes_of_all(conn)? + 1)
}

/// Another history: its numbers have nothing to do with those that are held.
pub(crate) fn outdate_history(conn: &Connection) -> rusqlite::Result<()> {
    outdate_all(conn)?;
    conn.prepare_cached("update users set profile_rev = ?1")?.execute([ANY])?;
    Ok(())
}

/// How often any profile may have changed.
pub(crate) fn changes_of_all(conn: &Connection) -> rusqlite::Result<i64> {
    meta::number(conn, meta::PROFILES_CHANGED)
}

/// Whose profiles are held and have changed since.
pub(crate) fn outdated(conn: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    conn.prepare_cached("select user_id from users where profile_rev < 0 and profile <> x''")?
        .query_map([], |row| row.get(0))?
        .collect()
}
