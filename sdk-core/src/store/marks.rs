//! The person's own marks that the server has not confirmed yet. One a room: a later one replaces an earlier.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{sabotage::Guards, sync::Mark};

/// A mark that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) room_id: String,
    /// Grows with each mark; tells the one that was answered from a later one.
    pub(crate) op: i64,
    /// "Mark as unread" rather than read.
    pub(crate) unread: bool,
    /// The item named.
    pub(crate) at_seq: i64,
    /// The generation under which the person acted.
    pub(crate) base_generation: i64,
    /// What is shown meanwhile.
    pub(crate) shown: Mark,
}

const COLUMNS: &str = "room_id, op, unread, at_seq, base_generation, mark_generation, mark_seq, mark_count";

fn pending(row: &Row<'_>) -> rusqlite::Result<Pending> {
    Ok(Pending {
        room_id: row.get(0)?,
        op: row.get(1)?,
        unread: row.get(2)?,
        at_seq: row.get(3)?,
        base_generation: row.get(4)?,
        shown: Mark { generation: row.get(5)?, seq: row.get(6)?, count: row.get(7)? },
    })
}

/// The mark in three columns that may be absent.
pub(crate) fn of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Mark>> {
    let Some(generation) = row.get(first)? else { return Ok(None) };
    Ok(Some(Mark { generation, seq: row.get(first + 1)?, count: row.get(first + 2)? }))
}

/// What the person sees: the confirmed mark and the one on its way.
pub(crate) fn shown(held: Mark, waiting: Option<Mark>, guards: Guards) -> Mark {
    waiting.map_or(held, |waiting| held.merge(waiting, guards))
}

/// Puts a mark in, in place of an earlier one of the room.
pub(crate) fn put(conn: &Connection, mark: &Pending) -> rusqlite::Result<()> {
    let sql = format!(
        "insert or replace into marks ({COLUMNS})
         values (?1, (select coalesce(max(op), 0) + 1 from marks), ?2, ?3, ?4, ?5, ?6, ?7)"
    );
    let Pending { room_id, unread, at_seq, base_generation, shown, .. } = mark;
    let row = (room_id, unread, at_seq, base_generation, shown.generation, shown.seq, shown.count);
    conn.prepare_cached(&sql)?.execute(row)?;
    Ok(())
}

/// The mark of a room that waits.
pub(crate) fn find(conn: &Connection, room_id: &str) -> rusqlite::Result<Option<Pending>> {
    let sql = format!("select {COLUMNS} from marks where room_id = ?1");
    conn.prepare_cached(&sql)?.query_row([room_id], pending).optional()
}

/// Marks that wait, the eldest first.
pub(crate) fn waiting(conn: &Connection) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!("select {COLUMNS} from marks order by op limit 50"))?.query_map([], pending)?.collect()
}

/// Takes a mark out, unless a later one has replaced it.
pub(crate) fn done(conn: &Connection, mark: &Pending) -> rusqlite::Result<()> {
    conn.execute("delete from marks where room_id = ?1 and op = ?2", (&mark.room_id, mark.op))?;
    Ok(())
}

/// The person's own "mark as unread" has begun a generation: a mark made after it is one of that generation.
pub(crate) fn rebase(conn: &Connection, room_id: &str, generation: i64) -> rusqlite::Result<()> {
    let sql = "update marks set base_generation = ?2, mark_generation = ?2 + unread
         where room_id = ?1 and base_generation < ?2";
    conn.execute(sql, (room_id, generation))?;
    Ok(())
}
