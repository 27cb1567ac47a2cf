//! The calls of `SyncService`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use madang_proto::{EncodedFrame, servers::sync_service_server::SyncService, v1};
use tonic::{Request, Response, Status, Streaming};

use super::{
    delta::{self, Cursor, PAGE},
    frames::{self, Ears},
    open::{self, Stand},
    stream::Outgoing,
};
use crate::{
    access::Call,
    error::{Error, Reason, Refusal, Result},
    ids::{self, SessionId},
    page,
    reads::Receipts,
    realtime::{self, ClosingReason, Node, Opener, Session},
};

pub use super::frames::Renew;

/// Streams and their repair.
#[derive(Clone)]
pub struct Sync {
    node: Node,
    ears: Ears,
}

type Frames = std::pin::Pin<Box<dyn Stream<Item = Result<EncodedFrame, Status>> + Send>>;

impl Sync {
    /// The service of a node.
    pub fn new(node: Node, receipts: Receipts, renew: Renew) -> Self {
        Self { node, ears: Ears { receipts, renew } }
    }

    fn open(&self, call: Call, stand: Stand, incoming: Option<Streaming<v1::ClientFrame>>) -> Result<Frames> {
        let caller = call.caller()?;
        let opener = Opener {
            user_id: caller.user_id,
            device_id: caller.device_id,
            sid: caller.sid.clone(),
            issued_at: caller.issued_at,
            expires_at: caller.expires_at,
            connection: call.connection.clone(),
        };
        let id = SessionId(ids::new(&*self.node.clock));
        let session = Arc::new(Session::new(id, opener, self.node.database.guards()));
        if !self.node.hub.open(&session, self.node.config.streams_per_person) {
            return Ok(closing(ClosingReason::Draining, Duration::from_millis(rand::random_range(0..2_000))));
        }
        let incoming = incoming.map(|incoming| (incoming, self.ears.clone()));
        Ok(Box::pin(Outgoing::new(self.node.clone(), call, session, stand, incoming)))
    }

    fn twin(&self, call: &Call, session_id: &str, node: &str) -> Result<Option<Arc<Session>>> {
        let session = frames::own_session(&self.node, call, session_id)?;
        Ok(session.filter(|_| node == &*self.node.name).inspect(|session| session.heard()))
    }
}

/// A stream that only says why it ends.
fn closing(reason: ClosingReason, retry_after: Duration) -> Frames {
    let frame = EncodedFrame(realtime::wire::closing(reason, retry_after));
    stream::iter([Ok(frame)]).boxed()
}

/// The first frame, which must be Hello and must come soon; otherwise the last frame of the stream.
async fn hello(incoming: &mut Streaming<v1::ClientFrame>, within: Duration) -> Result<Stand, Bytes> {
    let first = tokio::time::timeout(within, incoming.next()).await;
    let first = first.map_err(|_| realtime::wire::closing(ClosingReason::HelloTimeout, Duration::ZERO))?;
    match first {
        Some(Ok(v1::ClientFrame { frame: Some(v1::client_frame::Frame::Hello(hello)) })) => {
            Stand::of(&hello).map_err(|error| realtime::wire::closing_invalid(Some(&error.into_refusal())))
        }
        Some(Err(status)) => Err(realtime::wire::closing_invalid(frames::broken(&status).as_ref())),
        Some(Ok(_)) | None => Err(realtime::wire::closing_invalid(None)),
    }
}

fn missing(field: &str) -> Error {
    Refusal::field(field, "must be present").into()
}

#[tonic::async_trait]
impl SyncService for Sync {
    type ConnectStream = Frames;
    type WatchStream = Frames;

    async fn connect(&self, request: Request<Streaming<v1::ClientFrame>>) -> Result<Response<Frames>, Status> {
        let call = Call::of(&request)?;
        let mut incoming = request.into_inner();
        let frames = match hello(&mut incoming, self.node.config.hello_timeout).await {
            Ok(stand) => self.open(call, stand, Some(incoming))?,
            Err(last) => stream::iter([Ok(EncodedFrame(last))]).boxed(),
        };
        Ok(Response::new(frames))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Frames>, Status> {
        let call = Call::of(&request)?;
        let hello = request.into_inner().hello.ok_or_else(|| missing("hello"))?;
        Ok(Response::new(self.open(call, Stand::of(&hello)?, None)?))
    }

    async fn ack(&self, request: Request<v1::AckRequest>) -> Result<Response<v1::AckResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let ack = request.ack.ok_or_else(|| missing("ack"))?;
        if let Some(session) = self.twin(&call, &request.session_id, &request.node)? {
            self.ears.ack(&self.node, &session, &ack)?;
        }
        Ok(Response::new(v1::AckResponse {}))
    }

    async fn set_focus(&self, request: Request<v1::SetFocusRequest>) -> Result<Response<v1::SetFocusResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let focus = request.focus.ok_or_else(|| missing("focus"))?;
        if let Some(session) = self.twin(&call, &request.session_id, &request.node)? {
            frames::set_focus(&self.node, &session, &focus)?;
        }
        Ok(Response::new(v1::SetFocusResponse {}))
    }

    async fn set_typing(
        &self,
        request: Request<v1::SetTypingRequest>,
    ) -> Result<Response<v1::SetTypingResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let typing = request.typing.ok_or_else(|| missing("typing"))?;
        if let Some(session) = self.twin(&call, &request.session_id, &request.node)? {
            frames::type_in(&self.node, &session, &typing)?;
        }
        Ok(Response::new(v1::SetTypingResponse {}))
    }

    async fn reauthenticate(
        &self,
        request: Request<v1::ReauthenticateRequest>,
    ) -> Result<Response<v1::ReauthenticateResponse>, Status> {
        let call = Call::of(&request)?;
        let caller = Arc::clone(call.caller()?);
        let request = request.into_inner();
        let session = self.twin(&call, &request.session_id, &request.node)?;
        let same = |opener: &Opener| opener.device_id == caller.device_id && opener.sid == caller.sid;
        let session = session.filter(|session| same(session.opener()));
        let session = session.ok_or_else(|| Error::refused(Reason::SessionElsewhere, "no such stream on this node"))?;
        session.renew_token(caller.expires_at);
        Ok(Response::new(v1::ReauthenticateResponse {}))
    }

    async fn sync_room(&self, request: Request<v1::SyncRoomRequest>) -> Result<Response<v1::SyncRoomResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let cursor = Cursor::of(&request.cursor.ok_or_else(|| missing("cursor"))?)?;
        let limit = page::size(request.limit, PAGE.0, PAGE.1);
        let delta = match open::room_delta(&self.node, &call, cursor, limit).await {
            Err(error) if error.is(Reason::RoomNotFound) || error.is(Reason::RoomEnded) => {
                open::gone_delta(&self.node, call.user_id()?, cursor.room_id).await?
            }
            answer => answer?,
        };
        Ok(Response::new(v1::SyncRoomResponse { delta: Some(delta) }))
    }

    async fn sync_user(&self, request: Request<v1::SyncUserRequest>) -> Result<Response<v1::SyncUserResponse>, Status> {
        let user_id = Call::of(&request)?.user_id()?;
        let v1::SyncUserRequest { user_rev, limit } = request.into_inner();
        let limit = page::size(limit, PAGE.0, PAGE.1);
        let read = self.node.database.snapshot(move |tx| Box::pin(delta::user(tx, user_id, user_rev, limit)));
        Ok(Response::new(v1::SyncUserResponse { delta: Some(read.await?) }))
    }
}
