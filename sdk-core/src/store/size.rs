//! What the store keeps of what can be had again, so that it does not grow for ever.
//!
//! Always true: what is dropped is a beginning of a room's range, and `low_seq` says so in the same transaction; numbers,
//! what was typed, drafts and marks stay.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::{Write, messages, meta, rooms, visits};

/// A room that was not opened for so long keeps its newest rows only.
const LONG_MS: i64 = 30 * 24 * 3_600_000;
/// Rows that such a room keeps: what a screen shows and some scrolling.
const KEPT: i64 = 200;
/// Rows of a room that was never opened here: what a screen shows first.
const KEPT_UNOPENED: i64 = 50;
/// How seldom: a store grows by days.
const EVERY_MS: i64 = 24 * 3_600_000;
/// Rows dropped in one transaction, so that nobody waits long for the writer.
const STEP: i64 = 2_000;
/// Pages given back at once.
const PAGES: i64 = 256;
/// A file made before files could shrink is written anew when so many of its pages are free.
const FREE_PAGES: i64 = 4_096;

/// Rooms that keep too much, with the rows that each may keep; `None`: it was done less than a day ago. A clock that went
/// back does not put it off.
pub(crate) fn due(
    conn: &Connection,
    open: &BTreeSet<String>,
    now_ms: i64,
) -> rusqlite::Result<Option<Vec<(String, i64)>>> {
    let since = now_ms - meta::number(conn, meta::KEPT_SMALL_MS)?;
    if (0..EVERY_MS).contains(&since) {
        return Ok(None);
    }
    let visits = visits::all(conn)?;
    let mut due = Vec::new();
    for state in rooms::all(conn)? {
        let kept = match visits.get(&state.room_id) {
            _ if open.contains(&state.room_id) => continue,
            Some(opened_ms) if now_ms - opened_ms < LONG_MS => continue,
            Some(_) => KEPT,
            None => KEPT_UNOPENED,
        };
        if state.seq - state.low_seq >= kept {
            due.push((state.room_id, kept));
        }
    }
    Ok(Some(due))
}

/// It was done.
pub(crate) fn done(w: &Write<'_>, now_ms: i64) -> rusqlite::Result<()> {
    meta::set(&w.tx, meta::KEPT_SMALL_MS, now_ms)
}

/// Drops the oldest rows of a room beyond what it may keep, some of them; tells whether there are more.
pub(crate) fn trim(w: &mut Write<'_>, room_id: &str, kept: i64) -> rusqlite::Result<bool> {
    let Some(mut state) = rooms::find(&w.tx, room_id)? else { return Ok(false) };
    let Some(begin) = messages::begin_of_newest(&w.tx, room_id, state.seq, kept)? else { return Ok(false) };
    if begin <= state.low_seq {
        return Ok(false);
    }
    let until = begin.min(state.low_seq + STEP);
    state.low_seq = until;
    w.tx.execute("delete from messages where room_id = ?1 and seq < ?2", (room_id, until))?;
    rooms::save(&w.tx, &state)?;
    w.changes.room(room_id);
    Ok(until < begin)
}

/// Drops all rows of all rooms. A room without a revision is answered by its newest page, whole, when it is asked for next;
/// until then it follows by its head, as one that nobody has opened.
pub(crate) fn clear(w: &mut Write<'_>) -> rusqlite::Result<()> {
    for table in ["messages", "members", "receipts"] {
        w.tx.execute(&format!("delete from {table}"), [])?;
    }
    for mut state in rooms::all(&w.tx)? {
        (state.rev, state.seq, state.low_seq) = (0, 0, 0);
        rooms::save(&w.tx, &state)?;
    }
    w.changes.everything = true;
    Ok(())
}

/// Gives some of the free pages back to the disk; tells whether there are more.
pub(super) fn shrink(conn: &Connection) -> rusqlite::Result<bool> {
    let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let free = number("freelist_count")?;
    if number("auto_vacuum")? == 0 {
        if free > FREE_PAGES {
            conn.execute_batch("pragma auto_vacuum = incremental; vacuum")?;
        }
        return Ok(false);
    }
    if free == 0 {
        return Ok(false);
    }
    // It gives back a page a step.
    let mut statement = conn.prepare(&format!("pragma incremental_vacuum({PAGES})"))?;
    let mut steps = statement.query([])?;
    while steps.next()?.is_some() {}
    Ok(free > PAGES)
}
