//! One room, 1,000 live streams, each over a connection of its own: deliveries for each second of processor time that the
//! server used, with 1, 8 and 128 messages under way. Beside it, with the same load and windows: a bare tonic server with the
//! same frames, Redis and NATS with messages of the same size. The number under way decides the figure, because frames that
//! wait for one reader leave in one write: only equal windows compare.
//!
//! And what chat is like: five messages a second on a fixed schedule, whatever became of those before; from when a message
//! was due until the last of the 1,000 has it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use madang_proto::v1::{self, message_service_client::MessageServiceClient};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::Plan;
use crate::bare;
use crate::crowd::{self, Crowd, Somebody};
use crate::figure::{Figure, Goal, float, median, percentile};
use crate::ground::Ground;
use crate::peers::{Channel as PeerChannel, Kind, Peer};
use crate::process::{Bare, processor_time, this_program, writes};
use crate::streams::{self, Streams, Tally};

/// Live streams.
const STREAMS: usize = 1_000;

/// Messages under way at once: sent, and not yet with all streams.
const WINDOWS: [usize; 3] = [1, 8, 128];

/// People who send, each over a connection of their own.
const SENDERS: usize = 8;

/// Before a measurement counts.
const WARM: Duration = Duration::from_millis(500);

/// Messages a second that are due on a schedule, and how many of them may be late at once.
const PACE: u32 = 5;
const LATE: usize = 64;

/// A measurement on schedule takes so many times as long: it has few messages.
const PACED_SPANS: u32 = 3;

/// Who fans out.
const OURS: usize = 0;
const BARE: usize = 1;
const PEERS: usize = 2;

/// A server with its streams and senders.
struct Stage {
    pid: u32,
    tally: Arc<Tally>,
    mouth: Mouth,
    // Held: streams end with it.
    _streams: Option<Streams>,
}

/// How a message is sent.
#[derive(Clone)]
enum Mouth {
    Grpc(Arc<Vec<(Somebody, MessageServiceClient<Channel>)>>),
    Line(Arc<PeerChannel>),
}

/// What a measurement brought.
#[derive(Clone, Copy, Debug)]
struct Fan {
    per_core_second: f64,
    per_second: f64,
    cores: f64,
    bytes: f64,
    per_write: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// What a round brought: by window and who fans out, and the times on schedule by who fans out.
struct Round {
    fans: Vec<Vec<Fan>>,
    paced: Vec<Vec<f64>>,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    plan.say("\nfanout: making a room of 1,000");
    let url = ground.database("bench_fanout").await?;
    let crowd = Crowd::gather(&url, STREAMS + 1).await?;
    crowd::insert_rooms(&url, 1, |_| (0..=STREAMS).collect()).await?;
    let people = &crowd.people[..STREAMS];
    let mut server = streams::launch(plan, &url, crowd.issuer_url()).serve().await?;
    let bare = Bare::start(&this_program()?).await?;
    let mut stages = vec![
        Stage::open(server.pid(), server.grpc(), people).await?,
        Stage::open(bare.pid()?, bare.address, people).await?,
    ];
    let mut peers = Vec::new();
    for kind in Kind::ALL {
        let peer = kind.start().await.with_context(|| format!("start {}", kind.name()))?;
        stages.push(Stage::of_peer(&peer).await?);
        peers.push(peer);
    }
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        plan.say(&format!("fanout: round {number} of {}", plan.rounds));
        rounds.push(round(&stages, plan).await?);
    }
    let slow = beside_a_slow_reader(&stages[OURS], server.grpc(), &crowd.people[STREAMS], plan).await?;
    drop((stages, peers));
    server.kill().await?;
    bare.stop().await?;
    let mut figures: Vec<Figure> = (0..WINDOWS.len()).map(|place| figure(place, &rounds)).collect();
    figures.push(paced_figure(&rounds));
    figures.push(slow);
    Ok(figures)
}

async fn round(stages: &[Stage], plan: &Plan) -> Result<Round> {
    let mut round = Round { fans: Vec::new(), paced: Vec::new() };
    for window in WINDOWS {
        let mut fans = Vec::new();
        for stage in stages {
            fans.push(stage.run(window, plan.span).await?);
        }
        round.fans.push(fans);
    }
    for stage in stages {
        round.paced.push(stage.run_paced(plan.span * PACED_SPANS).await?);
    }
    Ok(round)
}

/// The same room with one more stream that reads nothing, against the same without, in turn.
async fn beside_a_slow_reader(ours: &Stage, address: SocketAddr, somebody: &Somebody, plan: &Plan) -> Result<Figure> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        without.push(ours.run(WINDOWS[1], plan.span).await?.p99_ms);
        let unread = streams::open(address, STREAMS, somebody, v1::Hello::default()).await?;
        with.push(ours.run(WINDOWS[1], plan.span).await?.p99_ms);
        drop(unread);
    }
    let ratio = median(without.iter().zip(&with).map(|(without, with)| without / with).collect());
    Ok(Figure::new("fanout, beside a slow reader", median(with), "ms to last, p99")
        .against("without it", median(without), ratio)
        .goal(Goal::Ratio("without it", 0.8))
        .note("8 in flight; one of 1,001 streams is never read"))
}

/// Goals: against bare tonic, Redis, and NATS.
const GOALS: [f64; 3] = [0.9, 1.0, 2.5];

