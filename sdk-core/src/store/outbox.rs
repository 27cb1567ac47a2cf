//! What was typed. An entry is here before the call that sends it returns, leaves one at a time and in order within its
//! room, and stays for a while after it was acknowledged.

use madang_proto::v1::{ErrorReason, SendMessageRequest};
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::sabotage::{Guard, Guards};

/// Acknowledged entries that are kept, to be offered again when the server was restored from a backup.
const KEPT: i64 = 10_000;
/// How long they are kept.
const KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// How far a message is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendState {
    /// Waits: for the connection, or for its turn.
    Queued,
    /// On its way.
    Sending,
    /// Committed by the server.
    Sent,
    /// Refused; waits for the person to retry or discard it.
    Failed {
        /// The server's reason.
        reason: ErrorReason,
        /// A sentence for developers.
        message: String,
    },
}

/// How far an entry is. The numbers are in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryState {
    /// Waits.
    Queued = 0,
    /// On its way.
    Sending = 1,
    /// Refused; waits for the person.
    Failed = 2,
    /// Committed by the server.
    Acknowledged = 3,
}

/// An entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) request: SendMessageRequest,
    pub(crate) state: EntryState,
    pub(crate) reason: ErrorReason,
    pub(crate) message: String,
    /// Position in the room, once acknowledged.
    pub(crate) seq: i64,
    pub(crate) created_ms: i64,
}

impl Entry {
    /// How far it is, as a screen shows it.
    pub(crate) fn send_state(&self) -> SendState {
        match self.state {
            EntryState::Queued => SendState::Queued,
            EntryState::Sending => SendState::Sending,
            EntryState::Acknowledged => SendState::Sent,
            EntryState::Failed => SendState::Failed { reason: self.reason, message: self.message.clone() },
        }
    }

    /// Position in the room; absent until the server has it.
    pub(crate) fn acknowledged_seq(&self) -> Option<i64> {
        (self.state == EntryState::Acknowledged).then_some(self.seq)
    }
}

const COLUMNS: &str = "id, request, state, reason, message, seq, created_ms";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let request = SendMessageRequest::decode(row.get_ref(1)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error)))?;
    let state = match row.get::<_, i64>(2)? {
        0 => EntryState::Queued,
        1 => EntryState::Sending,
        2 => EntryState::Failed,
        _ => EntryState::Acknowledged,
    };
    let reason = ErrorReason::try_from(row.get::<_, i32>(3)?).unwrap_or_default();
    Ok(Entry {
        id: row.get(0)?,
        request,
        state,
        reason,
        message: row.get(4)?,
        seq: row.get(5)?,
        created_ms: row.get(6)?,
    })
}

/// What was on its way when the process ended waits again: the id makes repeating harmless.
pub(crate) fn recover(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute("update outbox set state = 0 where state = 1", [])?;
    Ok(())
}

/// Puts an entry at the end.
pub(crate) fn put(conn: &Connection, request: &SendMessageRequest, epoch: &str, now_ms: i64) -> rusqlite::Result<()> {
    let sql = "insert into outbox (room_id, client_message_id, request, epoch, state, created_ms)
         values (?1, ?2, ?3, ?4, 0, ?5)";
    let row = (&request.room_id, &request.client_message_id, request.encode_to_vec(), epoch, now_ms);
    conn.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

/// Entries that may leave now: of each room the first that waits, unless one of that room is on its way. After a change of
/// the epoch a room waits until it is known which of its acknowledged entries are to be offered again: they come first.
pub(crate) fn ready(conn: &Connection, guards: Guards) -> rusqlite::Result<Vec<Entry>> {
    let alone = "and not exists (select 1 from outbox b where b.room_id = o.room_id
           and (b.state = 1 or b.state = 0 and b.id < o.id
             or b.state = 3 and b.epoch <> (select value from meta where key = 'epoch')))";
    let alone = if guards.holds(Guard::OutboxOrder) { alone } else { "" };
    let sql = format!("select {COLUMNS} from outbox o where state = 0 {alone} order by id limit 50");
    conn.prepare_cached(&sql)?.query_map([], entry)?.collect()
}

/// Moves an entry that waits or is on its way to another state.
pub(crate) fn set_state(conn: &Connection, id: i64, state: EntryState) -> rusqlite::Result<()> {
    conn.prepare_cached("update outbox set state = ?2 where id = ?1 and state in (0, 1)")?
        .execute((id, state as i64))?;
    Ok(())
}

