//! A client without a server: lists over a store that the test fills.

use std::{sync::Arc, time::Duration};

use madang_proto::v1::{Member, MemberState, Membership, Room};

use crate::{
    clock::{Clock, SystemClock},
    config::{Backoff, ClientConfig, StoreLocation},
    connection::Connection,
    engine::Inner,
    observe::Observers,
    sabotage::Guards,
    store::{Durability, Store, Write},
    sync::RoomState,
    tokens::tests::NoTokens,
};

pub(super) const ME: &str = "me";

/// A client that never connects.
pub(super) async fn offline() -> Arc<Inner> {
    offline_at(Arc::new(SystemClock)).await
}

/// The same with another clock.
pub(super) async fn offline_at(clock: Arc<dyn Clock>) -> Arc<Inner> {
    let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    let config = ClientConfig { clock, backoff, ..ClientConfig::new("http://127.0.0.1:1", StoreLocation::Memory) };
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
