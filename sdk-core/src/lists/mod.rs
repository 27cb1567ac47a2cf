//! What a screen shows, as lists that are pulled: rooms, the timeline of a room, members, the outbox, and totals.
//!
//! Always true: a list is whole from the beginning, from the store; `next` tells everything that changed since it was last
//! called, in one batch, and nothing is lost when the wait for it is given up. A listener that lags costs nothing and is
//! told the whole list; one that is dropped hears nothing more.

mod diff;
mod members;
mod outbox;
pub(crate) mod rooms;
#[cfg(test)]
mod tests;
pub(crate) mod timeline;
mod totals;

use std::sync::Arc;

pub use self::{
    diff::ListChange,
    members::MemberList,
    outbox::{OutboxList, WaitingChange},
    rooms::{RoomFilter, RoomItem, RoomList, RoomQuery, RoomSort},
    timeline::{
        Anchor, Day, ItemKey, MessageChange, MessageItem, NoticeItem, Reach, Timeline, TimelineItem, TimelineOptions,
        UnsupportedItem, Zone,
    },
    totals::UnreadTotals,
};
use crate::{client::Client, error::ClientError};

impl Client {
    /// The room list.
    pub async fn rooms(&self) -> Result<RoomList, ClientError> {
        RoomList::open(Arc::clone(&self.inner), RoomQuery::default()).await
    }

    /// Rooms that the person has left or was removed from and that are still known on this device.
    pub async fn former_rooms(&self) -> Result<Vec<RoomItem>, ClientError> {
        rooms::former(&self.inner).await
    }

    /// Opens the timeline of a room: what is held at once, the rest as it comes. The room is in focus while it is open.
    pub async fn timeline(&self, room_id: &str) -> Result<Timeline, ClientError> {
        Timeline::open(Arc::clone(&self.inner), room_id, TimelineOptions::default()).await
    }

    /// The room list, or a part of it: which rooms, in which order, and which places of that are shown.
    pub async fn rooms_where(&self, query: RoomQuery) -> Result<RoomList, ClientError> {
        RoomList::open(Arc::clone(&self.inner), query).await
    }

    /// Opens the timeline of a room somewhere. Fails when nothing is held there and nothing can be fetched.
    pub async fn timeline_at(&self, room_id: &str, anchor: Anchor) -> Result<Timeline, ClientError> {
        self.timeline_with(room_id, TimelineOptions { anchor, ..TimelineOptions::default() }).await
    }

    /// Opens the timeline of a room as told.
    pub async fn timeline_with(&self, room_id: &str, options: TimelineOptions) -> Result<Timeline, ClientError> {
        Timeline::open(Arc::clone(&self.inner), room_id, options).await
    }

    /// Who is in a room, admins first, then by name: what is held at once, the rest as it comes.
    pub async fn member_list(&self, room_id: &str) -> Result<MemberList, ClientError> {
        MemberList::open(Arc::clone(&self.inner), room_id).await
    }

    /// What is unread in all rooms together.
    pub async fn unread_totals(&self) -> Result<UnreadTotals, ClientError> {
        UnreadTotals::open(Arc::clone(&self.inner)).await
    }

    /// What was typed and the server does not have, oldest first.
    pub async fn outbox(&self) -> Result<OutboxList, ClientError> {
        OutboxList::open(Arc::clone(&self.inner)).await
    }
}