/// The server has it.
pub(crate) fn acknowledge(conn: &Connection, id: i64, seq: i64, now_ms: i64) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 3, seq = ?2, acked_ms = ?3 where id = ?1 and state in (0, 1)";
    conn.prepare_cached(sql)?.execute((id, seq, now_ms))?;
    let sql = "delete from outbox where state = 3 and (acked_ms < ?1
         or id <= (select id from outbox where state = 3 order by id desc limit 1 offset ?2))";
    conn.prepare_cached(sql)?.execute((now_ms - KEPT_MS, KEPT))?;
    Ok(())
}

/// The server refused it.
pub(crate) fn fail(conn: &Connection, id: i64, reason: ErrorReason, message: &str) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 2, reason = ?2, message = ?3 where id = ?1 and state in (0, 1)";
    conn.prepare_cached(sql)?.execute((id, reason as i32, message))?;
    Ok(())
}

/// Everything that waits for a room has failed.
pub(crate) fn fail_room(conn: &Connection, room_id: &str, reason: ErrorReason, message: &str) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 2, reason = ?2, message = ?3 where room_id = ?1 and state in (0, 1)";
    conn.prepare_cached(sql)?.execute((room_id, reason as i32, message))?;
    Ok(())
}

/// Puts a failed entry back into the queue, at its old place. Tells its room; `None`: no such entry has failed.
pub(crate) fn retry(conn: &Connection, client_message_id: &str) -> rusqlite::Result<Option<String>> {
    let sql = "update outbox set state = 0, reason = 0, message = '' where client_message_id = ?1 and state = 2
         returning room_id";
    conn.prepare_cached(sql)?.query_row([client_message_id], |row| row.get(0)).optional()
}

/// Throws a failed entry away. Tells its room; `None`: no such entry has failed.
pub(crate) fn discard(conn: &Connection, client_message_id: &str) -> rusqlite::Result<Option<String>> {
    let sql = "delete from outbox where client_message_id = ?1 and state = 2 returning room_id";
    conn.prepare_cached(sql)?.query_row([client_message_id], |row| row.get(0)).optional()
}

/// Entries of a room that its rows do not show yet: all that are not acknowledged, and those that are but lie above what
/// is held.
pub(crate) fn shown(conn: &Connection, room_id: &str, held_seq: i64) -> rusqlite::Result<Vec<Entry>> {
    let sql = format!(
        "select {COLUMNS} from outbox where room_id = ?1 and (state < 3 or state = 3 and seq > ?2) order by id"
    );
    conn.prepare_cached(&sql)?.query_map((room_id, held_seq), entry)?.collect()
}

/// All entries, oldest first.
pub(crate) fn all(conn: &Connection) -> rusqlite::Result<Vec<Entry>> {
    conn.prepare_cached(&format!("select {COLUMNS} from outbox order by id"))?.query_map([], entry)?.collect()
}

/// Entries that the server does not have, oldest first.
pub(crate) fn waiting(conn: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let sql = format!("select {COLUMNS} from outbox where state < 3 order by id");
    conn.prepare_cached(&sql)?.query_map([], entry)?.collect()
}

/// How many entries wait or are on their way.
pub(crate) fn unsent(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("select count(*) from outbox where state in (0, 1)")?.query_row([], |row| row.get(0))
}

/// The server has another history. What waits and names a position loses it: there may be another item there now.
pub(crate) fn change_epoch(conn: &Connection, epoch: &str) -> rusqlite::Result<()> {
    let sql = format!("select {COLUMNS} from outbox where state < 3 and epoch <> ?1");
    let entries: Vec<Entry> = conn.prepare(&sql)?.query_map([epoch], entry)?.collect::<rusqlite::Result<_>>()?;
    for entry in entries {
        reoffer(conn, &entry, epoch, entry.state)?;
    }
    Ok(())
}

/// Puts an entry under another epoch, without the positions it named.
pub(crate) fn reoffer(conn: &Connection, entry: &Entry, epoch: &str, state: EntryState) -> rusqlite::Result<()> {
    let request = SendMessageRequest { reply_to_seq: 0, seen_seq: 0, seen_generation: 0, ..entry.request.clone() };
    let sql = "update outbox set request = ?2, epoch = ?3, state = ?4 where id = ?1";
    conn.prepare_cached(sql)?.execute((entry.id, request.encode_to_vec(), epoch, state as i64))?;
    Ok(())
}

