//! Keeps the store small: seldom, when everything else is done, and in small steps.

use std::{sync::Arc, time::Duration};

use super::{ConnectionState, Inner};
use crate::{
    clock::millis,
    error::ClientError,
    store::{Durability, size},
};

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_hours(1);

pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        // The sender lives in `inner`, so waiting cannot fail.
        let _ = inner.state.subscribe().wait_for(|state| *state == ConnectionState::Live).await;
        if let Err(error) = keep_small(&inner).await {
            tracing::warn!(%error, "the store was not kept small");
        }
        inner.config.clock.sleep(LOOK).await;
    }
}

async fn keep_small(inner: &Inner) -> Result<(), ClientError> {
    let (open, now_ms) = (inner.open_rooms(), millis(inner.config.clock.now()));
    let Some(due) = inner.store.read(move |r| size::due(r.conn, &open, now_ms)).await? else { return Ok(()) };
    for (room_id, kept) in due {
        let mut more = true;
        // One that is opened meanwhile keeps what it has.
        while more && !inner.open_rooms().contains(&room_id) {
            let room_id = room_id.clone();
            more = inner.store.write(Durability::Frames, move |w| size::trim(w, &room_id, kept)).await?;
        }
    }
    inner.store.write(Durability::Frames, move |w| size::done(w, now_ms)).await?;
    while inner.store.shrink().await? {}
    Ok(())
}
