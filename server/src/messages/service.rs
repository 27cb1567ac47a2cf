//! The calls of `MessageService`.

use chrono::{DateTime, Utc};
use madang_proto::{servers::message_service_server::MessageService, v1};
use sqlx::postgres::PgConnection;
use tonic::{Request, Response, Status};

use super::{Writer, store, wire};
use crate::{
    access::{self, Call, RoomAccess},
    error::{Error, Reason, Refusal, Result},
    ids::RoomId,
    limits::{Class, Who},
    page,
    realtime::{Changes, Node},
    rooms,
    timeline::{self, Item},
};

/// Pages of messages (contract).
const PAGE: (i64, i64) = (50, 200);
/// A page ends here even below its size (contract).
const PAGE_BYTES: usize = 512 * 1024;

/// Messages.
#[derive(Debug, Clone)]
pub struct Messages {
    node: Node,
    writer: Writer,
}

/// A changed item and the span of the change; both numbers 0 when nothing changed.
type Changed = (Item, i64, i64);

impl Messages {
    /// The service of a node.
    pub fn new(node: Node, writer: Writer) -> Self {
        Self { node, writer }
    }

    async fn edit(&self, call: Call, room_id: RoomId, request: v1::EditMessageRequest) -> Result<Changed> {
        let node = self.node.clone();
        self.node
            .change(move |tx| {
                let (node, call, request) = (node.clone(), call.clone(), request.clone());
                Box::pin(async move {
                    let mut access = access::lock_room(tx, &call, room_id, node.database.guards()).await?;
                    let item = own_text(tx, &access, request.seq).await?;
                    let seq = item.seq;
                    let metadata = timeline::wire::message(&item).metadata;
                    let edit = wire::edit(request, metadata, &*node.clock)?;
                    let mentioned: Vec<_> = item.mentioned.iter().flatten().map(|id| crate::ids::UserId(*id)).collect();
                    let same = edit.text == item.text
                        && edit.format == item.format
                        && edit.extra == item.extra
                        && edit.mentioned == mentioned
                        && edit.mention_all == item.mentions_all;
                    if same {
                        return Ok(((item, 0, 0), Changes::default()));
                    }
                    let item = store::update_body(tx, &mut access, seq, &edit).await?;
                    finish(tx, &access, item).await
                })
            })
            .await
    }

    async fn delete(&self, call: Call, room_id: RoomId, seq: i64) -> Result<Changed> {
        let node = self.node.clone();
        self.node
            .change(move |tx| {
                let (node, call) = (node.clone(), call.clone());
                Box::pin(async move {
                    let mut access = access::lock_room(tx, &call, room_id, node.database.guards()).await?;
                    let item = store::find(tx, &access, seq).await?.ok_or_else(|| not_found(seq))?;
                    if item.is_system() {
                        return Err(not_editable(seq));
                    }
                    if item.sender_id != access.user_id() && !access.is_admin() {
                        return Err(not_the_sender(seq));
                    }
                    if item.is_deleted() {
                        return Ok(((item, 0, 0), Changes::default()));
                    }
                    let item = store::update_deleted(tx, &mut access, seq, node.clock.now()).await?;
                    finish(tx, &access, item).await
                })
            })
            .await
    }
}

/// A text of the caller's own that can still be changed.
async fn own_text(tx: &mut PgConnection, access: &RoomAccess, seq: i64) -> Result<Item> {
    let item = store::find(tx, access, seq).await?.ok_or_else(|| not_found(seq))?;
    if item.is_system() {
        return Err(not_editable(seq));
    }
    if item.sender_id != access.user_id() {
        return Err(not_the_sender(seq));
    }
    if item.is_deleted() {
        return Err(Refusal::new(Reason::MessageDeleted, "the message was deleted").with("seq", seq).into());
    }
    Ok(item)
}

async fn finish(tx: &mut PgConnection, access: &RoomAccess, item: Item) -> Result<(Changed, Changes)> {
    rooms::store::save(tx, access).await?;
    let event = timeline::wire::publish_item(access.room_id(), access.user_id(), &item);
    let changes = Changes { rooms: vec![event], ..Changes::default() };
    Ok(((item.clone(), item.rev - 1, item.rev), changes))
}

fn not_found(seq: i64) -> Error {
    Refusal::new(Reason::MessageNotFound, "no such message").with("seq", seq).into()
}

fn not_the_sender(seq: i64) -> Error {
    Refusal::new(Reason::NotTheSender, "only the sender may change a message").with("seq", seq).into()
}

fn not_editable(seq: i64) -> Error {
    Refusal::new(Reason::MessageNotEditable, "notices cannot be changed").with("seq", seq).into()
}

fn room_id(text: &str) -> Result<RoomId> {
    RoomId::parse(text).ok_or_else(Error::room_not_found)
}

/// A page, oldest first, and whether there is more on either side.
struct Page {
    items: Vec<Item>,
    rev: i64,
    has_before: bool,
    has_after: bool,
}

