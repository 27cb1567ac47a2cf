//! The calls of `ReadService`.

use madang_proto::{servers::read_service_server::ReadService, v1};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Receipts, store};
use crate::{
    access::{self, Call},
    error::{Error, Result},
    ids::RoomId,
    messages::{Mark, Marked, Writer},
    page,
    realtime::Node,
    rooms,
};

/// Pages of receipts; as for members (contract).
const PAGE: (i64, i64) = (100, 500);

/// Read marks and receipts.
#[derive(Debug, Clone)]
pub struct Reads {
    node: Node,
    writer: Writer,
    receipts: Receipts,
}

impl Reads {
    /// The service of a node.
    pub fn new(node: Node, writer: Writer, receipts: Receipts) -> Self {
        Self { node, writer, receipts }
    }

    async fn move_mark(&self, call: &Call, mark: Mark) -> Result<(v1::Membership, i64)> {
        let Marked { member, mentions, prev_user_rev, member_count } = self.writer.mark(mark, call.deadline).await?;
        if prev_user_rev > 0 && !mark.unread && self.receipts.tells_reads(member_count) {
            self.receipts.read(member.room_id, member.user_id);
        }
        Ok((rooms::wire::membership(&member, mentions), prev_user_rev))
    }
}

fn room_id(text: &str) -> Result<RoomId> {
    RoomId::parse(text).ok_or_else(Error::room_not_found)
}

#[tonic::async_trait]
impl ReadService for Reads {
    async fn mark_read(&self, request: Request<v1::MarkReadRequest>) -> Result<Response<v1::MarkReadResponse>, Status> {
        let call = Call::of(&request)?;
        let v1::MarkReadRequest { room_id: id, seq, generation } = request.into_inner();
        let mark = Mark { room_id: room_id(&id)?, user_id: call.user_id()?, seq, generation, unread: false };
        let (membership, prev_user_rev) = self.move_mark(&call, mark).await?;
        Ok(Response::new(v1::MarkReadResponse { membership: Some(membership), prev_user_rev }))
    }

    async fn mark_unread(
        &self,
        request: Request<v1::MarkUnreadRequest>,
    ) -> Result<Response<v1::MarkUnreadResponse>, Status> {
        let call = Call::of(&request)?;
        let v1::MarkUnreadRequest { room_id: id, seq, generation } = request.into_inner();
        let mark = Mark { room_id: room_id(&id)?, user_id: call.user_id()?, seq, generation, unread: true };
        let (membership, prev_user_rev) = self.move_mark(&call, mark).await?;
        Ok(Response::new(v1::MarkUnreadResponse { membership: Some(membership), prev_user_rev }))
    }

    async fn get_unread(
        &self,
        request: Request<v1::GetUnreadRequest>,
    ) -> Result<Response<v1::GetUnreadResponse>, Status> {
        let user_id = Call::of(&request)?.user_id()?;
        let read = self.node.database.snapshot(move |tx| Box::pin(store::totals(tx, user_id)));
        let (unread, mentions, rooms) = read.await?;
        Ok(Response::new(v1::GetUnreadResponse { unread, mentions, rooms }))
    }

    async fn list_receipts(
        &self,
        request: Request<v1::ListReceiptsRequest>,
    ) -> Result<Response<v1::ListReceiptsResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        let size = page::size(request.get_ref().page_size, PAGE.0, PAGE.1);
        let after = match page::after(&request.get_ref().page_token, 1)? {
            Some(key) => Some(Uuid::try_parse(&key[0]).map_err(|_| page::invalid())?),
            None => None,
        };
        let guards = self.node.database.guards();
        let read = self.node.database.snapshot(move |tx| {
            let call = call.clone();
            Box::pin(async move {
                let access = access::room(tx, &call, id, guards).await?;
                Ok((store::list(tx, &access, after, size).await?, access.room().rev))
            })
        });
        let (members, snapshot_rev) = read.await?;
        let last = members.last().filter(|_| members.len() == usize::try_from(size).unwrap_or(0));
        Ok(Response::new(v1::ListReceiptsResponse {
            next_page_token: last.map(|m| page::token(&[&m.user_id.to_string()])).unwrap_or_default(),
            receipts: members.iter().map(rooms::wire::receipt).collect(),
            snapshot_rev,
        }))
    }
}
