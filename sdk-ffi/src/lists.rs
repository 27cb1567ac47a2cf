//! Lists that are pulled. `items` is the list with all changes told so far; each batch of `next` leads from there to the next.

use madang_sdk_core::{
    self as core, Anchor, RoomFilter, RoomItem, RoomMember, RoomQuery, RoomSort, TimelineItem, Totals, WaitingChange,
};

use crate::{
    error::ClientError,
    pulled::{Pulled, Source},
    types::{MemberChange, OutboxChange, Places, RoomChange, TimelineChange},
};

/// A list of the core is a source of batches.
macro_rules! source {
    ($list:ty, $news:ty) => {
        impl Source for $list {
            type News = $news;

            async fn next(&mut self) -> Option<$news> {
                self.next().await
            }
        }
    };
}

source!(core::RoomList, Vec<RoomChange>);
source!(core::Timeline, Vec<TimelineChange>);
source!(core::MemberList, Vec<MemberChange>);
source!(core::OutboxList, Vec<OutboxChange>);
source!(core::UnreadTotals, Totals);

/// How many items a page may have.
fn page(count: i32) -> Result<u16, ClientError> {
    u16::try_from(count).map_err(|_| ClientError::invalid(format!("a page has up to {} items, not {count}", u16::MAX)))
}

/// The room list.
#[derive(uniffi::Object)]
pub struct RoomList(pub(crate) Pulled<core::RoomList>);

#[uniffi::export]
impl RoomList {
    /// The rooms after the changes that `next` has told.
    pub async fn items(&self) -> Result<Vec<RoomItem>, ClientError> {
        self.0.whole(|list| list.items().to_vec()).await
    }

    /// How many rooms the query wants, shown or not.
    pub async fn total(&self) -> Result<i32, ClientError> {
        self.0.tell(|list| i32::try_from(list.total()).unwrap_or(i32::MAX)).await
    }

    /// Waits until something has changed, and tells all of it; no change at all: only the total is another. Nothing is lost
    /// when the wait is given up. Absent: it was stopped, or the client has ended.
    pub async fn next(&self) -> Result<Option<Vec<RoomChange>>, ClientError> {
        self.0.next().await
    }

    /// Shows these places of the list; absent: all. That comes as changes.
    pub async fn set_range(&self, range: Option<Places>) -> Result<(), ClientError> {
        self.0.tell(move |list| list.set_range(range)).await
    }

    /// Shows other rooms. That comes as changes.
    pub async fn set_filter(&self, filter: RoomFilter) -> Result<(), ClientError> {
        self.0.tell(move |list| list.set_filter(filter)).await
    }

    /// Shows rooms in another order. That comes as changes.
    pub async fn set_sort(&self, sort: RoomSort) -> Result<(), ClientError> {
        self.0.tell(move |list| list.set_sort(sort)).await
    }

    /// What the list shows.
    pub async fn query(&self) -> Result<RoomQuery, ClientError> {
        self.0.tell(|list| list.query().clone()).await
    }

    /// Ends the waits for the next changes, for good.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// An open timeline. Open means on the screen: the room is in focus until it is let go of.
#[derive(uniffi::Object)]
pub struct Timeline {
    pub(crate) room_id: String,
    pub(crate) pulled: Pulled<core::Timeline>,
}

#[uniffi::export]
impl Timeline {
    /// The room.
    pub fn room_id(&self) -> String {
        self.room_id.clone()
    }

    /// The items after the changes that `next` has told, oldest first.
    pub async fn items(&self) -> Result<Vec<TimelineItem>, ClientError> {
        self.pulled.whole(|list| list.items().to_vec()).await
    }

    /// Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. Absent: it was
    /// stopped, or the client has ended.
    pub async fn next(&self) -> Result<Option<Vec<TimelineChange>>, ClientError> {
        self.pulled.next().await
    }

    /// Whether it ends with the newest item, and so follows it.
    pub async fn is_at_newest(&self) -> Result<bool, ClientError> {
        self.pulled.tell(|list| list.is_at_newest()).await
    }

    /// Items of the room that come after the last one here; 0 at the newest.
    pub async fn newer(&self) -> Result<i64, ClientError> {
        self.pulled.tell(|list| list.newer()).await
    }

    /// Shows up to `count` older items, from the store or else from the server; they come as changes. Tells whether there are
    /// still older ones.
    pub async fn load_older(&self, count: i32) -> Result<bool, ClientError> {
        let count = page(count)?;
        self.pulled.ask(move |list| Box::pin(list.load_older(count))).await
    }

    /// Shows up to `count` newer items, as `load_older` does older ones.
    pub async fn load_newer(&self, count: i32) -> Result<bool, ClientError> {
        let count = page(count)?;
        self.pulled.ask(move |list| Box::pin(list.load_newer(count))).await
    }

    /// Lies elsewhere from now on; that comes as changes. Fails, and stays, when nothing is held there and nothing can be
    /// fetched.
    pub async fn jump(&self, anchor: Anchor) -> Result<(), ClientError> {
        self.pulled.ask(move |list| Box::pin(list.jump(anchor))).await
    }

    /// Says which item is in front of the person, when that is not the newest: should the room begin anew after a long time
    /// without a connection, it is what stays on the screen.
    pub async fn scrolled_to(&self, seq: Option<i64>) -> Result<(), ClientError> {
        self.pulled.tell(move |list| list.scrolled_to(seq)).await
    }

    /// Ends the waits for the next changes, for good.
    pub fn stop(&self) {
        self.pulled.stop();
    }
}

/// Who is in a room, admins first, then by name.
#[derive(uniffi::Object)]
pub struct MemberList(pub(crate) Pulled<core::MemberList>);

#[uniffi::export]
impl MemberList {
    /// The members after the changes that `next` has told.
    pub async fn items(&self) -> Result<Vec<RoomMember>, ClientError> {
        self.0.whole(|list| list.items().to_vec()).await
    }

    /// Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. Absent: it was
    /// stopped, or the client has ended.
    pub async fn next(&self) -> Result<Option<Vec<MemberChange>>, ClientError> {
        self.0.next().await
    }

    /// Ends the waits for the next changes, for good.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// What waits, is on its way or has failed, of all rooms, oldest first.
#[derive(uniffi::Object)]
pub struct OutboxList(pub(crate) Pulled<core::OutboxList>);

#[uniffi::export]
impl OutboxList {
    /// The entries after the changes that `next` has told.
    pub async fn items(&self) -> Result<Vec<WaitingChange>, ClientError> {
        self.0.whole(|list| list.items().to_vec()).await
    }

    /// Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. Absent: it was
    /// stopped, or the client has ended.
    pub async fn next(&self) -> Result<Option<Vec<OutboxChange>>, ClientError> {
        self.0.next().await
    }

    /// Ends the waits for the next changes, for good.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// What is unread in all rooms together.
#[derive(uniffi::Object)]
pub struct UnreadTotals(pub(crate) Pulled<core::UnreadTotals>);

#[uniffi::export]
impl UnreadTotals {
    /// The totals as they were last told.
    pub async fn now(&self) -> Result<Totals, ClientError> {
        self.0.whole(core::UnreadTotals::now).await
    }

    /// Waits until they are others, and tells them. Absent: it was stopped, or the client has ended.
    pub async fn next(&self) -> Result<Option<Totals>, ClientError> {
        self.0.next().await
    }

    /// Ends the waits for the next totals, for good.
    pub fn stop(&self) {
        self.0.stop();
    }
}
