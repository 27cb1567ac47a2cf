//! The ceiling of streams: tonic's own server with the contract's shapes and codec, and nothing behind them. A send goes to
//! all streams at once: no sign-in, no database, no rights, no limits.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures_util::{Stream, StreamExt};
use madang_proto::servers::message_service_server::{MessageService, MessageServiceServer};
use madang_proto::servers::sync_service_server::{SyncService, SyncServiceServer};
use madang_proto::{EncodedFrame, v1};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Connections that wait to be accepted, as the real server has them.
const BACKLOG: u32 = 4_096;

/// Frames that wait for a reader, as in the real server.
const MOST_FRAMES: usize = 256;

/// Serves until this process is killed; the first line of its output is its address.
#[expect(clippy::print_stdout, reason = "its parent reads the address")]
pub async fn serve() -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG).context("listen")?;
    println!("{}", listener.local_addr()?);
    let incoming = TcpListenerStream::new(listener).inspect(|stream| {
        if let Ok(stream) = stream {
            _ = stream.set_nodelay(true);
        }
    });
    let bare = Bare::default();
    let server = tonic::transport::Server::builder()
        .add_service(SyncServiceServer::new(bare.clone()))
        .add_service(MessageServiceServer::new(bare));
    server.serve_with_incoming(incoming).await.context("serve")
}

type Reader = mpsc::Sender<EncodedFrame>;

/// All streams.
#[derive(Clone, Debug, Default)]
struct Bare {
    room: Arc<Mutex<Room>>,
}

#[derive(Debug, Default)]
struct Room {
    seq: i64,
    readers: Vec<Reader>,
}

impl Bare {
    /// The frame is encoded once.
    fn publish(&self, request: v1::SendMessageRequest) -> v1::SendMessageResponse {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.seq += 1;
        let rev = room.seq + 1;
        let message = stored(request, room.seq);
        let event = v1::RoomEvent {
            room_id: message.room_id.clone(),
            prev_rev: rev - 1,
            rev,
            actor_id: message.sender_id.clone(),
            change: Some(v1::room_event::Change::Message(message.clone())),
        };
        let frame = EncodedFrame::new(&v1::ServerFrame { frame: Some(v1::server_frame::Frame::RoomEvent(event)) });
        room.readers.retain(|reader| reader.try_send(frame.clone()).is_ok());
        v1::SendMessageResponse { message: Some(message), prev_rev: rev - 1, rev }
    }
}

/// A message as the real server would store it.
fn stored(request: v1::SendMessageRequest, seq: i64) -> v1::Message {
    v1::Message {
        sender_id: request.room_id.clone(),
        room_id: request.room_id,
        seq,
        rev: seq + 1,
        count: seq,
        client_message_id: request.client_message_id,
        created_at: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 123_456_000 }),
        kind: v1::MessageKind::Text.into(),
        body: request.body,
        ..Default::default()
    }
}

fn not_here<T>() -> Result<T, Status> {
    Err(Status::unimplemented("a bare server"))
}

#[tonic::async_trait]
impl MessageService for Bare {
    async fn send_message(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<v1::SendMessageResponse>, Status> {
        Ok(Response::new(self.publish(request.into_inner())))
    }

    async fn get_message(&self, _: Request<v1::GetMessageRequest>) -> Result<Response<v1::GetMessageResponse>, Status> {
        not_here()
    }

    async fn list_messages(
        &self,
        _: Request<v1::ListMessagesRequest>,
    ) -> Result<Response<v1::ListMessagesResponse>, Status> {
        not_here()
    }

    async fn edit_message(
        &self,
        _: Request<v1::EditMessageRequest>,
    ) -> Result<Response<v1::EditMessageResponse>, Status> {
        not_here()
    }

    async fn delete_message(
        &self,
        _: Request<v1::DeleteMessageRequest>,
    ) -> Result<Response<v1::DeleteMessageResponse>, Status> {
        not_here()
    }
}

type Frames = Pin<Box<dyn Stream<Item = Result<EncodedFrame, Status>> + Send>>;

#[tonic::async_trait]
impl SyncService for Bare {
    type ConnectStream = Frames;
    type WatchStream = Frames;

    async fn connect(&self, request: Request<Streaming<v1::ClientFrame>>) -> Result<Response<Frames>, Status> {
        let (reader, frames) = mpsc::channel(MOST_FRAMES);
        let drained = v1::server_frame::Frame::Drained(v1::Drained { watermark: 1 });
        let drained = EncodedFrame::new(&v1::ServerFrame { frame: Some(drained) });
        reader.try_send(drained).map_err(|_| Status::internal("a new queue is empty"))?;
        self.room.lock().unwrap_or_else(PoisonError::into_inner).readers.push(reader);
        // What the client says is read beside what it is told, as the real server does.
        let mut heard = request.into_inner();
        let mut frames = ReceiverStream::new(frames);
        let both = futures_util::stream::poll_fn(move |cx| {
            while let std::task::Poll::Ready(Some(_)) = heard.poll_next_unpin(cx) {}
            frames.poll_next_unpin(cx).map(|frame| frame.map(Ok))
        });
        Ok(Response::new(Box::pin(both)))
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Frames>, Status> {
        not_here()
    }

    async fn ack(&self, _: Request<v1::AckRequest>) -> Result<Response<v1::AckResponse>, Status> {
        not_here()
    }

    async fn set_focus(&self, _: Request<v1::SetFocusRequest>) -> Result<Response<v1::SetFocusResponse>, Status> {
        not_here()
    }

    async fn set_typing(&self, _: Request<v1::SetTypingRequest>) -> Result<Response<v1::SetTypingResponse>, Status> {
        not_here()
    }

    async fn reauthenticate(
        &self,
        _: Request<v1::ReauthenticateRequest>,
    ) -> Result<Response<v1::ReauthenticateResponse>, Status> {
        not_here()
    }

    async fn sync_room(&self, _: Request<v1::SyncRoomRequest>) -> Result<Response<v1::SyncRoomResponse>, Status> {
        not_here()
    }

    async fn sync_user(&self, _: Request<v1::SyncUserRequest>) -> Result<Response<v1::SyncUserResponse>, Status> {
        not_here()
    }
}