/// Acknowledged entries of an earlier epoch, the newest first: whether the server still has them must be asked.
pub(crate) fn of_other_epochs(conn: &Connection, epoch: &str) -> rusqlite::Result<Vec<Entry>> {
    let sql = format!("select {COLUMNS} from outbox where state = 3 and epoch <> ?1 order by id desc");
    conn.prepare_cached(&sql)?.query_map([epoch], entry)?.collect()
}

/// The server still has this entry and so all earlier ones of its room, because a backup is a beginning.
pub(crate) fn confirm_until(conn: &Connection, entry: &Entry, epoch: &str) -> rusqlite::Result<()> {
    let sql = "update outbox set epoch = ?3 where room_id = ?1 and id <= ?2 and state = 3";
    conn.prepare_cached(sql)?.execute((&entry.request.room_id, entry.id, epoch))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, Write, meta, tests::memory};

    fn request(room: &str, id: &str) -> SendMessageRequest {
        SendMessageRequest {
            room_id: room.into(),
            client_message_id: id.into(),
            reply_to_seq: 7,
            seen_seq: 7,
            ..SendMessageRequest::default()
        }
    }

    fn ids(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.request.client_message_id.as_str()).collect()
    }

    async fn with(job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let job = |w: &mut Write<'_>| {
            for (room, id) in [("r", "r1"), ("r", "r2"), ("s", "s1")] {
                put(&w.tx, &request(room, id), "e1", 0)?;
            }
            job(w)
        };
        memory().await.write(Durability::Outbox, job).await.unwrap();
    }

    #[tokio::test]
    async fn one_of_a_room_leaves_at_a_time_and_rooms_beside_each_other() {
        with(|w| {
            let first = ready(&w.tx, w.guards)?;
            assert_eq!(ids(&first), ["r1", "s1"]);
            set_state(&w.tx, first[0].id, EntryState::Sending)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["s1"]);
            acknowledge(&w.tx, first[0].id, 9, 1)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r2", "s1"]);
            assert_eq!(unsent(&w.tx)?, 2);
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn one_that_was_on_its_way_waits_again_and_one_that_failed_holds_nobody_up() {
        with(|w| {
            let first = ready(&w.tx, w.guards)?.remove(0);
            set_state(&w.tx, first.id, EntryState::Sending)?;
            recover(&w.tx)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r1", "s1"]);
            fail(&w.tx, first.id, ErrorReason::IdReused, "reused")?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r2", "s1"]);
            assert_eq!(retry(&w.tx, "r1")?.as_deref(), Some("r"));
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r1", "s1"]);
            assert_eq!(discard(&w.tx, "r1")?, None);
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_room_that_ended_fails_what_waits_for_it() {
        with(|w| {
            fail_room(&w.tx, "r", ErrorReason::RoomEnded, "it has ended")?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["s1"]);
            let shown = shown(&w.tx, "r", 0)?;
            assert!(shown.iter().all(|entry| entry.reason == ErrorReason::RoomEnded));
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn after_a_restore_what_waits_leaves_behind_what_is_offered_again() {
        with(|w| {
            let first = ready(&w.tx, w.guards)?.remove(0);
            acknowledge(&w.tx, first.id, 9, 1)?;
            meta::set(&w.tx, meta::EPOCH, "e2")?;
            change_epoch(&w.tx, "e2")?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["s1"]);
            reoffer(&w.tx, &first, "e2", EntryState::Queued)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r1", "s1"]);
            acknowledge(&w.tx, first.id, 3, 2)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r2", "s1"]);
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn under_another_epoch_positions_are_dropped_and_acknowledged_entries_are_asked_for() {
        with(|w| {
            let first = ready(&w.tx, w.guards)?.remove(0);
            acknowledge(&w.tx, first.id, 9, 1)?;
            change_epoch(&w.tx, "e2")?;
            let waiting = ready(&w.tx, w.guards)?;
            assert!(waiting.iter().all(|entry| entry.request.reply_to_seq == 0 && entry.request.seen_seq == 0));
            let doubtful = of_other_epochs(&w.tx, "e2")?;
            assert_eq!((ids(&doubtful), doubtful[0].request.reply_to_seq), (vec!["r1"], 7));
            reoffer(&w.tx, &doubtful[0], "e2", EntryState::Queued)?;
            assert!(of_other_epochs(&w.tx, "e2")?.is_empty());
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r1", "s1"]);
            Ok(())
        })
        .await;
    }
}
