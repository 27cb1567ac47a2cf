//! What a person typed and changed. An entry is here before the call that makes it returns, leaves one at a time and in
//! order within its room, and stays for a while after it was acknowledged.

use madang_proto::v1::{ErrorReason, SendMessageRequest};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::sabotage::{Guard, Guards};

/// The table.
pub(crate) const TABLE: &str = "outbox";
/// Acknowledged entries that are kept, to be offered again when the server was restored from a backup.
const KEPT: i64 = 10_000;
/// How long they are kept.
const KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// How far a message, or another change, is on its way.
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

/// What an entry changes. The numbers are in the table, and are never given to another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A message is sent.
    Send = 0,
    /// A message is edited.
    Edit = 1,
    /// A message is deleted.
    Delete = 2,
    /// A room is made.
    CreateRoom = 3,
    /// The person enters a room.
    Join = 4,
    /// The person leaves a room.
    Leave = 5,
    /// People are brought in.
    Invite = 6,
    /// A person is taken out.
    Remove = 7,
    /// The person's profile changes.
    Profile = 8,
    /// The person's status changes.
    Status = 9,
}

impl ChangeKind {
    /// All of them, at the place of their number.
    const ALL: [Self; 10] = [
        Self::Send,
        Self::Edit,
        Self::Delete,
        Self::CreateRoom,
        Self::Join,
        Self::Leave,
        Self::Invite,
        Self::Remove,
        Self::Profile,
        Self::Status,
    ];
}

/// An entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) kind: ChangeKind,
    /// The room whose order it keeps; empty: the person's own changes.
    pub(crate) room_id: String,
    /// The client's id of it; of a message that of the message.
    pub(crate) change_id: String,
    /// The message of one's own that it changes, by the client's id; empty: none, or that of another.
    pub(crate) target: String,
    /// The request of the contract, encoded.
    pub(crate) request: Vec<u8>,
    pub(crate) state: EntryState,
    /// It has left, perhaps: the server may have it.
    pub(crate) tried: bool,
    pub(crate) reason: ErrorReason,
    pub(crate) message: String,
    /// Position in the room, once acknowledged.
    pub(crate) seq: i64,
    /// Revision of the room that it made, once acknowledged; 0: not known.
    pub(crate) rev: i64,
    pub(crate) created_ms: i64,
}

impl Entry {
    /// The client's id of the message of one's own that it sends or changes; empty: none, or that of another.
    pub(crate) fn message_id(&self) -> &str {
        if self.kind == ChangeKind::Send { &self.change_id } else { &self.target }
    }

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

    /// The request, which this program encoded.
    pub(crate) fn decode<M: prost::Message + Default>(&self) -> rusqlite::Result<M> {
        M::decode(self.request.as_slice())
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error)))
    }
}

const COLUMNS: &str =
    "id, kind, room_id, client_message_id, target, request, state, tried, reason, message, seq, rev, created_ms";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let kind = row.get::<_, i64>(1)?;
    let known = usize::try_from(kind).ok().and_then(|kind| ChangeKind::ALL.get(kind));
    let state = match row.get::<_, i64>(6)? {
        0 => EntryState::Queued,
        1 => EntryState::Sending,
        2 => EntryState::Failed,
        _ => EntryState::Acknowledged,
    };
    Ok(Entry {
        id: row.get(0)?,
        kind: *known.ok_or(rusqlite::Error::IntegralValueOutOfRange(1, kind))?,
        room_id: row.get(2)?,
        change_id: row.get(3)?,
        target: row.get(4)?,
        request: row.get(5)?,
        state,
        tried: row.get(7)?,
        reason: ErrorReason::try_from(row.get::<_, i32>(8)?).unwrap_or_default(),
        message: row.get(9)?,
        seq: row.get(10)?,
        rev: row.get(11)?,
        created_ms: row.get(12)?,
    })
}

/// What was on its way when the process ended waits again: the id makes repeating harmless.
pub(crate) fn recover(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute("update outbox set state = 0 where state = 1", [])?;
    Ok(())
}

