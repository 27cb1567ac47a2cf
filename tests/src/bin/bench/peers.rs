//! What others fan out with: Redis and NATS, each with its own protocol, a channel a room, and as many subscribers as streams.
//! Their clients only count, as ours do. A message carries as many bytes as a frame of ours.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use madang_devstack::nats::Nats;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::streams::{self, Tally};

/// Debian's package has the same name.
const REDIS: &str = "redis-server";

/// The channel of a room; all names are of one length.
fn channel(room: usize) -> String {
    format!("r{room:03}")
}

/// Subscriptions that are made at once.
const OPENING: usize = 64;

/// Longest wait for a server to listen; both take 20 ms.
const READY: Duration = Duration::from_secs(20);

/// What a subscriber reads at once, as our clients do.
const BUFFER: usize = 32 * 1024;

/// A peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Redis: PUBLISH and SUBSCRIBE.
    Redis,
    /// NATS core.
    Nats,
}

/// A peer's server as a child of this process; it goes with the value.
pub struct Peer {
    kind: Kind,
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

enum Process {
    Redis(Child),
    Nats(Nats),
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Redis, Self::Nats];

    /// As figures name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
        }
    }

    /// What the installed server says of its version.
    pub async fn version(self) -> Result<String> {
        let program = match self {
            Self::Redis => REDIS,
            Self::Nats => Nats::program(),
        };
        let output = Command::new(program).arg("--version").output().await.context(program)?;
        // "Redis server v=7.0.15 sha=..." and "nats-server: v2.9.10".
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = said.split([' ', '=', 'v']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        Ok(version.unwrap_or_default().trim().to_owned())
    }

    /// Starts a server that keeps nothing, where one is installed.
    pub async fn start(self) -> Result<Peer> {
        match self {
            Self::Redis => redis().await,
            Self::Nats => {
                let nats = Nats::start().await?;
                Ok(Peer { kind: self, address: nats.address(), process: Process::Nats(nats) })
            }
        }
    }

    /// What a subscriber says first.
    fn hello(self, room: usize) -> String {
        let channel = channel(room);
        match self {
            Self::Redis => format!("SUBSCRIBE {channel}\r\n"),
            Self::Nats => format!("CONNECT {{\"verbose\":false}}\r\nSUB {channel} 1\r\nPING\r\n"),
        }
    }

    /// A message as it is published.
    fn publication(self, room: usize, bytes: usize) -> Vec<u8> {
        let channel = channel(room);
        let head = match self {
            Self::Redis => format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\n{channel}\r\n${bytes}\r\n"),
            Self::Nats => format!("PUB {channel} {bytes}\r\n"),
        };
        let mut all = head.into_bytes();
        all.resize(all.len() + bytes, b'x');
        all.extend(b"\r\n");
        all
    }

    /// What a message begins with where it arrives, and its whole length there.
    fn delivery(self, room: usize, bytes: usize) -> (String, usize) {
        let channel = channel(room);
        let head = match self {
            Self::Redis => format!("*3\r\n$7\r\nmessage\r\n$4\r\n{channel}\r\n${bytes}\r\n"),
            Self::Nats => format!("MSG {channel} 1 {bytes}\r\n"),
        };
        let length = head.len() + bytes + 2;
        (head, length)
    }
}

