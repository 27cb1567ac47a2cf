//! The tables. Shapes of the contract are kept as they came, encoded; the columns beside them are what is searched for.

use rusqlite::Connection;

/// Each entry takes the schema one version further; never changed once released.
const MIGRATIONS: &[&str] = &[
    "
create table meta (key text primary key, value any) without rowid;

-- What is held of each room: numbers, its newest state, one's own place.
create table rooms (
    room_id text primary key,
    rev integer not null,
    head_rev integer not null,
    seq integer not null,
    low_seq integer not null,
    reset_rev integer not null,
    ended integer not null,
    joined integer not null,
    last_active_ms integer not null,
    count integer not null,
    first_count integer not null,
    mark_generation integer not null,
    mark_seq integer not null,
    mark_count integer not null,
    room blob,
    membership blob,
    last blob
) without rowid;
create index rooms_by_activity on rooms (joined, last_active_ms);

create table messages (
    room_id text not null,
    seq integer not null,
    rev integer not null,
    sender_id text not null,
    client_message_id text not null,
    message blob not null,
    primary key (room_id, seq)
) without rowid;

create table members (
    room_id text not null,
    user_id text not null,
    rev integer not null,
    member blob not null,
    primary key (room_id, user_id)
) without rowid;

-- Others' marks; sent_seq is what their own messages say of them.
create table receipts (
    room_id text not null,
    user_id text not null,
    rev integer not null,
    sent_seq integer not null,
    receipt blob not null,
    primary key (room_id, user_id)
) without rowid;

create table users (user_id text primary key, profile_rev integer not null, profile blob not null) without rowid;

-- What was typed, in order; acknowledged entries stay for a while, to be offered again when the server was restored.
create table outbox (
    id integer primary key autoincrement,
    room_id text not null,
    client_message_id text not null unique,
    request blob not null,
    epoch text not null,
    state integer not null,
    reason integer not null default 0,
    message text not null default '',
    seq integer not null default 0,
    created_ms integer not null,
    acked_ms integer not null default 0
);
create index outbox_by_room on outbox (room_id, state, id);

-- The person's own marks that the server has not confirmed: one a room, the newest.
create table marks (
    room_id text primary key,
    op integer not null,
    unread integer not null,
    at_seq integer not null,
    base_generation integer not null,
    mark_generation integer not null,
    mark_seq integer not null,
    mark_count integer not null
) without rowid;

create table drafts (room_id text primary key, body text not null) without rowid;
",
    "
-- Revision of the message that sent_seq names, as it was first seen.
alter table receipts add column sent_rev integer not null default 0;
",
    "
-- Older pieces of rooms that are held beside the range, without a hole.
create table islands (
    room_id text not null,
    low integer not null,
    high integer not null,
    primary key (room_id, low)
) without rowid;

-- What a list of what waits reads: entries that were acknowledged are many.
create index outbox_waiting on outbox (id) where state < 3;
",
];

/// All tables, that of `SQLite` for its own numbers among them.
#[cfg(feature = "simulation")]
pub(super) const TABLES: [&str; 11] = [
    "meta",
    "rooms",
    "messages",
    "members",
    "receipts",
    "users",
    "outbox",
    "marks",
    "drafts",
    "islands",
    "sqlite_sequence",
];

/// Brings the schema up to date; refuses a file of a later version.
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        let message = format!("the store is of a later version: {version}");
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB),
            Some(message),
        ));
    }
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let tx = conn.transaction()?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", i64::try_from(number + 1).expect("few migrations"))?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_is_once_and_a_later_version_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        assert!(migrate(&mut conn).unwrap_err().to_string().contains("later version: 99"));
    }
}