/// A change that is to be put in.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    pub(crate) kind: ChangeKind,
    pub(crate) room_id: String,
    pub(crate) change_id: String,
    pub(crate) target: String,
    pub(crate) request: Vec<u8>,
}

/// Puts an entry at the end.
pub(crate) fn put(conn: &Connection, new: &NewEntry, epoch: &str, now_ms: i64) -> rusqlite::Result<()> {
    let sql = "insert into outbox (kind, room_id, client_message_id, target, request, epoch, state, tried, created_ms)
         values (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7)";
    let NewEntry { kind, room_id, change_id, target, request } = new;
    conn.prepare_cached(sql)?.execute((*kind as i64, room_id, change_id, target, request, epoch, now_ms))?;
    Ok(())
}

/// What the server may have lost when its epoch changes, and this device can say again: messages, and the edits and deletions
/// of one's own. Where another's message was deleted only its position is known, which may be another's now.
const DOUBTFUL: &str = "state = 3 and (kind = 0 or kind in (1, 2) and target <> '')";

/// Entries that may leave now: of each room the first that waits, unless one of that room is on its way. After a change of
/// the epoch a room waits until it is known which of its acknowledged changes are to be offered again: they come first.
pub(crate) fn ready(conn: &Connection, guards: Guards) -> rusqlite::Result<Vec<Entry>> {
    let alone = format!(
        "and not exists (select 1 from outbox where room_id = o.room_id
           and (state = 1 or state = 0 and id < o.id
             or {DOUBTFUL} and epoch <> (select value from meta where key = 'epoch')))"
    );
    let alone = if guards.holds(Guard::OutboxOrder) { &alone } else { "" };
    let sql = format!("select {COLUMNS} from outbox o where state = 0 {alone} order by id limit 50");
    conn.prepare_cached(&sql)?.query_map([], entry)?.collect()
}

/// Puts an entry that is on its way back into the queue.
pub(crate) fn wait(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("update outbox set state = 0 where id = ?1 and state = 1")?.execute([id])?;
    Ok(())
}

/// An entry that waits is on its way.
pub(crate) fn leave(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("update outbox set state = 1, tried = 1 where id = ?1 and state = 0")?.execute([id])?;
    Ok(())
}

/// Says something else, in place of what has never left or was refused.
pub(crate) fn rewrite(conn: &Connection, id: i64, request: &[u8]) -> rusqlite::Result<()> {
    conn.prepare_cached("update outbox set request = ?2 where id = ?1")?.execute((id, request))?;
    Ok(())
}

/// An entry by the client's id.
pub(crate) fn find(conn: &Connection, change_id: &str) -> rusqlite::Result<Option<Entry>> {
    let sql = format!("select {COLUMNS} from outbox where client_message_id = ?1");
    conn.prepare_cached(&sql)?.query_row([change_id], entry).optional()
}

/// Throws an entry away, and the changes of its message that wait behind it.
pub(crate) fn remove(conn: &Connection, change_id: &str) -> rusqlite::Result<()> {
    let sql = "delete from outbox where client_message_id = ?1 or target = ?1 and state < 3";
    conn.prepare_cached(sql)?.execute([change_id])?;
    Ok(())
}

/// Throws away everything of a room that is not acknowledged.
pub(crate) fn remove_room(conn: &Connection, room_id: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("delete from outbox where room_id = ?1 and state < 3")?.execute([room_id])?;
    Ok(())
}

/// The server has it: the message at this position, as of this revision.
pub(crate) fn acknowledge(conn: &Connection, id: i64, (seq, rev): (i64, i64), now_ms: i64) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 3, seq = ?2, rev = ?3, acked_ms = ?4 where id = ?1 and state in (0, 1)";
    conn.prepare_cached(sql)?.execute((id, seq, rev, now_ms))?;
    let sql = "delete from outbox where state = 3 and (acked_ms < ?1
         or id <= (select id from outbox where state = 3 order by id desc limit 1 offset ?2))";
    conn.prepare_cached(sql)?.execute((now_ms - KEPT_MS, KEPT))?;
    Ok(())
}

