//! Who is in a room.

use std::{
    collections::BTreeSet,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use madang_proto::v1::MemberRole;

use super::diff::{Followed, Keyed, ListChange};
use crate::{
    commands::{RoomMember, fetch_members, held_members},
    engine::Inner,
    error::ClientError,
    observe::Listener,
    store::rooms,
};

/// Who is in a room, admins first, then by name; pulled.
pub struct MemberList {
    inner: Arc<Inner>,
    room_id: String,
    listener: Arc<Listener>,
    list: Followed<RoomMember>,
    /// Something changed that is not read yet.
    stale: bool,
    /// Fetches those that the stream does not tell of. It goes on where it was when the wait for it was given up.
    fetching: Option<Mutex<BoxFuture<'static, ()>>>,
}

impl std::fmt::Debug for MemberList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberList").field("room_id", &self.room_id).finish_non_exhaustive()
    }
}

impl Keyed for RoomMember {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        &self.member.user_id
    }
}

impl MemberList {
    pub(crate) async fn open(inner: Arc<Inner>, room_id: &str) -> Result<Self, ClientError> {
        let listener = inner.observers.listen(Some(room_id));
        let id = room_id.to_owned();
        let state = inner.store.read(move |r| rooms::load(r.conn, &id)).await?;
        let is_told = state.rev > 0 && state.room.as_ref().is_some_and(|room| !room.large);
        let fetching = (!is_told).then(|| fetching(Arc::clone(&inner), room_id.to_owned()));
        let items = read(&inner, room_id).await?;
        let list = Followed::new(items);
        Ok(Self { inner, room_id: room_id.to_owned(), listener, list, stale: false, fetching })
    }

    /// The members after the changes that [`next`](Self::next) has told.
    pub fn items(&self) -> &[RoomMember] {
        self.list.told()
    }

    /// Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. `None`: the client
    /// has ended.
    pub async fn next(&mut self) -> Option<Vec<ListChange<RoomMember>>> {
        loop {
            if let Some(batch) = self.list.batch() {
                return Some(batch);
            }
            if !self.stale {
                let fetched = async {
                    match &mut self.fetching {
                        Some(fetching) => fetching.get_mut().unwrap_or_else(PoisonError::into_inner).await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    changed = self.listener.changed() => changed?,
                    () = fetched => self.fetching = None,
                }
            }
            self.stale = true;
            self.listener.take();
            let items = match read(&self.inner, &self.room_id).await {
                Ok(read) => read,
                Err(error) if self.inner.goes_on(&error).await => continue,
                Err(_) => return None,
            };
            self.stale = false;
            self.list.turn_into(items);
        }
    }
}

/// Fetches all members, as soon as there is a connection.
fn fetching(inner: Arc<Inner>, room_id: String) -> Mutex<BoxFuture<'static, ()>> {
    let fetch = async move {
        let mut failures = 0;
        loop {
            inner.until_online().await;
            match fetch_members(&inner, &room_id).await {
                Err(error) if error.may_repeat() => failures += 1,
                Err(error) => {
                    tracing::info!(%error, "members were refused");
                    return;
                }
                Ok(()) => return,
            }
            inner.config.clock.sleep(inner.config.backoff.delay(failures)).await;
        }
    };
    Mutex::new(fetch.boxed())
}

async fn read(inner: &Inner, room_id: &str) -> Result<Vec<RoomMember>, ClientError> {
    let room_id = room_id.to_owned();
    let (mut members, missing): (_, BTreeSet<String>) =
        inner.store.read(move |r| held_members(r.conn, &room_id)).await?;
    inner.want_people(missing);
    members.sort_by_cached_key(|member: &RoomMember| {
        let user = &member.user;
        let name = if user.display_name.is_empty() { &user.login } else { &user.display_name };
        (member.member.role() != MemberRole::Admin, name.to_lowercase(), member.member.user_id.clone())
    });
    Ok(members)
}