async fn redis() -> Result<Peer> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut command = Command::new(REDIS);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
    // A reader that is late for a moment is not cut off in the middle of a measurement.
    command.args(["--maxclients", "20000", "--tcp-backlog", "4096", "--client-output-buffer-limit", "pubsub 0 0 0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().context("run redis-server; Debian has it in a package")?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let until = tokio::time::Instant::now() + READY;
    while TcpStream::connect(address).await.is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("redis-server ended: {status}");
        }
        if tokio::time::Instant::now() > until {
            bail!("redis-server does not listen after {READY:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(Peer { kind: Kind::Redis, process: Process::Redis(child), address })
}

impl Peer {
    /// The server's process.
    pub fn pid(&self) -> Result<u32> {
        match &self.process {
            Process::Redis(child) => child.id(),
            Process::Nats(nats) => nats.pid(),
        }
        .context("the peer runs")
    }
}

/// Subscribers of channels, each over a connection of its own, and who publishes to them.
pub struct Channels {
    /// What arrives, room by room.
    pub tallies: Vec<Arc<Tally>>,
    publishers: Vec<Mutex<OwnedWriteHalf>>,
    publications: Vec<Vec<u8>>,
    _tasks: JoinSet<Result<()>>,
}

impl Channels {
    /// Subscribes so many to each of so many channels, and connects so many publishers.
    pub async fn open(peer: &Peer, rooms: usize, each: usize, publishers: usize, bytes: usize) -> Result<Self> {
        let tallies = Tally::of_rooms(rooms, each)?;
        let mut tasks = JoinSet::new();
        let opening = (0..rooms * each).map(|number| Subscriber::open(peer, number, number / each, bytes));
        let mut opening = futures_util::stream::iter(opening).buffer_unordered(OPENING);
        while let Some(subscriber) = opening.next().await {
            let subscriber = subscriber?;
            let tally = Arc::clone(&tallies[subscriber.room]);
            tasks.spawn(subscriber.listen(tally));
        }
        drop(opening);
        let mut lines = Vec::new();
        for _ in 0..publishers {
            let stream = TcpStream::connect(peer.address).await?;
            stream.set_nodelay(true)?;
            let (mut heard, mut said) = stream.into_split();
            if peer.kind == Kind::Nats {
                said.write_all(b"CONNECT {\"verbose\":false}\r\n").await?;
            }
            // Answers are not waited for; what a subscriber has seen counts.
            tasks.spawn(async move {
                let mut buffer = vec![0; 4_096];
                while heard.read(&mut buffer).await? > 0 {}
                Ok(())
            });
            lines.push(Mutex::new(said));
        }
        let publications = (0..rooms).map(|room| peer.kind.publication(room, bytes)).collect();
        Ok(Self { tallies, publishers: lines, publications, _tasks: tasks })
    }

    /// Publishes a message to the next room, over one of the connections.
    pub async fn publish(&self, number: usize) -> Result<()> {
        let publisher = &self.publishers[number % self.publishers.len()];
        let publication = &self.publications[number % self.publications.len()];
        Ok(publisher.lock().await.write_all(publication).await?)
    }
}

struct Subscriber {
    room: usize,
    stream: TcpStream,
    head: String,
    length: usize,
    /// What has arrived and was not looked at yet.
    heard: BytesMut,
}

impl Subscriber {
    async fn open(peer: &Peer, number: usize, room: usize, bytes: usize) -> Result<Self> {
        let mut stream = streams::line(peer.address, number).await?;
        stream.write_all(peer.kind.hello(room).as_bytes()).await?;
        let (head, length) = peer.kind.delivery(room, bytes);
        let mut subscriber = Self { room, stream, head, length, heard: BytesMut::new() };
        // Both say something with an end of its own once the subscription holds.
        subscriber.wait_for(if peer.kind == Kind::Redis { b":1\r\n" } else { b"PONG\r\n" }).await?;
        Ok(subscriber)
    }

    /// Takes what comes until this; more may be behind it.
    async fn wait_for(&mut self, end: &[u8]) -> Result<()> {
        loop {
            if let Some(at) = self.heard.windows(end.len()).position(|window| window == end) {
                self.heard.advance(at + end.len());
                return Ok(());
            }
            let read = self.stream.read_buf(&mut self.heard).await?;
            anyhow::ensure!(read > 0, "a subscription was refused");
        }
    }

    async fn listen(mut self, tally: Arc<Tally>) -> Result<()> {
        let (mut heard, mut events) = (std::mem::take(&mut self.heard), 0);
        loop {
            while !heard.is_empty() {
                let told = self.head.as_bytes();
                if heard.starts_with(told) {
                    if heard.len() < self.length {
                        break;
                    }
                    heard.advance(self.length);
                    tally.event(self.length as u64, &mut events);
                } else if told.starts_with(&heard) || b"PING\r\n".starts_with(&heard) && heard.len() < 6 {
                    break;
                } else if heard.starts_with(b"PING\r\n") {
                    heard.advance(6);
                    self.stream.write_all(b"PONG\r\n").await?;
                } else {
                    bail!("a peer says something else: {:?}", heard.get(..heard.len().min(60)));
                }
            }
            heard.reserve(BUFFER);
            if self.stream.read_buf(&mut heard).await? == 0 {
                tally.end();
                return Ok(());
            }
        }
    }
}