/// There is nothing left to do for it.
pub(crate) fn done(conn: &Connection, change_id: &str, now_ms: i64) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 3, acked_ms = ?2 where client_message_id = ?1";
    conn.prepare_cached(sql)?.execute((change_id, now_ms))?;
    Ok(())
}

/// The server refused it.
pub(crate) fn fail(conn: &Connection, id: i64, reason: ErrorReason, message: &str) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 2, reason = ?2, message = ?3 where id = ?1 and state in (0, 1)";
    conn.prepare_cached(sql)?.execute((id, reason as i32, message))?;
    Ok(())
}

/// Everything that waits in a room has failed.
pub(crate) fn fail_room(conn: &Connection, room_id: &str, reason: ErrorReason, message: &str) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 2, reason = ?2, message = ?3 where room_id = ?1 and state in (0, 1)";
    conn.prepare_cached(sql)?.execute((room_id, reason as i32, message))?;
    Ok(())
}

/// Puts a failed entry back into the queue, at its old place.
pub(crate) fn retry(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 0, reason = 0, message = '' where id = ?1 and state = 2";
    conn.prepare_cached(sql)?.execute([id])?;
    Ok(())
}

/// Puts everything of a room that has failed back into the queue.
pub(crate) fn retry_room(conn: &Connection, room_id: &str) -> rusqlite::Result<()> {
    let sql = "update outbox set state = 0, reason = 0, message = '' where room_id = ?1 and state = 2";
    conn.prepare_cached(sql)?.execute([room_id])?;
    Ok(())
}

/// Messages of a room that its rows do not show yet: all that are not acknowledged, and those that are but lie above what
/// is held.
pub(crate) fn shown(conn: &Connection, room_id: &str, held_seq: i64) -> rusqlite::Result<Vec<Entry>> {
    let sql = format!(
        "select {COLUMNS} from outbox where room_id = ?1 and kind = 0 and (state < 3 or state = 3 and seq > ?2) order by id"
    );
    conn.prepare_cached(&sql)?.query_map((room_id, held_seq), entry)?.collect()
}

/// Changes of a room's messages that are not acknowledged, oldest first.
pub(crate) fn edits(conn: &Connection, room_id: &str) -> rusqlite::Result<Vec<Entry>> {
    let sql = format!("select {COLUMNS} from outbox where room_id = ?1 and kind in (1, 2) and state < 3 order by id");
    conn.prepare_cached(&sql)?.query_map([room_id], entry)?.collect()
}

