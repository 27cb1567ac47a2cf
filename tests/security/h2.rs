//! HTTP/2 by the byte (RFC 9113), as no library would let anybody speak it.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinHandle,
};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

/// Error codes.
pub const ENHANCE_YOUR_CALM: u32 = 11;
pub const REFUSED_STREAM: u32 = 7;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A frame as it came.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The number in a `RST_STREAM` or `GOAWAY` that says why.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// The last stream that the sender of a `GOAWAY` looked at.
    pub fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("four bytes")) & 0x7fff_ffff
    }
}

/// A connection on which the preface has been said.
pub struct Connection {
    writer: OwnedWriteHalf,
    frames: mpsc::UnboundedReceiver<Frame>,
    reader: JoinHandle<()>,
}

/// A frame as it goes out.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that is in no table (RFC 7541, 6.2.2).
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("a short text")][..], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// The headers of a gRPC call.
pub fn call(path: &str) -> Vec<u8> {
    let path = [&[0x04, u8::try_from(path.len()).expect("a short path")][..], path.as_bytes()].concat();
    // POST, http, the path, an authority.
    [&[0x83, 0x86][..], &path, b"\x01\x01a", &literal("content-type", "application/grpc"), &literal("te", "trailers")]
        .concat()
}

impl Connection {
    /// Connects and exchanges settings; answers with the server's, by number.
    pub async fn open(server: &str) -> (Self, Vec<(u16, u32)>) {
        let stream = TcpStream::connect(server.trim_start_matches("http://")).await.expect("a connection");
        stream.set_nodelay(true).expect("small packets");
        let (reader, mut writer) = stream.into_split();
        writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the preface");
        writer.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("settings");
        let (tell, frames) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read(reader, tell));
        let mut connection = Self { writer, frames, reader };
        let settings = connection.next().await.expect("settings");
        assert_eq!((settings.kind, settings.flags), (SETTINGS, 0), "{settings:?}");
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let settings = settings
            .payload
            .chunks(6)
            .map(|pair| (u16::try_from(number(&pair[..2])).expect("two bytes"), number(&pair[2..])));
        let settings = settings.collect();
        connection.say(&frame(SETTINGS, ACK, 0, &[])).await;
        (connection, settings)
    }

    /// Says something; `false` once nobody listens.
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        self.writer.write_all(bytes).await.is_ok()
    }

    /// The next frame; `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Frame> {
        tokio::time::timeout(PATIENCE, self.frames.recv()).await.unwrap_or_else(|_| panic!("nothing in {PATIENCE:?}"))
    }

    /// A frame that has come already.
    pub fn heard(&mut self) -> Option<Frame> {
        self.frames.try_recv().ok()
    }

    /// Whether the server still listens.
    pub fn is_over(&self) -> bool {
        self.reader.is_finished()
    }
}

async fn read(mut from: OwnedReadHalf, tell: mpsc::UnboundedSender<Frame>) {
    let mut head = [0; 9];
    while from.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if from.read_exact(&mut payload).await.is_err() {
            return;
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        if tell.send(Frame { kind: head[3], flags: head[4], stream, payload }).is_err() {
            return;
        }
    }
}
