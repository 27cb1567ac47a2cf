//! The ceiling of streams: tonic's own server with the contract's shapes and codec, and nothing behind them. A send goes to
//! all streams of its room at once: no sign-in, no database, no rights, no limits. Two calls by their paths, not the services' traits:
//! an RPC that is added elsewhere is no change here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use anyhow::Result;
use clap::Args;
use futures_util::future::BoxFuture;
use futures_util::stream::poll_fn;
use futures_util::{Stream, StreamExt};
use madang_proto::{EncodedFrame, ServerCodec, v1};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tower::{Service, service_fn};
use uuid::Uuid;

use crate::{crowd, streams};

/// Connections that wait to be accepted, as the real server has them.
const BACKLOG: u32 = 4_096;

/// Frames that wait for a reader, as in the real server.
const MOST_FRAMES: usize = 256;

/// Which streams are in which room: the first people in the first one, and so on.
#[derive(Args, Clone, Debug)]
pub struct Layout {
    /// Serves streams without anything behind them: the ceiling of the others. For this program itself.
    #[arg(long, hide = true)]
    pub bare: bool,
    /// Number of the first room.
    #[arg(long, hide = true, default_value_t = 0)]
    first_room: usize,
    /// Streams of each.
    #[arg(long, hide = true, default_value_t = usize::MAX)]
    room_streams: usize,
}

/// Serves until this process is killed; the first line of its output is its address.
pub async fn serve(layout: Layout) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("{}", listener.local_addr()?);
    let incoming = TcpListenerStream::new(listener).inspect(|stream| {
        if let Ok(stream) = stream {
            _ = stream.set_nodelay(true);
        }
    });
    let rooms = Rooms { layout: Arc::new(layout), readers: Arc::default() };
    let server = tonic::transport::Server::builder().add_service(Connect(rooms.clone())).add_service(Send(rooms));
    Ok(server.serve_with_incoming(incoming).await?)
}

/// All streams, room by room.
#[derive(Clone, Debug)]
struct Rooms {
    layout: Arc<Layout>,
    readers: Arc<Mutex<HashMap<Uuid, Room>>>,
}

/// Streams of a room, and the number of its messages.
#[derive(Debug, Default)]
struct Room(i64, Vec<mpsc::Sender<EncodedFrame>>);

type Frames = Pin<Box<dyn Stream<Item = Result<EncodedFrame, Status>> + std::marker::Send>>;

impl Rooms {
    fn locked(&self) -> MutexGuard<'_, HashMap<Uuid, Room>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message to every stream of its room; its frame is encoded once.
    fn send(&self, request: v1::SendMessageRequest) -> v1::SendMessageResponse {
        let mut rooms = self.locked();
        let room = rooms.entry(Uuid::parse_str(&request.room_id).unwrap_or_default()).or_default();
        room.0 += 1;
        let message = stored(request, room.0);
        let frame = told(&message);
        room.1.retain(|reader| reader.try_send(frame.clone()).is_ok());
        v1::SendMessageResponse { prev_rev: message.rev - 1, rev: message.rev, message: Some(message) }
    }

    /// A stream that is told what is sent to its room from now on, and reads what its client says, as the real one does.
    fn connect(&self, request: Request<Streaming<v1::ClientFrame>>) -> Result<Frames, Status> {
        let device = request.metadata().get("madang-device-id").and_then(|id| id.to_str().ok());
        let number = device.and_then(crowd::number_of_device).ok_or_else(|| Status::unauthenticated("nobody"))?;
        let room = self.layout.first_room + number / self.layout.room_streams;
        let (reader, frames) = mpsc::channel(MOST_FRAMES);
        let drained = frame(v1::server_frame::Frame::Drained(v1::Drained { watermark: 1 }));
        reader.try_send(drained).map_err(|_| Status::internal("a new queue has room"))?;
        self.locked().entry(crowd::room_id(room)).or_default().1.push(reader);
        let (mut heard, mut frames) = (request.into_inner(), ReceiverStream::new(frames));
        Ok(Box::pin(poll_fn(move |cx| {
            while let Poll::Ready(Some(Ok(_))) = heard.poll_next_unpin(cx) {}
            frames.poll_next_unpin(cx).map(|frame| frame.map(Ok))
        })))
    }
}

/// A message as all streams are told of it.
fn told(message: &v1::Message) -> EncodedFrame {
    frame(v1::server_frame::Frame::RoomEvent(v1::RoomEvent {
        room_id: message.room_id.clone(),
        prev_rev: message.rev - 1,
        rev: message.rev,
        actor_id: message.sender_id.clone(),
        change: Some(v1::room_event::Change::Message(message.clone())),
    }))
}

/// Bytes of the frame that tells of a message of the benches.
pub fn frame_bytes() -> usize {
    told(&stored(streams::message(0), 1_000)).0.len()
}

fn frame(frame: v1::server_frame::Frame) -> EncodedFrame {
    EncodedFrame::new(&v1::ServerFrame { frame: Some(frame) })
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

/// `SyncService.Connect`.
#[derive(Clone)]
struct Connect(Rooms);

/// `MessageService.SendMessage`.
#[derive(Clone)]
struct Send(Rooms);

impl NamedService for Connect {
    const NAME: &'static str = "madang.v1.SyncService";
}

impl NamedService for Send {
    const NAME: &'static str = "madang.v1.MessageService";
}

impl Service<http::Request<Body>> for Connect {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let rooms = self.0.clone();
        let connect = service_fn(move |request: Request<Streaming<v1::ClientFrame>>| {
            let rooms = rooms.clone();
            async move { rooms.connect(request).map(Response::new) }
        });
        let mut grpc = Grpc::new(ServerCodec::<EncodedFrame, v1::ClientFrame>::default());
        Box::pin(async move { Ok(grpc.streaming(connect, request).await) })
    }
}

impl Service<http::Request<Body>> for Send {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let rooms = self.0.clone();
        let send = service_fn(move |request: Request<v1::SendMessageRequest>| {
            let rooms = rooms.clone();
            async move { Ok::<_, Status>(Response::new(rooms.send(request.into_inner()))) }
        });
        let mut grpc = Grpc::new(ServerCodec::<v1::SendMessageResponse, v1::SendMessageRequest>::default());
        Box::pin(async move { Ok(grpc.unary(send, request).await) })
    }
}
