//! A server with its streams and senders, and what a measurement of it brings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use madang_proto::v1::{self, message_service_client::MessageServiceClient};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::bare;
use crate::crowd::Somebody;
use crate::figure::{float, median, percentile};
use crate::peers::{Channels, Peer};
use crate::process::{processor_time, writes};
use crate::streams::{self, Streams, Tally};

/// Connections that messages are sent over.
const SENDERS: usize = 8;

/// Streams that are opened at once.
const OPENING: usize = 64;

/// Before a measurement counts.
const WARM: Duration = Duration::from_millis(500);

/// Messages a second that are due on a schedule, and how many of them may be late at once.
pub const PACE: u32 = 5;
const LATE: usize = 64;

/// Rooms of the database that are fanned out to: their numbers are these and those that follow.
#[derive(Clone, Copy, Debug)]
pub struct Rooms {
    /// Number of the first.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Streams of each; the first people are in the first room, and so on.
    pub streams: usize,
}

/// A server with its streams and senders.
pub struct Stage {
    pid: u32,
    tallies: Vec<Arc<Tally>>,
    mouth: Mouth,
    // Held: streams end with it.
    _streams: Option<Streams>,
}

/// How a message is sent.
enum Mouth {
    Grpc { lines: Vec<MessageServiceClient<Channel>>, people: Vec<Somebody>, rooms: Rooms },
    Channels(Arc<Channels>),
}

/// What a measurement brought.
#[derive(Clone, Copy, Debug)]
pub struct Fan {
    pub per_core_second: f64,
    pub per_second: f64,
    pub cores: f64,
    pub bytes: f64,
    pub per_write: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Stage {
    /// Opens a stream for each person, over a connection of its own.
    pub async fn open(pid: u32, address: SocketAddr, people: &[Somebody], rooms: Rooms) -> Result<Self> {
        let people = people[..rooms.count * rooms.streams].to_vec();
        let tallies = Tally::of_rooms(rooms.count, rooms.streams)?;
        let streams = Streams::open_rooms(address, &people, tallies, OPENING, &|_| v1::Hello::default()).await?;
        let mut lines = Vec::new();
        for number in 0..SENDERS {
            lines.push(MessageServiceClient::new(streams::connect(address, number).await?));
        }
        let mouth = Mouth::Grpc { lines, people, rooms };
        Ok(Self { pid, tallies: streams.tallies.clone(), mouth, _streams: Some(streams) })
    }

    /// The same of a peer, with a channel for each room.
    pub async fn of_peer(peer: &Peer, rooms: Rooms) -> Result<Self> {
        let channels = Channels::open(peer, rooms.count, rooms.streams, SENDERS, bare::frame_bytes()).await?;
        let (pid, tallies) = (peer.pid()?, channels.tallies.clone());
        Ok(Self { pid, tallies, mouth: Mouth::Channels(Arc::new(channels)), _streams: None })
    }

    /// Keeps so many messages under way, room after room.
    pub async fn run(&self, window: usize, span: Duration) -> Result<Fan> {
        self.tallies[0].open_window(window);
        let (mut sends, mut number) = (JoinSet::new(), 0);
        self.send(&mut sends, &mut number, WARM).await?;
        let (before, (events, bytes), began) = (processor_time(self.pid)?, self.arrived(), Instant::now());
        let written = writes(self.pid)?;
        self.times();
        self.send(&mut sends, &mut number, span).await?;
        let written = float(writes(self.pid)? - written);
        let (used, (more_events, more_bytes)) = (processor_time(self.pid)?.saturating_sub(before), self.arrived());
        let took = began.elapsed().as_secs_f64();
        self.tallies[0].close_window(window).await?;
        let times = self.times();
        finish(sends).await?;
        let events = float(more_events - events);
        Ok(Fan {
            per_core_second: events / used.as_secs_f64(),
            per_second: events / took,
            cores: used.as_secs_f64() / took,
            bytes: float(more_bytes - bytes) / events,
            per_write: events / written,
            p99_ms: percentile(times.clone(), 99) * 1_000.0,
            p50_ms: median(times) * 1_000.0,
        })
    }

    fn arrived(&self) -> (u64, u64) {
        let of_rooms = self.tallies.iter().map(|tally| tally.arrived());
        of_rooms.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    fn times(&self) -> Vec<f64> {
        self.tallies.iter().flat_map(|tally| tally.take_times()).collect()
    }

    /// Sends whenever the window allows it.
    async fn send(&self, sends: &mut JoinSet<Result<()>>, number: &mut usize, span: Duration) -> Result<()> {
        let ends = Instant::now() + span;
        while Instant::now() < ends {
            self.tallies[*number % self.tallies.len()].next().await?;
            self.mouth.send(*number, sends)?;
            *number += 1;
            while let Some(sent) = sends.try_join_next() {
                sent??;
            }
        }
        Ok(())
    }

    /// Sends to the first room on a schedule; gives the seconds from when each message was due until the last stream had it.
    pub async fn run_paced(&self, span: Duration) -> Result<Vec<f64>> {
        let tally = &self.tallies[0];
        tally.open_window(LATE);
        tally.take_times();
        let mut sends = JoinSet::new();
        let mut due = tokio::time::interval(Duration::from_secs(1) / PACE);
        for number in 0..usize::try_from(span.as_secs() * u64::from(PACE))? {
            let at = due.tick().await;
            tally.due(at.into_std())?;
            self.mouth.send(number, &mut sends)?;
        }
        tally.close_window(LATE).await?;
        finish(sends).await?;
        Ok(tally.take_times())
    }
}

async fn finish(mut sends: JoinSet<Result<()>>) -> Result<()> {
    while let Some(sent) = sends.join_next().await {
        sent??;
    }
    Ok(())
}

impl Mouth {
    /// Lets somebody of the next room send, and does not wait.
    fn send(&self, number: usize, sends: &mut JoinSet<Result<()>>) -> Result<()> {
        match self {
            Self::Grpc { lines, people, rooms } => {
                let room = number % rooms.count;
                // Of one room the first people take turns.
                let place = number / rooms.count % SENDERS.min(rooms.streams);
                let somebody = &people[room * rooms.streams + place];
                let request = somebody.sign(streams::message(rooms.first + room))?;
                let mut client = lines[number % lines.len()].clone();
                sends.spawn(async move { client.send_message(request).await.context("a send was refused").map(drop) });
            }
            Self::Channels(channels) => {
                let channels = Arc::clone(channels);
                sends.spawn(async move { channels.publish(number).await });
            }
        }
        Ok(())
    }
}
