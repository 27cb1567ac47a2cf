//! Repairs: the questions that close holes, and what their answers do to the rows. Which are on their way stands in
//! `sync/repairs.rs`.

use std::{collections::BTreeSet, sync::Arc};

use madang_proto::v1::{
    ErrorReason, GoneReason, RoomCursor, RoomDelta, RoomGone, RoomSummary, SyncRoomRequest, SyncUserRequest, UserDelta,
    room_summary::Verdict,
};

use super::{
    Inner,
    frames::{self, Outcome, View},
};
use crate::{
    error::ClientError,
    sabotage::Guard,
    store::{Durability, Write, meta, people, rooms},
    sync::Flight,
};

/// Rows in a page; the server gives no more.
const PAGE: i32 = 500;

/// A question to the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// `SyncRoom` from this cursor.
    Room(RoomCursor),
    /// `SyncUser` from this number.
    User(i64),
}

/// Asks for a room, unless an answer is on its way.
pub(crate) fn ask_room(w: &mut Write<'_>, room_id: &str, out: &mut Outcome) -> rusqlite::Result<()> {
    let state = rooms::load(&w.tx, room_id)?;
    if let Some(flight) = w.repairs.rooms.get_mut(room_id) {
        flight.again = true;
    } else if !state.ended {
        w.repairs.rooms.insert(room_id.to_owned(), Flight::default());
        out.asks.push(Ask::Room(RoomCursor { room_id: room_id.to_owned(), rev: state.rev, seq: state.seq }));
    }
    Ok(())
}

/// Asks for a room as it is from now on: an answer that is on its way was perhaps read earlier. While a stream catches up,
/// the question waits for its end.
pub(crate) fn ask_anew(w: &mut Write<'_>, view: &View, room_id: &str, out: &mut Outcome) -> rusqlite::Result<()> {
    if let Some(flight) = w.repairs.rooms.get_mut(room_id) {
        flight.short = true;
        return Ok(());
    }
    if !view.live {
        w.repairs.unanswered.insert(room_id.to_owned());
        return Ok(());
    }
    ask_room(w, room_id, out)
}

/// The person's number is at least this; asks if that is ahead of what is held.
pub(crate) fn user_is_at(w: &mut Write<'_>, user_rev: i64, out: &mut Outcome) -> rusqlite::Result<()> {
    w.repairs.user_again |= w.repairs.user && user_rev > w.repairs.user_rev;
    w.repairs.user_rev = w.repairs.user_rev.max(user_rev);
    let held = meta::number(&w.tx, meta::USER_REV)?;
    if w.repairs.user_rev > held && !w.repairs.user {
        w.repairs.user = true;
        out.asks.push(Ask::User(held));
    }
    Ok(())
}

/// Keeps how far everything is held, unless a room has a question on its way, or one without an answer: what was told of that
/// room meanwhile is held by this process at most, and the next stream tells only what is behind the mark.
pub(crate) fn keep_watermark(w: &mut Write<'_>) -> rusqlite::Result<()> {
    let whole = w.repairs.rooms.is_empty() && !w.repairs.lost;
    if whole && w.repairs.watermark > meta::number(&w.tx, meta::WATERMARK)? {
        meta::set(&w.tx, meta::WATERMARK, w.repairs.watermark)?;
    }
    Ok(())
}

/// All verdicts are in: rooms on the screen that are behind, those never heard of, and those whose question was lost.
pub(crate) fn after_drained(w: &mut Write<'_>, view: &View, out: &mut Outcome) -> rusqlite::Result<()> {
    for room_id in std::mem::take(&mut w.repairs.unanswered) {
        ask_room(w, &room_id, out)?;
    }
    for room_id in rooms::unknown(&w.tx)? {
        ask_room(w, &room_id, out)?;
    }
    out.people.extend(people::outdated(&w.tx)?);
    heal(w, view, out)
}

/// Asks for the rooms on the screen that are behind.
pub(crate) fn heal(w: &mut Write<'_>, view: &View, out: &mut Outcome) -> rusqlite::Result<()> {
    for room_id in &view.focus {
        let state = rooms::load(&w.tx, room_id)?;
        let waits_to_be_made = state.is_foreseen() && !state.is_unheard_of();
        if state.is_joined() && (state.rev < state.head_rev || state.rev == 0) && !waits_to_be_made {
            ask_room(w, room_id, out)?;
        }
    }
    Ok(())
}

/// `SyncRoom` has answered.
pub(crate) fn room_answered(
    w: &mut Write<'_>,
    view: &View,
    room_id: &str,
    delta: RoomDelta,
) -> rusqlite::Result<Outcome> {
    let mut out = Outcome::default();
    let flight = w.repairs.rooms.remove(room_id).unwrap_or_default();
    let before = rooms::load(&w.tx, room_id)?;
    let more = !delta.last && delta.to.is_some() && w.guards.holds(Guard::Paging);
    // The view without focus: whether to ask again is decided once, below.
    let quiet = View { focus: BTreeSet::new(), live: false };
    frames::on_room(w, &quiet, room_id, &mut out, |state, to, effects| state.delta(delta, to, effects))?;
    for event in flight.held {
        frames::event(w, &quiet, event, &mut out)?;
    }
    let state = rooms::load(&w.tx, room_id)?;
    let moved = (before.rev, before.seq) != (state.rev, state.seq);
    let wanted = flight.again || view.focus.contains(room_id);
    let behind = state.rev < state.head_rev && wanted;
    // An answer that moved nothing, and during which nothing was heard, is not asked for again: the next heartbeat says if
    // something is missing.
    if state.is_joined() && (flight.short || (moved || flight.again) && (more || behind)) {
        ask_room(w, room_id, &mut out)?;
    }
    keep_watermark(w)?;
    Ok(out)
}