/// All messages, oldest first.
pub(crate) fn messages(conn: &Connection) -> rusqlite::Result<Vec<Entry>> {
    conn.prepare_cached(&format!("select {COLUMNS} from outbox where kind = 0 order by id"))?
        .query_map([], entry)?
        .collect()
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

/// Entries of another epoch that are not acknowledged, oldest first.
pub(crate) fn unsettled_of_other_epochs(conn: &Connection, epoch: &str) -> rusqlite::Result<Vec<Entry>> {
    let sql = format!("select {COLUMNS} from outbox where state < 3 and epoch <> ?1 order by id");
    conn.prepare_cached(&sql)?.query_map([epoch], entry)?.collect()
}

/// Puts an entry under another epoch, as it is to be said there.
pub(crate) fn translate(conn: &Connection, id: i64, request: &[u8], epoch: &str) -> rusqlite::Result<()> {
    let sql = "update outbox set request = ?2, epoch = ?3 where id = ?1";
    conn.prepare_cached(sql)?.execute((id, request, epoch))?;
    Ok(())
}

/// An acknowledged change that the server no longer has waits again.
pub(crate) fn reoffer(conn: &Connection, id: i64, request: &[u8], epoch: &str) -> rusqlite::Result<()> {
    translate(conn, id, request, epoch)?;
    conn.prepare_cached("update outbox set state = 0 where id = ?1")?.execute([id])?;
    Ok(())
}

/// Acknowledged changes of an earlier epoch, the newest first: whether the server still has them must be asked.
pub(crate) fn of_other_epochs(conn: &Connection, epoch: &str) -> rusqlite::Result<Vec<Entry>> {
    let sql = format!("select {COLUMNS} from outbox where {DOUBTFUL} and epoch <> ?1 order by rev desc, id desc");
    conn.prepare_cached(&sql)?.query_map([epoch], entry)?.collect()
}

/// The server still has this message and so everything earlier of its room, because a backup is a beginning.
pub(crate) fn confirm_until(conn: &Connection, entry: &Entry, epoch: &str) -> rusqlite::Result<()> {
    let sql = "update outbox set epoch = ?4 where room_id = ?1 and (rev, id) <= (?2, ?3) and state = 3";
    conn.prepare_cached(sql)?.execute((&entry.room_id, entry.rev, entry.id, epoch))?;
    Ok(())
}

/// The server still has this change.
pub(crate) fn confirm(conn: &Connection, entry: &Entry, epoch: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("update outbox set epoch = ?2 where id = ?1")?.execute((entry.id, epoch))?;
    Ok(())
}

/// The request of a message without the positions that it names: under another epoch there may be another item there.
pub(crate) fn without_positions(request: SendMessageRequest) -> SendMessageRequest {
    SendMessageRequest { reply_to_seq: 0, seen_seq: 0, seen_generation: 0, ..request }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::store::{Durability, Write, meta, tests::memory};

    fn message(room: &str, id: &str) -> NewEntry {
        let request = SendMessageRequest { reply_to_seq: 7, ..SendMessageRequest::default() }.encode_to_vec();
        let (room_id, change_id) = (room.into(), id.into());
        NewEntry { kind: ChangeKind::Send, room_id, change_id, target: String::new(), request }
    }

    fn ids(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.change_id.as_str()).collect()
    }

    async fn with(job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let job = |w: &mut Write<'_>| {
            for (room, id) in [("r", "r1"), ("r", "r2"), ("s", "s1")] {
                put(&w.tx, &message(room, id), "e1", 0)?;
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
            leave(&w.tx, first[0].id)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["s1"]);
            acknowledge(&w.tx, first[0].id, (9, 9), 1)?;
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
            leave(&w.tx, first.id)?;
            recover(&w.tx)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r1", "s1"]);
            fail(&w.tx, first.id, ErrorReason::IdReused, "reused")?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r2", "s1"]);
            retry(&w.tx, first.id)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r1", "s1"]);
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
            acknowledge(&w.tx, first.id, (9, 9), 1)?;
            meta::set(&w.tx, meta::EPOCH, "e2")?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["s1"]);
            reoffer(&w.tx, first.id, &first.request, "e2")?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r1", "s1"]);
            acknowledge(&w.tx, first.id, (3, 3), 2)?;
            assert_eq!(ids(&ready(&w.tx, w.guards)?), ["r2", "s1"]);
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_message_vouches_for_what_was_acknowledged_before_it_and_not_for_what_was_typed_before_it() {
        with(|w| {
            let first = ready(&w.tx, w.guards)?.remove(0);
            leave(&w.tx, first.id)?;
            // Refused, and tried again after the second was there.
            fail(&w.tx, first.id, ErrorReason::IdReused, "reused")?;
            let second = ready(&w.tx, w.guards)?.remove(0);
            acknowledge(&w.tx, second.id, (1, 5), 1)?;
            retry(&w.tx, first.id)?;
            acknowledge(&w.tx, first.id, (2, 6), 2)?;
            let doubtful = of_other_epochs(&w.tx, "e2")?;
            assert_eq!(ids(&doubtful), ["r1", "r2"]);
            confirm_until(&w.tx, &doubtful[1], "e2")?;
            assert_eq!(ids(&of_other_epochs(&w.tx, "e2")?), ["r1"]);
            confirm(&w.tx, &doubtful[0], "e2")?;
            assert!(of_other_epochs(&w.tx, "e2")?.is_empty());
            Ok(())
        })
        .await;
    }
}