async fn read_page(tx: &mut PgConnection, access: &RoomAccess, request: &v1::ListMessagesRequest) -> Result<Page> {
    use v1::list_messages_request::Position;
    let size = page::size(request.page_size, PAGE.0, PAGE.1);
    let items = match request.position {
        Some(Position::AfterSeq(seq)) => within_bytes(store::list_after(tx, access, seq, size).await?),
        Some(Position::AroundSeq(seq)) => around(tx, access, seq, size).await?,
        Some(Position::BeforeSeq(seq)) => newest_first(store::list_before(tx, access, seq, size).await?),
        Some(Position::FromTime(time)) => match first_since(tx, access, wire::time(&time)).await? {
            Some(seq) => around(tx, access, seq, size).await?,
            None => newest_first(store::list_before(tx, access, i64::MAX, size).await?),
        },
        None => newest_first(store::list_before(tx, access, i64::MAX, size).await?),
    };
    let (first, last) = (items.first().map(|item| item.seq), items.last().map(|item| item.seq));
    Ok(Page {
        has_before: first.is_some_and(|seq| seq > access.history_from_seq()),
        has_after: last.is_some_and(|seq| seq < access.room().seq),
        rev: access.room().rev,
        items,
    })
}

/// The items below take half the bytes at most, so that the item itself always fits.
async fn around(tx: &mut PgConnection, access: &RoomAccess, seq: i64, size: i64) -> Result<Vec<Item>> {
    let mut below = store::list_before(tx, access, seq, size / 2).await?;
    below.truncate(fitting(&below, PAGE_BYTES / 2));
    below.reverse();
    let rest = size - i64::try_from(below.len()).unwrap_or(size);
    below.extend(store::list_after(tx, access, seq - 1, rest).await?);
    Ok(within_bytes(below))
}

/// The first item of a time or after it. Times rise with positions, but for clocks that are set: halving finds it by the
/// primary key in at most 63 steps.
async fn first_since(tx: &mut PgConnection, access: &RoomAccess, time: DateTime<Utc>) -> Result<Option<i64>> {
    let end = access.room().seq + 1;
    let (mut low, mut high) = (access.history_from_seq().min(end), end);
    while low < high {
        let middle = low + (high - low) / 2;
        if store::find_created_at(tx, access, middle).await?.is_none_or(|created_at| created_at < time) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok((low < end).then_some(low))
}

/// Keeps the newest that fit, oldest first.
fn newest_first(items: Vec<Item>) -> Vec<Item> {
    let mut items = within_bytes(items);
    items.reverse();
    items
}

/// Keeps the first that fit into a page, at least one.
fn within_bytes(mut items: Vec<Item>) -> Vec<Item> {
    items.truncate(fitting(&items, PAGE_BYTES).max(1));
    items
}

/// How many of the first items have no more bytes together.
fn fitting(items: &[Item], most: usize) -> usize {
    let mut bytes = 0;
    let fits = items.iter().take_while(|item| {
        bytes += 200 + item.text.len() + item.extra.as_ref().map_or(0, Vec::len);
        bytes <= most
    });
    fits.count()
}

#[tonic::async_trait]
impl MessageService for Messages {
    async fn send_message(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<v1::SendMessageResponse>, Status> {
        let call = Call::of(&request)?;
        let draft = wire::draft(call.user_id()?, request.into_inner(), &*self.node.clock)?;
        self.node.limits.take(Class::RoomSend, Who::Room(draft.room_id))?;
        let sent = self.writer.send(draft, call.deadline).await?;
        let message = timeline::wire::message(&sent.item);
        Ok(Response::new(v1::SendMessageResponse { message: Some(message), prev_rev: sent.prev_rev, rev: sent.rev }))
    }

    async fn get_message(
        &self,
        request: Request<v1::GetMessageRequest>,
    ) -> Result<Response<v1::GetMessageResponse>, Status> {
        let (call, id, seq) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?, request.get_ref().seq);
        let guards = self.node.database.guards();
        let read = self.node.database.snapshot(move |tx| {
            let call = call.clone();
            Box::pin(async move {
                let access = access::room(tx, &call, id, guards).await?;
                store::find(tx, &access, seq).await?.ok_or_else(|| not_found(seq))
            })
        });
        Ok(Response::new(v1::GetMessageResponse { message: Some(timeline::wire::message(&read.await?)) }))
    }

    async fn list_messages(
        &self,
        request: Request<v1::ListMessagesRequest>,
    ) -> Result<Response<v1::ListMessagesResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        let request = request.into_inner();
        let guards = self.node.database.guards();
        let read = self.node.database.snapshot(move |tx| {
            let (call, request) = (call.clone(), request.clone());
            Box::pin(async move {
                let access = access::room(tx, &call, id, guards).await?;
                read_page(tx, &access, &request).await
            })
        });
        let page = read.await?;
        guards.pass("page_read").await;
        Ok(Response::new(v1::ListMessagesResponse {
            messages: page.items.iter().map(timeline::wire::message).collect(),
            snapshot_rev: page.rev,
            has_before: page.has_before,
            has_after: page.has_after,
        }))
    }

    async fn edit_message(
        &self,
        request: Request<v1::EditMessageRequest>,
    ) -> Result<Response<v1::EditMessageResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        let (item, prev_rev, rev) = self.edit(call, id, request.into_inner()).await?;
        Ok(Response::new(v1::EditMessageResponse { message: Some(timeline::wire::message(&item)), prev_rev, rev }))
    }

    async fn delete_message(
        &self,
        request: Request<v1::DeleteMessageRequest>,
    ) -> Result<Response<v1::DeleteMessageResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        let (item, prev_rev, rev) = self.delete(call, id, request.get_ref().seq).await?;
        Ok(Response::new(v1::DeleteMessageResponse { message: Some(timeline::wire::message(&item)), prev_rev, rev }))
    }
}
