//! Sends the marks that wait. One at a time; a mark made offline names the generation it was made under, so that the
//! server can ignore it when "mark as unread" came in between.

use std::sync::Arc;

use madang_proto::v1::{MarkReadRequest, MarkUnreadRequest, Membership};

use super::{
    Inner,
    frames::{self, Outcome, View},
};
use crate::{
    error::ClientError,
    store::{
        Durability, Write,
        marks::{self, Pending},
    },
};

pub(super) async fn run(inner: Arc<Inner>) {
    let mut failures = 0;
    loop {
        inner.until_online().await;
        let waiting = inner.store.read(|r| marks::waiting(r.conn)).await.unwrap_or_default();
        if waiting.is_empty() {
            inner.wake.marks.notified().await;
            continue;
        }
        for mark in waiting {
            match settle(&inner, mark).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    let delay = error.retry_after.unwrap_or_default().max(inner.config.backoff.delay(failures));
                    inner.config.clock.sleep(delay).await;
                    break;
                }
            }
        }
    }
}

/// Sends one mark; fails when that may be repeated. A mark that is refused for good is dropped.
async fn settle(inner: &Inner, mark: Pending) -> Result<(), ClientError> {
    match send(inner, &mark).await {
        Ok((place, prev_user_rev)) => {
            inner.apply(move |w, view, out| answered(w, view, &mark, place, prev_user_rev, out)).await
        }
        Err(error) if error.may_repeat() || error.is_before_the_wire() => Err(error),
        Err(error) => {
            tracing::info!(%error, "a mark was refused");
            inner.store.write(Durability::Frames, move |w| refused(w, &mark)).await
        }
    }
}

/// The server has the mark, or says what holds instead.
pub(super) fn answered(
    w: &mut Write<'_>,
    view: &View,
    mark: &Pending,
    place: Membership,
    prev_user_rev: i64,
    out: &mut Outcome,
) -> rusqlite::Result<()> {
    marks::done(&w.tx, mark)?;
    if mark.unread {
        marks::rebase(&w.tx, &mark.room_id, place.read_generation)?;
    }
    w.changes.room(&mark.room_id);
    frames::own_answer(w, view, place, prev_user_rev, out)
}

/// The server will not have the mark.
pub(super) fn refused(w: &mut Write<'_>, mark: &Pending) -> rusqlite::Result<()> {
    w.changes.room(&mark.room_id);
    marks::done(&w.tx, mark)
}

async fn send(inner: &Inner, mark: &Pending) -> Result<(Membership, i64), ClientError> {
    inner.may_say()?;
    let (room_id, seq, generation) = (mark.room_id.clone(), mark.at_seq, mark.base_generation);
    if mark.unread {
        let answer = inner.connection.call_once(&MarkUnreadRequest { room_id, seq, generation }).await?;
        return Ok((answer.membership.unwrap_or_default(), answer.prev_user_rev));
    }
    let answer = inner.connection.call_once(&MarkReadRequest { room_id, seq, generation }).await?;
    Ok((answer.membership.unwrap_or_default(), answer.prev_user_rev))
}
