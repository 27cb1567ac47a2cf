//! The beginning of a stream: what the client says it has, and what the server's answer means for that.

use madang_proto::v1::{Hello, Welcome};

use super::changes;
use crate::{
    error::{ClientError, ClientErrorKind, LocalReason},
    sabotage::Guard,
    store::{Durability, Store, Write, meta, people, rooms},
};

/// Cursors in a Hello; the server takes no more.
pub(super) const CURSORS: usize = 200;

/// What the client has. Rooms that it names come with their rows: on a metered network those on the screen alone.
pub(super) async fn hello(store: &Store, focus: Vec<String>, metered: bool) -> Result<Hello, ClientError> {
    let most = if metered { focus.len() } else { CURSORS };
    store.write(Durability::Frames, move |w| begin(w, &focus, most)).await
}

/// A stream begins; names so many rooms.
pub(super) fn begin(w: &mut Write<'_>, focus: &[String], most: usize) -> rusqlite::Result<Hello> {
    w.repairs.begin();
    Ok(Hello {
        epoch: meta::text(&w.tx, meta::EPOCH)?,
        user_rev: meta::number(&w.tx, meta::USER_REV)?,
        watermark: meta::number(&w.tx, meta::WATERMARK)?,
        rooms: rooms::cursors(&w.tx, focus, most.min(CURSORS))?,
    })
}

/// Takes the Welcome in; tells whether the person's own profile is held. Fails when the store belongs to another person.
pub(super) async fn welcome(store: &Store, welcome: &Welcome) -> Result<bool, ClientError> {
    let (user_id, epoch) = (welcome.user_id.clone(), welcome.epoch.clone());
    let job = move |w: &mut Write<'_>| {
        let taken = take(w, &user_id, &epoch)?;
        taken.then(|| people::knows(&w.tx, &user_id)).transpose()
    };
    let known = store.write(Durability::Outbox, job).await?;
    let other = || {
        let message = "the store belongs to another person";
        ClientError::local(ClientErrorKind::Conflict, LocalReason::StoreOfAnother, message)
    };
    known.ok_or_else(other)
}

/// Takes a history in; `false` when the store belongs to another person of it.
pub(crate) fn take(w: &mut Write<'_>, user_id: &str, epoch: &str) -> rusqlite::Result<bool> {
    if w.me.is_empty() {
        meta::set(&w.tx, meta::USER_ID, user_id)?;
        user_id.clone_into(&mut w.me);
    }
    let held = meta::text(&w.tx, meta::EPOCH)?;
    if w.me != user_id {
        if held == epoch {
            return Ok(false);
        }
        // Another history, in which the person may have got another id; the token says who it is.
        meta::set(&w.tx, meta::USER_ID, user_id)?;
        user_id.clone_into(&mut w.me);
        w.tx.execute("delete from users", [])?;
    }
    if held != epoch {
        if !held.is_empty() && w.guards.holds(Guard::Epoch) {
            wipe(w)?;
        }
        meta::set(&w.tx, meta::EPOCH, epoch)?;
        changes::change_epoch(w, epoch)?;
        w.changes.everything = true;
    }
    Ok(true)
}

/// Rows, marks and numbers belong to a history that is gone. What was typed stays.
fn wipe(w: &mut Write<'_>) -> rusqlite::Result<()> {
    for table in ["rooms", "messages", "members", "receipts", "marks", "notified", "islands"] {
        w.tx.execute(&format!("delete from {table}"), [])?;
    }
    people::outdate_history(&w.tx)?;
    meta::set(&w.tx, meta::USER_REV, 0)?;
    meta::set(&w.tx, meta::WATERMARK, 0)?;
    w.repairs.forget();
    Ok(())
}
