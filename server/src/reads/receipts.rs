//! Others' marks, gathered for a moment a room and told under one revision, so that a room in which everybody reads the same
//! message changes once and not once a person.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::postgres::PgConnection;

use super::{store, wire};
use crate::{
    access,
    error::Result,
    ids::{RoomId, UserId},
    realtime::{Changes, Node},
    rooms,
};

/// How often what a dead node left untold is looked for.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How much of it is told in one go.
const MOST_FORGOTTEN: i64 = 1_000;

/// Marks and deliveries that are to be told.
#[derive(Debug, Clone)]
pub struct Receipts {
    node: Node,
    rooms: Arc<Mutex<HashMap<RoomId, Gathered>>>,
}

/// By person, the newest item that arrived; 0: only the mark moved.
type Gathered = HashMap<UserId, i64>;

impl Receipts {
    /// The gatherer of a node.
    pub fn new(node: Node) -> Self {
        Self { node, rooms: Arc::default() }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomId, Gathered>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others are told of marks in a room of this size.
    pub fn tells_reads(&self, member_count: i32) -> bool {
        i64::from(member_count) <= self.node.config.receipts_members
    }

    /// A person's mark has moved.
    pub fn read(&self, room_id: RoomId, user_id: UserId) {
        self.gather(room_id, user_id, 0);
    }

    /// An item and all before it have arrived on a device of a person.
    pub fn delivered(&self, room_id: RoomId, user_id: UserId, seq: i64) {
        self.gather(room_id, user_id, seq);
    }

    fn gather(&self, room_id: RoomId, user_id: UserId, seq: i64) {
        let mut rooms = self.rooms();
        let is_new = !rooms.contains_key(&room_id);
        let told = rooms.entry(room_id).or_default().entry(user_id).or_default();
        *told = seq.max(*told);
        drop(rooms);
        if is_new {
            let (receipts, delay) = (self.clone(), self.node.config.receipt_gather);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                receipts.tell(room_id).await;
            });
        }
    }

    async fn tell(&self, room_id: RoomId) {
        let Some(gathered) = self.rooms().remove(&room_id) else { return };
        let gathered: Vec<(UserId, i64)> = gathered.into_iter().collect();
        let config = Arc::clone(&self.node.config);
        let told = self.node.change(move |tx| {
            let (gathered, config) = (gathered.clone(), Arc::clone(&config));
            Box::pin(async move {
                Ok(((), tell(tx, room_id, gathered, config.receipts_members, config.deliveries_members).await?))
            })
        });
        if let Err(error) = told.await {
            // The marks are stored; the next look finds what was not told.
            tracing::warn!(%error, "receipts were not told");
        }
    }

    /// Tells what dead nodes left, until the node ends.
    pub async fn look(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let read = self.node.database.snapshot(|tx| Box::pin(store::find_forgotten(tx, MOST_FORGOTTEN)));
            match read.await {
                Ok(forgotten) => forgotten.into_iter().for_each(|(room_id, user_id)| self.read(room_id, user_id)),
                Err(error) => tracing::warn!(%error, "untold receipts were not found"),
            }
        }
    }
}

async fn tell(
    tx: &mut PgConnection,
    room_id: RoomId,
    mut gathered: Vec<(UserId, i64)>,
    receipts_members: i64,
    deliveries_members: i64,
) -> Result<Changes> {
    let Some(mut access) = access::lock_for_server(tx, room_id).await? else { return Ok(Changes::default()) };
    let members = i64::from(access.room().member_count);
    if access.room().large || members > receipts_members {
        return Ok(Changes::default());
    }
    if members > deliveries_members {
        for (_, seq) in &mut gathered {
            *seq = 0;
        }
    }
    let untold = store::find_untold(tx, &access, &gathered).await?;
    if untold.is_empty() {
        return Ok(Changes::default());
    }
    let told = store::update_told(tx, &mut access, &gathered, &untold).await?;
    rooms::store::save(tx, &access).await?;
    Ok(Changes { rooms: vec![wire::told(room_id, access.room().rev, &told)], ..Changes::default() })
}
