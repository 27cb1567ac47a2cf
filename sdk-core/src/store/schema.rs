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
-- What an entry changes, the message it changes, and whether the server may have it.
alter table outbox add column kind integer not null default 0;
alter table outbox add column target text not null default '';
alter table outbox add column tried integer not null default 1;

-- When a room was last opened on this device. Which rooms were before this was noted is not known: they count as opened now.
create table visits (room_id text primary key, opened_ms integer not null) without rowid;
insert into visits select room_id, cast(strftime('%s', 'now') as integer) * 1000 from rooms;

-- Up to where the person was told of new messages, by a notification or by having seen them.
create table notified (room_id text primary key, seq integer not null) without rowid;

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
    "
-- Revision of the room that an acknowledged change has made. Of those that were acknowledged before it was noted it is 0, which
-- any state of a message reaches.
alter table outbox add column rev integer not null default 0;
",
];

/// All tables, that of `SQLite` for its own numbers among them.
#[cfg(feature = "simulation")]
pub(super) const TABLES: [&str; 13] = [
    "meta",
    "rooms",
    "messages",
    "members",
    "receipts",
    "users",
    "outbox",
    "marks",
    "drafts",
    "visits",
    "notified",
    "islands",
    "sqlite_sequence",
];

/// By what a file of ours is known: "Madn". Files of the first versions have none.
const APPLICATION: i64 = 0x4d61_646e;

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Ours, or empty.
    Ours,
    /// Ours, of a later version.
    Newer(usize),
    /// Of another program.
    Foreign,
}

/// Tells whose a file is.
pub(super) fn kind(conn: &Connection) -> rusqlite::Result<Kind> {
    let version = version(conn)?;
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let sql = "select count(*), count(*) filter (where name in ('meta', 'outbox')) from sqlite_schema";
    let (all, ours): (i64, i64) = conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_ours = application == APPLICATION || application == 0 && (ours == 2 || all == 0 && version == 0);
    Ok(match version {
        _ if !is_ours => Kind::Foreign,
        version if version > MIGRATIONS.len() => Kind::Newer(version),
        _ => Kind::Ours,
    })
}

fn version(conn: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Brings the schema up to date. Only for a file that is [`Kind::Ours`].
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    migrate_to(conn, MIGRATIONS.len())
}

fn migrate_to(conn: &mut Connection, last: usize) -> rusqlite::Result<()> {
    let version = version(conn)?;
    for (number, migration) in MIGRATIONS.iter().enumerate().take(last).skip(version) {
        let tx = conn.transaction()?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", i64::try_from(number + 1).expect("few migrations"))?;
        tx.pragma_update(None, "application_id", APPLICATION)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_is_once_and_a_later_version_is_known() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
        assert_eq!(kind(&conn).unwrap(), Kind::Ours);
        conn.pragma_update(None, "user_version", 99).unwrap();
        assert_eq!(kind(&conn).unwrap(), Kind::Newer(99));
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod fixtures;
