//! Clients of the benches: connections, messages, and live streams that only count what arrives. They are as cheap as can
//! be, because they run on the cores of the server that is measured.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Buf;
use futures_util::StreamExt;
use madang_devstack::server_process::Launch;
use madang_proto::v1::{self, client_frame};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstEncoder;
use uuid::Uuid;

use crate::Plan;
use crate::crowd::{self, Somebody};

/// Connections from one address of 127.0.0.0/8: the kernel gives 28,000 ports to each.
const PER_ADDRESS: usize = 10_000;

/// Time between two acknowledgements, as the contract asks.
const ACK: Duration = Duration::from_secs(20);

/// Streams that are opened at once.
const OPENING: usize = 64;

/// Buffers of a client's stream.
const BUFFERS: (usize, usize) = (512, 32 * 1024);

/// More messages than are ever in flight.
const RING: usize = 1_024;

/// Numbers of the fields of `ServerFrame`.
const ROOM_EVENT: u8 = 4;
const DRAINED: u8 = 8;
const HEARTBEAT: u8 = 10;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The real server with the limits of people out of the way; all else is as it comes.
pub fn launch(plan: &Plan, database_url: &str, issuer_url: &str) -> Launch {
    Launch::new(&plan.server, database_url, issuer_url, &plan.folder.join("server.log"))
        .with("MADANG_RATE_SEND", "1000000/s burst 1000000")
        .with("MADANG_RATE_ROOM_SEND", "1000000/s burst 1000000")
        .with("MADANG_RATE_READ", "1000000/s burst 1000000")
        .with("MADANG_CALLS_IN_FLIGHT_PER_PERSON", "10000")
}

/// A connection of its own.
pub async fn connect(address: SocketAddr, number: usize) -> Result<Channel> {
    let host = 1 + u8::try_from(number / PER_ADDRESS).context("too many connections")?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .local_address(Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host))))
        .tcp_nodelay(true);
    endpoint.connect().await.with_context(|| format!("connection {number} to {address}"))
}

/// A message to a room, as an app sends it.
pub fn message(room: usize) -> v1::SendMessageRequest {
    v1::SendMessageRequest {
        room_id: crowd::room_id(room).to_string(),
        client_message_id: Uuid::now_v7().to_string(),
        body: Some(v1::MessageBody { text: crowd::text(), format: v1::BodyFormat::Plain.into(), ..Default::default() }),
        ..Default::default()
    }
}

/// What has arrived at all streams of one server.
#[derive(Debug)]
pub struct Tally {
    streams: u32,
    events: AtomicU64,
    bytes: AtomicU64,
    drained: AtomicU64,
    heartbeats: AtomicU64,
    ended: AtomicU64,
    /// How many streams a message has reached, by its place.
    reached: Vec<AtomicU32>,
    window: Semaphore,
    sent: Mutex<VecDeque<Instant>>,
    times: Mutex<Vec<f64>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    fn new(streams: usize) -> Result<Self> {
        Ok(Self {
            streams: u32::try_from(streams)?,
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            heartbeats: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            reached: (0..RING).map(|_| AtomicU32::new(0)).collect(),
            window: Semaphore::new(0),
            sent: Mutex::default(),
            times: Mutex::default(),
        })
    }

