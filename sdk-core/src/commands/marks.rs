//! Reading: marks are taken at once, offline too, and sent when there is a connection.

use madang_proto::v1::MessageKind;
use rusqlite::Connection;

use crate::{
    client::Client,
    error::ClientError,
    store::{
        Durability, Write,
        marks::{self, Pending},
        messages, rooms,
    },
    sync::{Mark, RoomState},
};

impl Client {
    /// Marks everything up to an item as read. Marks merge by maximum: one that moves nothing is none.
    pub async fn mark_read(&self, room_id: &str, seq: i64) -> Result<(), ClientError> {
        self.mark(room_id, move |w, room_id| put_read(w, room_id, seq)).await
    }

    /// Marks an item and all after it as unread. No older mark of another device undoes it.
    pub async fn mark_unread(&self, room_id: &str, seq: i64) -> Result<(), ClientError> {
        self.mark(room_id, move |w, room_id| put_unread(w, room_id, seq)).await
    }

    async fn mark(
        &self,
        room_id: &str,
        put: impl FnOnce(&mut Write<'_>, &str) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), ClientError> {
        let room_id = room_id.to_owned();
        self.inner.store.write(Durability::Outbox, move |w| put(w, &room_id)).await?;
        self.inner.wake.marks.notify_one();
        Ok(())
    }
}

/// Puts in that everything up to an item is read.
pub(crate) fn put_read(w: &mut Write<'_>, room_id: &str, seq: i64) -> rusqlite::Result<()> {
    put(w, room_id, |w, state, shown| {
        let newest = state.room.as_ref().map_or(0, |room| room.seq);
        let seq = seq.min(newest);
        let count = if seq == newest {
            state.room.as_ref().map(|room| room.count)
        } else {
            messages::find(&w.tx, &state.room_id, seq)?.map(|message| message.count)
        };
        let mark = Mark { generation: shown.generation, seq, count: count.unwrap_or(shown.count) };
        Ok((seq > shown.seq).then_some((false, seq, mark)))
    })
}

/// Puts in that an item and all after it are unread.
pub(crate) fn put_unread(w: &mut Write<'_>, room_id: &str, seq: i64) -> rusqlite::Result<()> {
    put(w, room_id, |w, state, shown| {
        let count = count_below(&w.tx, &state.room_id, seq)?;
        // Without the item the effect is not known before the server answers.
        let mark = count.map_or(shown, |count| Mark {
            generation: shown.generation.saturating_add(1),
            seq: seq.saturating_sub(1),
            count,
        });
        Ok(Some((true, seq, mark)))
    })
}

fn put(
    w: &mut Write<'_>,
    room_id: &str,
    decide: impl FnOnce(&Write<'_>, &RoomState, Mark) -> rusqlite::Result<Option<(bool, i64, Mark)>>,
) -> rusqlite::Result<()> {
    let state = rooms::load(&w.tx, room_id)?;
    let waiting = marks::find(&w.tx, room_id)?;
    let shown = marks::shown(state.mark(), waiting.as_ref().map(|mark| mark.shown), w.guards);
    let decided = if state.is_joined() { decide(w, &state, shown)? } else { None };
    if let Some((unread, at_seq, shown)) = decided {
        let base_generation = state.mark().generation;
        let room_id = room_id.to_owned();
        marks::put(&w.tx, &Pending { room_id, op: 0, unread, at_seq, base_generation, shown })?;
        w.changes.room(&state.room_id);
    }
    Ok(())
}

/// Countable items below an item, if it or the one before it is held.
fn count_below(conn: &Connection, room_id: &str, seq: i64) -> rusqlite::Result<Option<i64>> {
    if let Some(before) = messages::find(conn, room_id, seq.saturating_sub(1))? {
        return Ok(Some(before.count));
    }
    let item = messages::find(conn, room_id, seq)?;
    Ok(item.map(|item| item.count.saturating_sub(i64::from(item.kind() != MessageKind::System))))
}
