//! What the store keeps of what can be had again, so that it does not grow for ever.
//!
//! Always true: what is dropped is a beginning of a room's range, and `low_seq` says so in the same transaction; numbers,
//! what was typed, drafts and marks stay.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::{Write, islands, messages, meta, rooms, visits};

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
    islands::forget(&w.tx, room_id)?;
    rooms::save(&w.tx, &state)?;
    w.changes.room(room_id);
    Ok(until < begin)
}

/// Drops all rows of all rooms. A room without a revision is answered by its newest page, whole, when it is asked for next;
/// until then it follows by its head, as one that nobody has opened.
pub(crate) fn clear(w: &mut Write<'_>) -> rusqlite::Result<()> {
    for table in ["messages", "members", "receipts", "islands"] {
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

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use madang_proto::v1::Message;

    use super::*;
    use crate::{
        config::StoreLocation,
        engine::take_history,
        sabotage::Guards,
        store::{Durability, Store},
        sync::RoomState,
    };

    const DAY: i64 = 24 * 3_600_000;

    async fn on(path: &Path) -> Store {
        Store::open(StoreLocation::File(path.to_owned()), Arc::default(), Guards::default()).await.unwrap()
    }

    async fn memory() -> Store {
        crate::store::tests::memory().await
    }

    fn fill(w: &Write<'_>, room_id: &str, count: i64) -> rusqlite::Result<()> {
        let row =
            |seq| Message { room_id: room_id.into(), seq, rev: seq, sender_id: "x".repeat(500), ..Message::default() };
        let rows: Vec<Message> = (1..=count).map(row).collect();
        messages::upsert(&w.tx, &rows, w.guards)?;
        let room = RoomState { rev: count, head_rev: count, seq: count, low_seq: 1, ..RoomState::new(room_id) };
        rooms::save(&w.tx, &room)
    }

    async fn begins(store: &Store, room_id: &'static str) -> (i64, usize) {
        let read = move |r: &crate::store::Read<'_>| {
            let state = rooms::load(r.conn, room_id)?;
            Ok((state.low_seq, messages::range(r.conn, room_id, 0, i64::MAX)?.len()))
        };
        store.read(read).await.unwrap()
    }

    async fn keep_small(store: &Store, now_ms: i64) -> Option<Vec<(String, i64)>> {
        let due = store.read(move |r| due(r.conn, &["open".to_owned()].into(), now_ms)).await.unwrap();
        for (room_id, kept) in due.clone().unwrap_or_default() {
            let trim = |id: String| store.write(Durability::Frames, move |w| trim(w, &id, kept));
            while trim(room_id.clone()).await.unwrap() {}
        }
        store.write(Durability::Frames, move |w| done(w, now_ms)).await.unwrap();
        due
    }

    #[tokio::test]
    async fn rooms_not_opened_for_long_keep_their_newest_rows_and_it_is_done_once_a_day() {
        let store = memory().await;
        let rooms = |w: &mut Write<'_>| {
            for room_id in ["open", "recent", "never"] {
                fill(w, room_id, 300)?;
            }
            // More than one step.
            fill(w, "long", 5_000)?;
            fill(w, "short", 20)?;
            visits::put(&w.tx, "recent", 90 * DAY)?;
            visits::put(&w.tx, "long", 60 * DAY)
        };
        store.write(Durability::Frames, rooms).await.unwrap();
        keep_small(&store, 100 * DAY).await.unwrap();
        assert_eq!(begins(&store, "open").await, (1, 300));
        assert_eq!(begins(&store, "recent").await, (1, 300));
        assert_eq!(begins(&store, "long").await, (4_801, 200));
        assert_eq!(begins(&store, "never").await, (251, 50));
        assert_eq!(begins(&store, "short").await, (1, 20));
        assert_eq!(keep_small(&store, 100 * DAY + DAY / 2).await, None);
        assert_eq!(keep_small(&store, 101 * DAY + DAY).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_cleared_cache_keeps_what_was_typed_and_the_badge_and_asks_for_the_rest_anew() {
        let store = memory().await;
        let cleared = |w: &mut Write<'_>| {
            fill(w, "r", 100)?;
            crate::store::drafts::put(&w.tx, "r", "half a sen")?;
            clear(w)?;
            let state = rooms::load(&w.tx, "r")?;
            assert_eq!((state.rev, state.seq, state.head_rev), (0, 0, 100));
            assert_eq!(crate::store::drafts::find(&w.tx, "r")?, "half a sen");
            messages::range(&w.tx, "r", 0, 200)
        };
        assert!(store.write(Durability::Frames, cleared).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_file_becomes_smaller_when_rows_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = on(&path).await;
        store.write(Durability::Frames, |w| fill(w, "r", 2_000)).await.unwrap();
        store.suspend().await;
        let large = std::fs::metadata(&path).unwrap().len();
        store.reopen().await.unwrap();
        store.write(Durability::Frames, clear).await.unwrap();
        while store.shrink().await.unwrap() {}
        store.end().await;
        let small = std::fs::metadata(&path).unwrap().len();
        assert!(small * 10 < large, "{small} of {large}");
    }

    #[tokio::test]
    async fn an_epoch_that_changes_all_the_time_does_not_let_the_file_grow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = on(&path).await;
        let mut size = 0;
        for epoch in 0..100 {
            let history = move |w: &mut Write<'_>| {
                take_history(w, "ann", &format!("e{epoch}"))?;
                assert!(messages::range(&w.tx, "r", 0, 1_000)?.is_empty());
                fill(w, "r", 200)
            };
            store.write(Durability::Frames, history).await.unwrap();
            if epoch == 10 {
                store.suspend().await;
                size = std::fs::metadata(&path).unwrap().len();
                store.reopen().await.unwrap();
            }
        }
        store.end().await;
        let now = std::fs::metadata(&path).unwrap().len();
        assert!(now <= size * 3 / 2, "{now} after {size}");
    }
}