    /// Events that have arrived, and their bytes.
    pub fn arrived(&self) -> (u64, u64) {
        (self.events.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Lets so many messages be under way at once.
    pub fn open_window(&self, messages: usize) {
        locked(&self.times).clear();
        self.window.add_permits(messages);
    }

    /// Waits until another message may be sent; it is under way from here on.
    pub async fn next(&self) -> Result<()> {
        let permit = tokio::time::timeout(PATIENCE, self.window.acquire()).await;
        permit.map_err(|_| anyhow::anyhow!(self.stuck()))??.forget();
        locked(&self.sent).push_back(Instant::now());
        Ok(())
    }

    /// Waits until every message has reached every stream; gives the times that they took, in seconds.
    pub async fn close_window(&self, messages: usize) -> Result<Vec<f64>> {
        let all = tokio::time::timeout(PATIENCE, self.window.acquire_many(u32::try_from(messages)?)).await;
        all.map_err(|_| anyhow::anyhow!(self.stuck()))??.forget();
        Ok(std::mem::take(&mut *locked(&self.times)))
    }

    fn stuck(&self) -> String {
        let ended = self.ended.load(Ordering::Relaxed);
        format!(
            "a message has not reached all {} streams within {PATIENCE:?}; {ended} streams have ended",
            self.streams
        )
    }

    fn take(&self, frame: &Told, events: &mut usize) {
        match frame.field {
            ROOM_EVENT => {
                self.events.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(frame.bytes, Ordering::Relaxed);
                self.reach(*events % RING);
                *events += 1;
            }
            DRAINED => _ = self.drained.fetch_add(1, Ordering::Relaxed),
            HEARTBEAT => _ = self.heartbeats.fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Every stream gets the messages in one order, so the same place is the same message.
    fn reach(&self, place: usize) {
        if self.reached[place].fetch_add(1, Ordering::AcqRel) + 1 == self.streams {
            self.reached[place].store(0, Ordering::Release);
            if let Some(sent) = locked(&self.sent).pop_front() {
                locked(&self.times).push(sent.elapsed().as_secs_f64());
            }
            self.window.add_permits(1);
        }
    }

    async fn wait_for(&self, count: &AtomicU64, what: &str) -> Result<()> {
        let began = Instant::now();
        while count.load(Ordering::Relaxed) < u64::from(self.streams) {
            let ended = self.ended.load(Ordering::Relaxed);
            if ended > 0 || began.elapsed() > PATIENCE {
                bail!("not every stream got {what}; {ended} have ended");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Live streams, each with a connection of its own. They end with the value.
pub struct Streams {
    /// What arrives.
    pub tally: Arc<Tally>,
    tasks: JoinSet<()>,
    mouths: Arc<Mutex<Vec<mpsc::Sender<v1::ClientFrame>>>>,
}

impl Streams {
    /// Opens one for each of these people, and waits until they are live.
    pub async fn open(address: SocketAddr, people: &[Somebody]) -> Result<Self> {
        let tally = Arc::new(Tally::new(people.len())?);
        let mut streams = Self { tally: Arc::clone(&tally), tasks: JoinSet::new(), mouths: Arc::default() };
        streams.add(address, people).await?;
        streams.tasks.spawn(acknowledge(Arc::clone(&streams.mouths)));
        tally.wait_for(&tally.drained, "Drained").await?;
        Ok(streams)
    }

    async fn add(&mut self, address: SocketAddr, people: &[Somebody]) -> Result<()> {
        let opening = people.iter().enumerate().map(|(number, somebody)| open(address, number, somebody));
        let mut opening = futures_util::stream::iter(opening).buffer_unordered(OPENING);
        while let Some(opened) = opening.next().await {
            let (mouth, frames) = opened?;
            locked(&self.mouths).push(mouth);
            self.tasks.spawn(listen(frames, Arc::clone(&self.tally)));
        }
        Ok(())
    }

    /// Waits until each has had a heartbeat: from then on it has done all that an idle stream does.
    pub async fn wait_for_heartbeats(&self) -> Result<()> {
        self.tally.wait_for(&self.tally.heartbeats, "a heartbeat").await
    }
}

type Frames = tonic::Streaming<Told>;

async fn open(
    address: SocketAddr,
    number: usize,
    somebody: &Somebody,
) -> Result<(mpsc::Sender<v1::ClientFrame>, Frames)> {
    let mut client = Grpc::new(connect(address, number).await?);
    client.ready().await?;
    let (mouth, said) = mpsc::channel(2);
    mouth.send(frame(client_frame::Frame::Hello(v1::Hello::default()))).await?;
    let path = PathAndQuery::from_static("/madang.v1.SyncService/Connect");
    let response = client.streaming(somebody.sign(ReceiverStream::new(said))?, path, Counting).await;
    Ok((mouth, response.with_context(|| format!("stream {number}"))?.into_inner()))
}

fn frame(frame: client_frame::Frame) -> v1::ClientFrame {
    v1::ClientFrame { frame: Some(frame) }
}

async fn listen(mut frames: Frames, tally: Arc<Tally>) {
    let mut events = 0;
    while let Some(Ok(frame)) = frames.next().await {
        tally.take(&frame, &mut events);
    }
    tally.ended.fetch_add(1, Ordering::Relaxed);
}

async fn acknowledge(mouths: Arc<Mutex<Vec<mpsc::Sender<v1::ClientFrame>>>>) {
    loop {
        tokio::time::sleep(ACK).await;
        for mouth in &*locked(&mouths) {
            // A stream that takes none is found by its own silence.
            _ = mouth.try_send(frame(client_frame::Frame::Ack(v1::Ack::default())));
        }
    }
}

/// Encodes what a client says; of what it is told it reads the first byte.
#[derive(Debug, Default)]
struct Counting;

/// A frame's kind and size.
#[derive(Debug)]
struct Told {
    field: u8,
    bytes: u64,
}

impl Codec for Counting {
    type Encode = v1::ClientFrame;
    type Decode = Told;
    type Encoder = ProstEncoder<v1::ClientFrame>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFERS.0, BUFFERS.1))
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Decoder for Counting {
    type Item = Told;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Told>, Status> {
        let told = Told { field: bytes.chunk().first().map_or(0, |tag| tag >> 3), bytes: bytes.remaining() as u64 };
        bytes.advance(bytes.remaining());
        Ok(Some(told))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFERS.0, BUFFERS.1)
    }
}
