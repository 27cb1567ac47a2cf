//! Why a message is on this device as it is.

use madang_proto::v1::ErrorReason;

use crate::{
    client::Client,
    error::ClientError,
    store::{
        Durability, MessageKey, Read, Write, messages,
        outbox::{self, Entry, EntryState},
        rooms,
    },
};

/// Why a message is as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It waits in the outbox for a connection.
    WaitsForConnection,
    /// It waits in the outbox for what was typed earlier in its room.
    WaitsForEarlier {
        /// Entries before it.
        entries: u32,
    },
    /// It is the first of its room and goes out by itself: at once, or after a wait when attempts have failed.
    WaitsToLeave {
        /// Attempts of this process so far.
        attempts: u32,
    },
    /// It is on its way.
    OnItsWay {
        /// Which attempt of this process; 1 is the first.
        attempt: u32,
    },
    /// The server refused it; the person retries or discards it.
    Refused {
        /// Why.
        reason: ErrorReason,
    },
    /// The server has it, and its row is not here yet.
    Acknowledged {
        /// Its position.
        seq: i64,
    },
    /// It is here.
    Held {
        /// Its position.
        seq: i64,
        /// Revision of the room at which it last changed.
        rev: i64,
        /// It was deleted; its place is kept.
        deleted: bool,
    },
    /// It is older than what is held here: `load_older` brings it.
    BelowHeld,
    /// It lies where rows are held, and is not among them: a fault.
    Missing,
    /// It is newer than the rows here, and the room is known to be behind.
    AheadOfRows {
        /// The question that brings it is on its way; else it is asked when the room is opened.
        repair: bool,
    },
    /// No such message was heard of: it does not exist, was discarded, or this device is behind.
    Unknown,
}

/// Why a message is as it is, and what is held of its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Why.
    pub cause: Cause,
    /// Calls make sense now.
    pub online: bool,
    /// Rows of the room are held up to this revision; 0: none.
    pub rev: i64,
    /// The room is known to be at this revision.
    pub head_rev: i64,
    /// The oldest row that is held; 0: none.
    pub low_seq: i64,
    /// The newest row that is held; 0: none.
    pub seq: i64,
    /// The newest item of the room that was heard of.
    pub newest_seq: i64,
}

impl Client {
    /// Why a message is on this device as it is, from what this device knows; asks nobody.
    pub async fn explain(&self, room_id: &str, message: MessageKey) -> Result<Explanation, ClientError> {
        let (room_id, online) = (room_id.to_owned(), *self.inner.online.borrow());
        let attempts = match &message {
            MessageKey::Own(id) => self.inner.connection.record.attempts(id),
            MessageKey::Seq(_) => 0,
        };
        let job = move |w: &mut Write<'_>| {
            let repair = w.repairs.rooms.contains_key(&room_id);
            let read = Read { conn: &w.tx, me: &w.me, guards: w.guards };
            explain(&read, &room_id, &message, &Now { online, attempts, repair })
        };
        self.inner.store.write(Durability::Frames, job).await
    }
}

/// What is known beside the rows.
pub(super) struct Now {
    pub(super) online: bool,
    pub(super) attempts: u32,
    pub(super) repair: bool,
}

pub(super) fn explain(r: &Read<'_>, room_id: &str, message: &MessageKey, now: &Now) -> rusqlite::Result<Explanation> {
    let state = rooms::load(r.conn, room_id)?;
    let newest_seq = state.room.as_ref().map_or(0, |room| room.seq).max(state.seq);
    let of_seq = |seq: i64| -> rusqlite::Result<Cause> {
        if let Some(row) = messages::find(r.conn, room_id, seq)? {
            return Ok(Cause::Held { seq, rev: row.rev, deleted: row.tombstone.is_some() });
        }
        Ok(match () {
            () if seq > newest_seq || seq < 1 => Cause::Unknown,
            () if seq > state.seq => Cause::AheadOfRows { repair: now.repair },
            () if seq < state.low_seq || state.low_seq == 0 => Cause::BelowHeld,
            () => Cause::Missing,
        })
    };
    let cause = match message {
        MessageKey::Seq(seq) => of_seq(*seq)?,
        MessageKey::Own(id) => match messages::find_own(r.conn, room_id, r.me, id)? {
            Some(row) => Cause::Held { seq: row.seq, rev: row.rev, deleted: row.tombstone.is_some() },
            None => match outbox::find(r.conn, id)? {
                Some(entry) => of_entry(r, &entry, now)?,
                None => Cause::Unknown,
            },
        },
    };
    let (rev, head_rev, low_seq, seq) = (state.rev, state.head_rev, state.low_seq, state.seq);
    Ok(Explanation { cause, online: now.online, rev, head_rev, low_seq, seq, newest_seq })
}

fn of_entry(r: &Read<'_>, entry: &Entry, now: &Now) -> rusqlite::Result<Cause> {
    Ok(match entry.state {
        EntryState::Failed => Cause::Refused { reason: entry.reason },
        EntryState::Acknowledged => Cause::Acknowledged { seq: entry.seq },
        EntryState::Sending => Cause::OnItsWay { attempt: now.attempts.max(1) },
        EntryState::Queued => match earlier(r, entry)? {
            0 if now.online => Cause::WaitsToLeave { attempts: now.attempts },
            0 => Cause::WaitsForConnection,
            entries => Cause::WaitsForEarlier { entries },
        },
    })
}

/// Entries of a room that leave before one.
fn earlier(r: &Read<'_>, entry: &Entry) -> rusqlite::Result<u32> {
    let sql = "select count(*) from outbox where room_id = ?1 and id < ?2 and state in (0, 1)";
    r.conn.query_row(sql, (&entry.room_id, entry.id), |row| row.get(0))
}
