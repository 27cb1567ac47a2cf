//! Clients of the benches: connections, messages, and live streams that only count what arrives. They are as cheap as can
//! be, because they run on the cores of the server that is measured.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Buf;
use futures_util::StreamExt;
use hyper_util::rt::TokioIo;
use madang_devstack::server_process::Launch;
use madang_proto::v1::{self, client_frame};
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstEncoder;
use tower::service_fn;
use uuid::Uuid;

use crate::Plan;
use crate::crowd::{self, Somebody};

/// Connections from one address. A closed one keeps its port for a minute, and looking for a free one takes the longer the
/// fewer there are: a crowd of 5,000 that came for the fifth time in a minute took eight seconds for its connections alone.
const PER_ADDRESS: usize = 1_000;

/// Time between two acknowledgements, as the contract asks.
const ACK: Duration = Duration::from_secs(20);

/// Streams that are opened at once.
const OPENING: usize = 64;

/// Buffers of a client's stream.
const BUFFERS: (usize, usize) = (512, 32 * 1024);

/// More messages than are ever in flight.
const RING: usize = 1_024;

/// Numbers of the fields of `ServerFrame`.
const ROOM_DELTA: u8 = 3;
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

/// Where a server listens, and with what it is spoken to.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl From<SocketAddr> for Door {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl Door {
    /// The same by TLS.
    pub fn with_tls(address: SocketAddr, tls: TlsConnector) -> Self {
        Self { address, tls: Some(tls) }
    }
}

/// A connection of its own.
pub async fn connect(door: impl Into<Door>, number: usize) -> Result<Channel> {
    let Door { address, tls } = door.into();
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .local_address(Some(IpAddr::V4(from(number)?)))
        .tcp_nodelay(true);
    let connected = match tls {
        None => endpoint.connect().await,
        Some(tls) => {
            endpoint.connect_with_connector(service_fn(move |_| speak_tls(tls.clone(), address, number))).await
        }
    };
    connected.with_context(|| format!("connection {number} to {address}"))
}

async fn speak_tls(
    tls: TlsConnector,
    address: SocketAddr,
    number: usize,
) -> std::io::Result<TokioIo<TlsStream<TcpStream>>> {
    let line = line(address, number).await.map_err(std::io::Error::other)?;
    let name = ServerName::IpAddress(address.ip().into());
    Ok(TokioIo::new(tls.connect(name, line).await?))
}