fn figure(place: usize, rounds: &[Round]) -> Figure {
    let of = |get: &dyn Fn(&[Fan]) -> f64| median(rounds.iter().map(|round| get(&round.fans[place])).collect());
    let line = |name: &str, who: usize| {
        let of = |get: fn(&Fan) -> f64| of(&|fans| get(&fans[who]));
        let (rate, cores, bytes) = (of(|fan| fan.per_second), of(|fan| fan.cores), of(|fan| fan.bytes));
        let (p50, p99, joined) = (of(|fan| fan.p50_ms), of(|fan| fan.p99_ms), of(|fan| fan.per_write));
        format!(
            "{name}: {rate:.0} deliveries/s on {cores:.2} cores, {bytes:.0} bytes each, {joined:.2} a write; sent to last p50 {p50:.1} ms, p99 {p99:.1} ms"
        )
    };
    let value = of(&|fans| fans[OURS].per_core_second);
    let mut figure = Figure::new(format!("fanout, {} in flight", WINDOWS[place]), value, "deliveries/core-second")
        .note(line("madang", OURS));
    for (name, who, goal) in others().zip(GOALS).map(|((name, who), goal)| (name, who, goal)) {
        let ratio = of(&|fans| fans[OURS].per_core_second / fans[who].per_core_second);
        figure = figure.against(name, of(&|fans| fans[who].per_core_second), ratio);
        figure = figure.goal(Goal::Ratio(name, goal)).note(line(name, who));
    }
    figure
}

/// Whom ours is compared with.
fn others() -> impl Iterator<Item = (&'static str, usize)> {
    let peers = Kind::ALL.into_iter().enumerate().map(|(place, kind)| (kind.name(), PEERS + place));
    std::iter::once(("bare", BARE)).chain(peers)
}

fn paced_figure(rounds: &[Round]) -> Figure {
    let times = |who: usize| -> Vec<f64> { rounds.iter().flat_map(|round| round.paced[who].clone()).collect() };
    let at = |who, of_hundred| percentile(times(who), of_hundred) * 1_000.0;
    let mut figure = Figure::new(format!("fanout, {PACE} a second"), at(OURS, 99), "ms to last, p99")
        .beside("p50", at(OURS, 50))
        .note(format!("{} messages, durable before they are told; nobody else's is", times(OURS).len()));
    for (name, who) in others() {
        figure = figure.against(name, at(who, 99), at(who, 99) / at(OURS, 99));
        figure =
            figure.note(format!("{name}: p50 {:.1} ms; ours over it {:.2}", at(who, 50), at(OURS, 50) / at(who, 50)));
    }
    figure.goal(Goal::Ratio("redis", 1.0))
}

impl Stage {
    async fn open(pid: u32, address: SocketAddr, people: &[Somebody]) -> Result<Self> {
        let streams = Streams::open(address, people).await?;
        let mut senders = Vec::new();
        for (number, somebody) in people.iter().take(SENDERS).enumerate() {
            senders.push((somebody.clone(), MessageServiceClient::new(streams::connect(address, number).await?)));
        }
        let tally = Arc::clone(&streams.tally);
        Ok(Self { pid, tally, mouth: Mouth::Grpc(Arc::new(senders)), _streams: Some(streams) })
    }

    async fn of_peer(peer: &Peer) -> Result<Self> {
        let channel = PeerChannel::open(peer, STREAMS, SENDERS, bare::frame_bytes()).await?;
        let (pid, tally) = (peer.pid()?, Arc::clone(&channel.tally));
        Ok(Self { pid, tally, mouth: Mouth::Line(Arc::new(channel)), _streams: None })
    }

    async fn run(&self, window: usize, span: Duration) -> Result<Fan> {
        let tally = &self.tally;
        tally.open_window(window);
        let mut sends = JoinSet::new();
        self.send(&mut sends, WARM).await?;
        let (before, (events, bytes), began) = (processor_time(self.pid)?, tally.arrived(), Instant::now());
        let written = writes(self.pid)?;
        self.send(&mut sends, span).await?;
        let written = float(writes(self.pid)? - written);
        let (used, (more_events, more_bytes)) = (processor_time(self.pid)?.saturating_sub(before), tally.arrived());
        let took = began.elapsed().as_secs_f64();
        let times = tally.close_window(window).await?;
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

    /// Sends whenever the window allows it.
    async fn send(&self, sends: &mut JoinSet<Result<()>>, span: Duration) -> Result<()> {
        let ends = Instant::now() + span;
        for number in 0.. {
            if Instant::now() >= ends {
                break;
            }
            self.tally.next().await?;
            self.mouth.send(number, sends)?;
            while let Some(sent) = sends.try_join_next() {
                sent??;
            }
        }
        Ok(())
    }

    /// Sends on a schedule; gives the seconds from when each message was due until the last stream had it.
    async fn run_paced(&self, span: Duration) -> Result<Vec<f64>> {
        self.tally.open_window(LATE);
        let mut sends = JoinSet::new();
        let mut due = tokio::time::interval(Duration::from_secs(1) / PACE);
        for number in 0..usize::try_from(span.as_secs() * u64::from(PACE))? {
            let at = due.tick().await;
            self.tally.due(at.into_std())?;
            self.mouth.send(number, &mut sends)?;
        }
        let times = self.tally.close_window(LATE).await?;
        finish(sends).await?;
        Ok(times)
    }
}

async fn finish(mut sends: JoinSet<Result<()>>) -> Result<()> {
    while let Some(sent) = sends.join_next().await {
        sent??;
    }
    Ok(())
}

impl Mouth {
    /// Lets the next sender send, and does not wait.
    fn send(&self, number: usize, sends: &mut JoinSet<Result<()>>) -> Result<()> {
        match self {
            Self::Grpc(senders) => {
                let (somebody, client) = &senders[number % senders.len()];
                let (request, mut client) = (somebody.sign(streams::message(0))?, client.clone());
                sends.spawn(async move { client.send_message(request).await.context("a send was refused").map(drop) });
            }
            Self::Line(channel) => {
                let channel = Arc::clone(channel);
                sends.spawn(async move { channel.publish(number).await });
            }
        }
        Ok(())
    }
}
