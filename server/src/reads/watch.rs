//! How many have read the messages that are looked at, told to those who look, in rooms of any size.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::store;
use crate::{
    error::Result,
    ids::RoomId,
    realtime::{Focus, Known, Node, Session},
};

/// How often the counts are read, at most.
const EVERY: Duration = Duration::from_secs(1);

/// Counting the readers of a room walks its members. A node waits so many times as long as the counting took, so that the
/// largest rooms take no more than a twentieth of one connection.
const REST: u32 = 20;

/// Items that one statement counts.
const AT_ONCE: usize = 200;

/// Counts and tells until the node ends.
pub async fn watch(node: Node) {
    loop {
        let began = Instant::now();
        if let Err(error) = tell(&node).await {
            tracing::warn!(%error, "readers were not counted");
        }
        tokio::time::sleep(EVERY.max(began.elapsed() * REST)).await;
    }
}

async fn tell(node: &Node) -> Result<()> {
    let watching = node.hub.sessions().into_iter().map(|session| (seen(node, &session), session));
    let watching: Vec<_> = watching.filter(|(items, _)| !items.is_empty()).collect();
    let items: BTreeSet<(RoomId, i64)> = watching.iter().flat_map(|(items, _)| items.iter().copied()).collect();
    let items: Vec<_> = items.into_iter().collect();
    let mut known = Known::default();
    for chunk in items.chunks(AT_ONCE) {
        known.reads.extend(store::count_reads(node.database.pool(), chunk).await?);
    }
    for (items, session) in watching {
        let reads = items.into_iter().filter_map(|item| Some((item, *known.reads.get(&item)?))).collect();
        session.tell(&Known { reads, ..Known::default() });
    }
    Ok(())
}

/// The items that a session watches and may see now.
fn seen(node: &Node, session: &Arc<Session>) -> Vec<(RoomId, i64)> {
    let may_see = |(room_id, seq): &(RoomId, i64)| node.hub.may_see(session.id(), *room_id, *seq);
    session.focus(Focus::reads).into_iter().filter(may_see).collect()
}
