//! The calls of `SyncService`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use madang_proto::{
    EncodedFrame,
    servers::sync_service_server::SyncService,
    v1::{self, client_frame::Frame},
};
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use super::{
    delta::{self, Cursor, PAGE},
    frames::{self, Ears},
    open::{self, Crowd, Stand},
    stream::Outgoing,
};
use crate::{
    access::Call,
    error::{Error, Reason, Refusal, Result},
    ids::{self, SessionId},
    page,
    reads::Receipts,
    realtime::{self, ClosingReason, Happened, Node, Opener, Session},
};

pub use super::frames::Renew;

/// Streams and their repair.
#[derive(Clone)]
pub struct Sync {
    node: Node,
    crowd: Crowd,
    ears: Ears,
}

type Frames = std::pin::Pin<Box<dyn Stream<Item = Result<EncodedFrame, Status>> + Send>>;

impl Sync {
    /// The service of a node.
    pub fn new(node: Node, receipts: Receipts, renew: Renew) -> Self {
        Self { crowd: Crowd::start(&node), node, ears: Ears { receipts, renew } }
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
        let session =
            Arc::new(Session::new(id, opener, self.node.database.guards(), Arc::clone(self.node.hub.record())));
        if !self.node.open(&session) {
            return Ok(closing(ClosingReason::Draining, Duration::from_millis(rand::random_range(0..2_000))));
        }
        let incoming = incoming.map(|incoming| (incoming, self.ears.clone()));
        Ok(Box::pin(Outgoing::new(self.node.clone(), self.crowd.clone(), call, session, stand, incoming)))
    }

    /// Hears a frame that a call stands for: on the caller's own stream here, or on the node where the client says it is.
    /// One that reaches no stream is dropped.
    fn hear_twin(
        &self,
        call: &Call,
        (session_id, node): (&str, &str),
        frame: Frame,
        hear: impl FnOnce(&Arc<Session>) -> Result<()>,
    ) -> Result<()> {
        let user_id = call.user_id()?;
        let session_id = session_id_of(session_id)?;
        if node != &*self.node.name {
            let frame = v1::ClientFrame { frame: Some(frame) }.encode_to_vec().into();
            self.node.bus.tell_stream(node, user_id, session_id, frame);
            return Ok(());
        }
        match frames::own_session(&self.node, user_id, session_id) {
            Some(session) => hear(&session),
            None => Ok(()),
        }
    }
}

fn session_id_of(text: &str) -> Result<SessionId> {
    SessionId::parse(text).ok_or_else(|| Refusal::field("session_id", "must be a UUID").into())
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
        Some(Ok(v1::ClientFrame { frame: Some(Frame::Hello(hello)) })) => Stand::of(&hello)
            .map_err(|error| realtime::wire::closing_refused(ClosingReason::InvalidFrame, Some(&error.into_refusal()))),
        Some(Err(status)) => {
            Err(realtime::wire::closing_refused(ClosingReason::InvalidFrame, frames::broken(&status).as_ref()))
        }
        Some(Ok(_)) | None => Err(realtime::wire::closing_refused(ClosingReason::InvalidFrame, None)),
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
        let hear = |session: &Arc<Session>| frames::ack(&self.node, &self.ears.receipts, session, &ack);
        self.hear_twin(&call, (&request.session_id, &request.node), Frame::Ack(ack.clone()), hear)?;
        Ok(Response::new(v1::AckResponse {}))
    }

    async fn set_focus(&self, request: Request<v1::SetFocusRequest>) -> Result<Response<v1::SetFocusResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let focus = request.focus.ok_or_else(|| missing("focus"))?;
        let hear = |session: &Arc<Session>| {
            frames::set_focus(&self.node, session, &focus);
            Ok(())
        };
        self.hear_twin(&call, (&request.session_id, &request.node), Frame::Focus(focus.clone()), hear)?;
        Ok(Response::new(v1::SetFocusResponse {}))
    }

    async fn set_typing(
        &self,
        request: Request<v1::SetTypingRequest>,
    ) -> Result<Response<v1::SetTypingResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let typing = request.typing.ok_or_else(|| missing("typing"))?;
        let hear = |session: &Arc<Session>| frames::type_in(&self.node, session, &typing);
        self.hear_twin(&call, (&request.session_id, &request.node), Frame::Typing(typing.clone()), hear)?;
        Ok(Response::new(v1::SetTypingResponse {}))
    }

    async fn reauthenticate(
        &self,
        request: Request<v1::ReauthenticateRequest>,
    ) -> Result<Response<v1::ReauthenticateResponse>, Status> {
        let call = Call::of(&request)?;
        let caller = Arc::clone(call.caller()?);
        let request = request.into_inner();
        let session = frames::own_session(&self.node, caller.user_id, session_id_of(&request.session_id)?);
        let same = |opener: &Opener| opener.device_id == caller.device_id && opener.sid == caller.sid;
        let session = session.filter(|session| request.node == *self.node.name && same(session.opener()));
        let session = session.ok_or_else(|| Error::refused(Reason::SessionElsewhere, "no such stream on this node"))?;
        session.token().renew(self.node.clock.now(), caller.expires_at);
        Ok(Response::new(v1::ReauthenticateResponse {}))
    }

    async fn sync_room(&self, request: Request<v1::SyncRoomRequest>) -> Result<Response<v1::SyncRoomResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let cursor = Cursor::of(&request.cursor.ok_or_else(|| missing("cursor"))?)?;
        let limit = page::size(request.limit, PAGE.0, PAGE.1);
        let delta = open::room_delta_or_gone(&self.node, &call, cursor, limit).await?;
        let (caller, to_rev) = (call.caller()?, open::told_rev(&delta));
        let fetched = Happened::Fetched(cursor.room_id, cursor.rev, to_rev);
        self.node.hub.record().note(None, caller.user_id, caller.device_id, fetched);
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