/// The same without HTTP/2.
pub async fn line(address: SocketAddr, number: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from(number)?, 0).into())?;
    let stream = socket.connect(address).await.with_context(|| format!("connection {number} to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The address that a connection comes from.
fn from(number: usize) -> Result<Ipv4Addr> {
    let host = 1 + u8::try_from(number / PER_ADDRESS).context("too many connections")?;
    Ok(Ipv4Addr::new(127, 0, 0, host))
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

/// The same, which tells when it was sent.
pub fn stamped(room: usize) -> v1::SendMessageRequest {
    let mut request = message(room);
    if let Some(body) = &mut request.body {
        let stamp = stamp();
        body.text.replace_range(..stamp.len(), &stamp);
    }
    request
}

/// What has arrived at all streams of one server.
#[derive(Debug)]
pub struct Tally {
    streams: u32,
    events: AtomicU64,
    bytes: AtomicU64,
    deltas: AtomicU64,
    drained: AtomicU64,
    live: Mutex<Vec<Instant>>,
    heartbeats: AtomicU64,
    ended: AtomicU64,
    /// How many streams a message has reached, by its place.
    reached: Vec<AtomicU32>,
    window: Arc<Semaphore>,
    sent: Mutex<VecDeque<Instant>>,
    times: Mutex<Vec<f64>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Nothing has arrived at so many streams.
    pub fn new(streams: usize) -> Result<Self> {
        Self::sharing(streams, Arc::new(Semaphore::new(0)))
    }

    /// One for each of so many rooms of so many streams; they share a window.
    pub fn of_rooms(rooms: usize, streams: usize) -> Result<Vec<Arc<Self>>> {
        let window = Arc::new(Semaphore::new(0));
        (0..rooms).map(|_| Ok(Arc::new(Self::sharing(streams, Arc::clone(&window))?))).collect()
    }

    fn sharing(streams: usize, window: Arc<Semaphore>) -> Result<Self> {
        Ok(Self {
            streams: u32::try_from(streams)?,
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            deltas: AtomicU64::new(0),
            live: Mutex::default(),
            drained: AtomicU64::new(0),
            heartbeats: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            reached: (0..RING).map(|_| AtomicU32::new(0)).collect(),
            window,
            sent: Mutex::default(),
            times: Mutex::default(),
        })
    }

    /// Events that have arrived, and their bytes.
    pub fn arrived(&self) -> (u64, u64) {
        (self.events.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Lets so many messages be under way at once, in all rooms together.
    pub fn open_window(&self, messages: usize) {
        self.window.add_permits(messages);
    }

    /// The times, in seconds, that messages took since they were last asked for.
    pub fn take_times(&self) -> Vec<f64> {
        std::mem::take(&mut *locked(&self.times))
    }

    /// Waits until another message may be sent; it is under way from here on.
    pub async fn next(&self) -> Result<()> {
        let permit = tokio::time::timeout(PATIENCE, self.window.acquire()).await;
        permit.map_err(|_| anyhow::anyhow!(self.stuck()))??.forget();
        self.sent(Instant::now());
        Ok(())
    }

    /// A message is under way since then.
    fn sent(&self, at: Instant) {
        locked(&self.sent).push_back(at);
    }

    /// Takes one of the window's places for a message that was due at that time, whenever it leaves.
    pub fn due(&self, at: Instant) -> Result<()> {
        let permit = self.window.try_acquire();
        permit.map_err(|_| anyhow::anyhow!("more messages are under way than a schedule may leave behind"))?.forget();
        self.sent(at);
        Ok(())
    }

    /// Waits until every message has reached every stream.
    pub async fn close_window(&self, messages: usize) -> Result<()> {
        let all = tokio::time::timeout(PATIENCE, self.window.acquire_many(u32::try_from(messages)?)).await;
        all.map_err(|_| anyhow::anyhow!(self.stuck()))??.forget();
        Ok(())
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
            ROOM_EVENT => self.event(frame.bytes, events),
            ROOM_DELTA => _ = self.deltas.fetch_add(1, Ordering::Relaxed),
            DRAINED => {
                locked(&self.live).push(Instant::now());
                self.drained.fetch_add(1, Ordering::Relaxed);
            }
            HEARTBEAT => _ = self.heartbeats.fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
    }

    /// A message of so many bytes has arrived at a stream, which has had so many events before.
    pub fn event(&self, bytes: u64, events: &mut usize) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.reach(*events % RING);
        *events += 1;
    }

    /// A stream has ended.
    pub fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
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
    /// What arrives, room by room.
    pub tallies: Vec<Arc<Tally>>,
    tasks: JoinSet<()>,
    mouths: Arc<Mutex<Vec<mpsc::Sender<v1::ClientFrame>>>>,
}

/// What each stream says first.
pub type Hello<'h> = &'h (dyn Fn(usize) -> v1::Hello + Sync);

impl Streams {
    /// Opens one for each of these people, all in one room, and waits until they are live.
    pub async fn open(door: impl Into<Door>, people: &[Somebody]) -> Result<Self> {
        Self::come_back(door, people, OPENING, &|_| v1::Hello::default()).await
    }

    /// Opens one for each, so many at once, each with what it holds already, and waits until they are live.
    pub async fn come_back(
        door: impl Into<Door>,
        people: &[Somebody],
        at_once: usize,
        hello: Hello<'_>,
    ) -> Result<Self> {
        Self::open_rooms(door, people, vec![Arc::new(Tally::new(people.len())?)], at_once, hello).await
    }

    /// The same for people of several rooms: the first ones are in the first, and so on.
    pub async fn open_rooms(
        door: impl Into<Door>,
        people: &[Somebody],
        tallies: Vec<Arc<Tally>>,
        at_once: usize,
        hello: Hello<'_>,
    ) -> Result<Self> {
        let (door, each) = (door.into(), people.len().div_ceil(tallies.len()));
        let mut streams = Self { tallies, tasks: JoinSet::new(), mouths: Arc::default() };
        // Opening all takes longer than a server waits for a word of the first ones.
        streams.tasks.spawn(acknowledge(Arc::clone(&streams.mouths)));
        let opening = people.iter().enumerate().map(|(number, somebody)| {
            let (opened, hello) = (door.clone(), hello(number));
            async move { anyhow::Ok((number, open(opened, number, somebody, hello).await?)) }
        });
        let mut opening = futures_util::stream::iter(opening).buffer_unordered(at_once);
        while let Some(opened) = opening.next().await {
            let (number, (mouth, frames)) = opened?;
            locked(&streams.mouths).push(mouth);
            streams.tasks.spawn(listen(frames, Arc::clone(&streams.tallies[number / each])));
        }
        drop(opening);
        for tally in &streams.tallies {
            tally.wait_for(&tally.drained, "Drained").await?;
        }
        Ok(streams)
    }

    /// Waits until each has had a heartbeat: from then on it has done all that an idle stream does.
    pub async fn wait_for_heartbeats(&self) -> Result<()> {
        for tally in &self.tallies {
            tally.wait_for(&tally.heartbeats, "a heartbeat").await?;
        }
        Ok(())
    }

    /// Pages of rooms that have arrived.
    pub fn deltas(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.deltas.load(Ordering::Relaxed)).sum()
    }

    /// The seconds after which each stream was live.
    pub fn live_after(&self, began: Instant) -> Vec<f64> {
        let live = |tally: &Arc<Tally>| locked(&tally.live).clone();
        let live = self.tallies.iter().flat_map(live);
        live.map(|at| at.saturating_duration_since(began).as_secs_f64()).collect()
    }
}

/// What a stream is told.
pub type Frames = tonic::Streaming<Told>;

/// A stream that nobody reads yet, with what it is told through.
pub async fn open(
    door: impl Into<Door>,
    number: usize,
    somebody: &Somebody,
    hello: v1::Hello,
) -> Result<(mpsc::Sender<v1::ClientFrame>, Frames)> {
    open_reading(door, number, somebody, hello, Counting::default()).await
}

/// The same, of whose frames more may be read.
pub async fn open_reading(
    door: impl Into<Door>,
    number: usize,
    somebody: &Somebody,
    hello: v1::Hello,
    codec: Counting,
) -> Result<(mpsc::Sender<v1::ClientFrame>, Frames)> {
    let mut client = Grpc::new(connect(door, number).await?);
    client.ready().await?;
    let (mouth, said) = mpsc::channel(2);
    mouth.send(frame(client_frame::Frame::Hello(hello))).await?;
    let path = PathAndQuery::from_static("/madang.v1.SyncService/Connect");
    let response = client.streaming(somebody.sign(ReceiverStream::new(said))?, path, codec).await;
    Ok((mouth, response.with_context(|| format!("stream {number}"))?.into_inner()))
}

/// A frame of a client.
pub fn frame(frame: client_frame::Frame) -> v1::ClientFrame {
    v1::ClientFrame { frame: Some(frame) }
}

async fn listen(mut frames: Frames, tally: Arc<Tally>) {
    let mut events = 0;
    while let Some(Ok(frame)) = frames.next().await {
        tally.take(&frame, &mut events);
    }
    tally.end();
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

/// Encodes what a client says; of what it is told it reads the first byte, and of messages when they were sent if it is to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting {
    /// Texts begin with [`stamp`].
    pub stamps: bool,
}

/// A frame's kind and size.
#[derive(Debug)]
pub struct Told {
    field: u8,
    bytes: u64,
    stamp: Option<u64>,
}

impl Told {
    /// Everything from before is told.
    pub fn is_drained(&self) -> bool {
        self.field == DRAINED
    }

    /// Microseconds since the message in it was sent.
    pub fn age_us(&self) -> Option<u64> {
        self.stamp.map(|sent| now_us().saturating_sub(sent))
    }
}

const STAMP: &[u8] = b"@@";
const DIGITS: usize = 16;

/// What a text begins with that tells when it was sent.
pub fn stamp() -> String {
    format!("@@{:0DIGITS$x}", now_us())
}

fn now_us() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn stamp_in(frame: &[u8]) -> Option<u64> {
    let at = frame.windows(STAMP.len()).position(|window| window == STAMP)? + STAMP.len();
    u64::from_str_radix(str::from_utf8(frame.get(at..at + DIGITS)?).ok()?, 16).ok()
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
        *self
    }
}

impl Decoder for Counting {
    type Item = Told;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Told>, Status> {
        let field = bytes.chunk().first().map_or(0, |tag| tag >> 3);
        let stamp = if self.stamps && field == ROOM_EVENT { stamp_in(bytes.chunk()) } else { None };
        let told = Told { field, bytes: bytes.remaining() as u64, stamp };
        bytes.advance(bytes.remaining());
        Ok(Some(told))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFERS.0, BUFFERS.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_tells_when_it_was_sent() {
        let text = stamped(0).body.expect("a text").text;
        assert_eq!(text.len(), crowd::TEXT_BYTES);
        let frame = [b"\x22frame ", text.as_bytes()].concat();
        assert!(stamp_in(&frame).is_some_and(|sent| sent <= now_us()));
        assert_eq!(stamp_in(b"no stamp"), None);
    }
}