/// `SyncRoom` was refused for good: the room is not there for the person, or nothing is, because the session has ended.
pub(crate) fn room_refused(
    w: &mut Write<'_>,
    view: &View,
    room_id: &str,
    reason: Option<ErrorReason>,
) -> rusqlite::Result<Outcome> {
    let mut out = Outcome::default();
    let flight = w.repairs.rooms.remove(room_id).unwrap_or_default();
    match reason {
        Some(ErrorReason::RoomEnded) => {
            let mut gone = RoomGone::default();
            gone.set_reason(GoneReason::Ended);
            let verdict = RoomSummary { room_id: room_id.to_owned(), verdict: Some(Verdict::Gone(gone)) };
            frames::summary(w, view, verdict, &mut out)?;
        }
        Some(ErrorReason::CursorInvalid) => {
            let mut state = rooms::load(&w.tx, room_id)?;
            (state.rev, state.seq) = (0, 0);
            rooms::save(&w.tx, &state)?;
            ask_room(w, room_id, &mut out)?;
        }
        // The verdict on it comes by itself.
        Some(ErrorReason::RoomNotFound) if flight.is_quiet() => {}
        // What waited for the answer is gone, and what the question was for.
        _ => w.repairs.lost = true,
    }
    keep_watermark(w)?;
    Ok(out)
}

/// `SyncUser` has answered a page.
pub(crate) fn user_answered(w: &mut Write<'_>, view: &View, delta: UserDelta) -> rusqlite::Result<Outcome> {
    let mut out = Outcome::default();
    let before = meta::number(&w.tx, meta::USER_REV)?;
    frames::user_delta(w, view, delta, &mut out)?;
    w.repairs.user = false;
    let held = meta::number(&w.tx, meta::USER_REV)?;
    let heard_more = std::mem::take(&mut w.repairs.user_again);
    if held == before && !heard_more {
        // An answer that brings nothing new ends the asking; the next heartbeat says if something is missing.
        w.repairs.user_rev = held;
    }
    user_is_at(w, held, &mut out)?;
    Ok(out)
}

/// Asks until there is an answer or a refusal for good, and takes it in; tells what is to be asked next.
pub(super) async fn answer(inner: Arc<Inner>, ask: Ask) -> Result<Vec<Ask>, ClientError> {
    let mut failures = 0;
    inner.connection.record.repair();
    let error = loop {
        let asked = match &ask {
            Ask::Room(cursor) => sync_room(&inner, cursor.clone()).await,
            Ask::User(user_rev) => sync_user(&inner, *user_rev).await,
        };
        match asked {
            Ok(outcome) => {
                inner.want_people(outcome.people);
                return Ok(outcome.asks);
            }
            Err(error) if error.may_repeat() || error.is_before_the_wire() => {
                failures += 1;
                let delay = error.retry_after.unwrap_or_default();
                inner.config.clock.sleep(delay.max(inner.config.backoff.delay(failures))).await;
            }
            Err(error) => break error,
        }
    };
    tracing::info!(%error, ?ask, "a repair was refused");
    let view = inner.view();
    let refused = move |w: &mut Write<'_>| match ask {
        Ask::Room(cursor) => room_refused(w, &view, &cursor.room_id, error.reason),
        Ask::User(_) => {
            w.repairs.user = false;
            Ok(Outcome::default())
        }
    };
    Ok(inner.store.write(Durability::Frames, refused).await?.asks)
}

/// Catches a room up before returning, whether it is shown or not.
pub(crate) async fn sync_now(inner: &Inner, room_id: &str) -> Result<(), ClientError> {
    loop {
        let id = room_id.to_owned();
        let state = inner.store.read(move |r| rooms::load(r.conn, &id)).await?;
        let cursor = RoomCursor { room_id: room_id.to_owned(), rev: state.rev, seq: state.seq };
        let outcome = sync_room(inner, cursor).await?;
        inner.want_people(outcome.people);
        if outcome.asks.is_empty() {
            return Ok(());
        }
    }
}

async fn sync_room(inner: &Inner, cursor: RoomCursor) -> Result<Outcome, ClientError> {
    let room_id = cursor.room_id.clone();
    let request = SyncRoomRequest { cursor: Some(cursor), limit: PAGE };
    let answer = inner.connection.call_once(&request).await?;
    let delta = answer.delta.unwrap_or_else(|| RoomDelta { last: true, ..RoomDelta::default() });
    if delta.reset {
        inner.connection.record.reset();
    }
    let view = inner.view();
    inner.store.write(Durability::Frames, move |w| room_answered(w, &view, &room_id, delta)).await
}

async fn sync_user(inner: &Inner, user_rev: i64) -> Result<Outcome, ClientError> {
    let request = SyncUserRequest { user_rev, limit: PAGE };
    let answer = inner.connection.call_once(&request).await?;
    let view = inner.view();
    let delta = answer.delta.unwrap_or_default();
    inner.store.write(Durability::Frames, move |w| user_answered(w, &view, delta)).await
}
