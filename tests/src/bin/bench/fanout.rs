//! One room, 1,000 live streams, each over a connection of its own: deliveries for each second of processor time that the
//! server used, with 1, 8 and 128 messages under way. Beside it a bare tonic server with the same frames, load and windows.
//! The number under way decides the figure, because frames that wait for one reader leave in one write: only equal windows
//! compare.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use madang_proto::v1::message_service_client::MessageServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::Plan;
use crate::crowd::{self, Crowd, Somebody};
use crate::figure::{Figure, Goal, float, median};
use crate::ground::Ground;
use crate::process::{Bare, processor_time, this_program};
use crate::streams::{self, Streams};

/// Live streams.
const STREAMS: usize = 1_000;

/// Messages under way at once: sent, and not yet with all streams.
const WINDOWS: [usize; 3] = [1, 8, 128];

/// People who send, each over a connection of their own.
const SENDERS: usize = 8;

/// Before a measurement counts.
const WARM: Duration = Duration::from_millis(500);

/// A server with its streams and senders.
struct Stage {
    pid: u32,
    streams: Streams,
    senders: Vec<(Somebody, MessageServiceClient<Channel>)>,
}

/// What a measurement brought.
#[derive(Clone, Copy, Debug)]
struct Fan {
    per_core_second: f64,
    per_second: f64,
    cores: f64,
    bytes: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    plan.say("\nfanout: making a room of 1,000");
    let url = ground.database("bench_fanout").await?;
    let crowd = Crowd::gather(&url, STREAMS).await?;
    crowd::insert_rooms(&url, 1, |_| (0..STREAMS).collect()).await?;
    let mut server = streams::launch(plan, &url, crowd.issuer_url()).serve().await?;
    let bare = Bare::start(&this_program()?).await?;
    let ours = Stage::open(server.pid(), server.grpc(), &crowd).await?;
    let theirs = Stage::open(bare.pid()?, bare.address, &crowd).await?;
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        plan.say(&format!("fanout: round {number} of {}", plan.rounds));
        let mut round = Vec::new();
        for window in WINDOWS {
            round.push((ours.run(window, plan.span).await?, theirs.run(window, plan.span).await?));
        }
        rounds.push(round);
    }
    drop((ours, theirs));
    server.kill().await?;
    bare.stop().await?;
    Ok(WINDOWS
        .iter()
        .enumerate()
        .map(|(place, window)| figure(*window, rounds.iter().map(|round| round[place])))
        .collect())
}

fn figure(window: usize, rounds: impl Iterator<Item = (Fan, Fan)>) -> Figure {
    let rounds: Vec<(Fan, Fan)> = rounds.collect();
    let of = |get: &dyn Fn(&(Fan, Fan)) -> f64| median(rounds.iter().map(get).collect());
    let ratio = of(&|(ours, theirs)| ours.per_core_second / theirs.per_core_second);
    let line = |name: &str, pick: fn(&(Fan, Fan)) -> Fan| {
        let of = |get: fn(&Fan) -> f64| median(rounds.iter().map(|both| get(&pick(both))).collect());
        let (rate, cores, bytes) = (of(|fan| fan.per_second), of(|fan| fan.cores), of(|fan| fan.bytes));
        let (p50, p99) = (of(|fan| fan.p50_ms), of(|fan| fan.p99_ms));
        format!(
            "{name}: {rate:.0} deliveries/s on {cores:.2} cores, {bytes:.0} bytes each; sent to last p50 {p50:.1} ms, p99 {p99:.1} ms"
        )
    };
    Figure::new(format!("fanout, {window} in flight"), of(&|(ours, _)| ours.per_core_second), "deliveries/core-second")
        .against("bare", of(&|(_, theirs)| theirs.per_core_second), ratio)
        .goal(Goal::Ratio("bare", 0.5))
        .note(line("madang", |both| both.0))
        .note(line("bare", |both| both.1))
}

impl Stage {
    async fn open(pid: u32, address: SocketAddr, crowd: &Crowd) -> Result<Self> {
        let streams = Streams::open(address, &crowd.people).await?;
        let mut senders = Vec::new();
        for (number, somebody) in crowd.people.iter().take(SENDERS).enumerate() {
            senders.push((somebody.clone(), MessageServiceClient::new(streams::connect(address, number).await?)));
        }
        Ok(Self { pid, streams, senders })
    }

    async fn run(&self, window: usize, span: Duration) -> Result<Fan> {
        let tally = &self.streams.tally;
        tally.open_window(window);
        let mut sends = JoinSet::new();
        self.send(&mut sends, WARM).await?;
        let (before, (events, bytes), began) = (processor_time(self.pid)?, tally.arrived(), Instant::now());
        self.send(&mut sends, span).await?;
        let (used, (more_events, more_bytes)) = (processor_time(self.pid)?.saturating_sub(before), tally.arrived());
        let took = began.elapsed().as_secs_f64();
        let mut times = tally.close_window(window).await?;
        while let Some(sent) = sends.join_next().await {
            sent??;
        }
        times.sort_by(f64::total_cmp);
        let events = float(more_events - events);
        Ok(Fan {
            per_core_second: events / used.as_secs_f64(),
            per_second: events / took,
            cores: used.as_secs_f64() / took,
            bytes: float(more_bytes - bytes) / events,
            p99_ms: times.get(times.len() * 99 / 100).copied().unwrap_or_default() * 1_000.0,
            p50_ms: median(times) * 1_000.0,
        })
    }

    /// Sends whenever the window allows it.
    async fn send(&self, sends: &mut JoinSet<Result<()>>, span: Duration) -> Result<()> {
        let ends = Instant::now() + span;
        let mut senders = self.senders.iter().cycle();
        while Instant::now() < ends {
            self.streams.tally.next().await?;
            let (somebody, client) = senders.next().context("somebody sends")?;
            let (request, mut client) = (somebody.sign(streams::message(0))?, client.clone());
            sends.spawn(async move { client.send_message(request).await.context("a send was refused").map(drop) });
            while let Some(sent) = sends.try_join_next() {
                sent??;
            }
        }
        Ok(())
    }
}
