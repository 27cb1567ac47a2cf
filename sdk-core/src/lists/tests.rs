//! A client without a server: lists over a store that the test fills.

use std::{sync::Arc, time::Duration};

use madang_proto::v1::{Member, MemberState, Membership, Room};

use crate::{
    config::{Backoff, ClientConfig, StoreLocation, TokenProvider},
    connection::Connection,
    engine::Inner,
    error::ClientError,
    observe::Observers,
    sabotage::Guards,
    store::{Durability, Store, Write},
    sync::RoomState,
};

pub(super) const ME: &str = "me";

#[derive(Debug)]
struct NoTokens;

#[async_trait::async_trait]
impl TokenProvider for NoTokens {
    async fn token(&self, _fresh: bool) -> Result<String, ClientError> {
        Err(ClientError::ended())
    }
}

/// A client that never connects.
pub(super) async fn offline() -> Arc<Inner> {
    let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    let config = ClientConfig { backoff, ..ClientConfig::new("http://127.0.0.1:1", StoreLocation::Memory) };
    let connection = Connection::new(&config, "device", Arc::new(NoTokens)).unwrap();
    let observers = Arc::new(Observers::default());
    let store = Store::open(StoreLocation::Memory, Arc::clone(&observers), Guards::default()).await.unwrap();
    let inner = Arc::new(Inner::new(config, connection, store, observers, Guards::default()));
    write(&inner, |w| {
        w.me = ME.into();
        Ok(())
    })
    .await;
    inner
}

pub(super) async fn write<T: Send + 'static>(
    inner: &Inner,
    job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<T> + Send + 'static,
) -> T {
    inner.store.write(Durability::Frames, job).await.unwrap()
}

/// A room that the person is in.
pub(super) fn joined(room: Room) -> RoomState {
    let mut member = Member { room_id: room.id.clone(), user_id: ME.into(), ..Member::default() };
    member.set_state(MemberState::Joined);
    let membership = Some(Membership { member: Some(member), ..Membership::default() });
    let (rev, seq, new) = (room.rev, room.seq, RoomState::new(&room.id));
    RoomState { membership, rev, head_rev: rev, seq, low_seq: seq + 1, room: Some(room), ..new }
}
