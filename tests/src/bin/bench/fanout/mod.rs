//! Rooms with live streams, each over a connection of its own: deliveries for each second of processor time that the server
//! used, with so many messages under way. One room of 1,000 with 1, 8 and 128 messages, one of 5,000 with 8, and 1,000
//! rooms of five with 128. Beside each, with the same load and windows: a bare tonic server with the same frames, Redis and
//! NATS with messages of the same size. The number under way decides the figure, because frames that wait for one reader leave
//! in one write: only equal windows compare.
//!
//! And what chat is like: five messages a second on a fixed schedule, whatever became of those before; from when a message
//! was due until the last of the 1,000 has it.

mod stage;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use madang_devstack::server_process::ServerProcess;
use madang_proto::v1;

use self::stage::{Fan, PACE, Rooms, Stage};
use crate::Plan;
use crate::crowd::{self, Crowd, Somebody};
use crate::figure::{Figure, Goal, median, percentile};
use crate::ground::Ground;
use crate::peers::{Kind, Peer};
use crate::process::{Bare, most_connections, this_program};
use crate::streams;

/// Live streams of the one room, and how many messages are under way at once: sent, and not yet with all streams.
const STREAMS: usize = 1_000;
const ONE: Rooms = Rooms { first: 0, count: 1, streams: STREAMS };
const WINDOWS: [usize; 3] = [1, 8, 128];

/// Other shapes, and how many messages are under way in them.
const LARGE: Rooms = Rooms { first: 1, count: 1, streams: PEOPLE };
const MANY: Rooms = Rooms { first: 2, count: 1_000, streams: 5 };
const SHAPES: [(&str, Rooms, usize); 2] = [("5,000 streams", LARGE, 8), ("1,000 rooms of 5", MANY, 128)];

/// Everybody.
const PEOPLE: usize = 5_000;

/// A measurement on schedule takes so many times as long: it has few messages.
const PACED_SPANS: u32 = 3;

/// Who fans out.
const OURS: usize = 0;
const BARE: usize = 1;
const PEERS: usize = 2;

/// Servers side by side, each with its streams.
struct Stages {
    bare: Bare,
    peers: Vec<Peer>,
    all: Vec<Stage>,
}

/// What a round brought: by window and who fans out, and the times on schedule by who fans out.
struct Round {
    fans: Vec<Vec<Fan>>,
    paced: Vec<Vec<f64>>,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    plan.say("\nfanout: making rooms of 1,000, of 5,000, and 1,000 of 5");
    let url = ground.database("bench_fanout").await?;
    let crowd = Crowd::gather(ground, &url, PEOPLE).await?;
    let inside = |room: usize| match room {
        0 => (0..=STREAMS).collect(),
        1 => (0..PEOPLE).collect(),
        _ => (0..MANY.streams).map(|place| (room - MANY.first) * MANY.streams + place).collect(),
    };
    crowd::insert_rooms(&url, MANY.first + MANY.count, inside).await?;
    let mut server = streams::launch(plan, &url, crowd.issuer_url()).serve().await?;
    let stages = Stages::open(&server, &crowd.people).await?;
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        plan.say(&format!("fanout: round {number} of {}", plan.rounds));
        rounds.push(round(&stages.all, plan).await?);
    }
    let slow = beside_a_slow_reader(&stages.all[OURS], server.grpc(), &crowd.people[STREAMS], plan).await?;
    stages.close().await?;
    let mut figures: Vec<Figure> = WINDOWS
        .iter()
        .enumerate()
        .map(|(place, window)| {
            let fans: Vec<_> = rounds.iter().map(|round| round.fans[place].clone()).collect();
            figure(format!("fanout, {window} in flight"), &fans)
        })
        .collect();
    figures.push(paced_figure(&rounds));
    figures.push(slow);
    if most_connections() < PEOPLE {
        plan.say(&format!(
            "fanout: {} connections may be open, so shapes of {PEOPLE} are left out",
            most_connections()
        ));
    } else {
        for (name, rooms, window) in SHAPES {
            plan.say(&format!("fanout: {name}"));
            let fans = shape(plan, &server, &crowd.people, rooms, window).await.context(name)?;
            figures.push(figure(format!("fanout, {name}"), &fans).note(format!("{window} in flight")));
        }
    }
    server.kill().await?;
    Ok(figures)
}

/// Another shape, with one window. One has its streams open at a time: a process may not have so many files.
async fn shape(
    plan: &Plan,
    server: &ServerProcess,
    people: &[Somebody],
    rooms: Rooms,
    window: usize,
) -> Result<Vec<Vec<Fan>>> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let mut fans = Vec::new();
        let stage = Stage::open(server.pid(), server.grpc(), people, rooms).await?;
        fans.push(stage.run(window, plan.span).await?);
        drop(stage);
        let bare = Bare::start_with_rooms(&this_program()?, rooms.first, rooms.streams).await?;
        let stage = Stage::open(bare.pid()?, bare.address, people, rooms).await?;
        fans.push(stage.run(window, plan.span).await?);
        drop(stage);
        bare.stop().await?;
        for kind in Kind::ALL {
            let peer = kind.start().await?;
            let stage = Stage::of_peer(&peer, rooms).await?;
            fans.push(stage.run(window, plan.span).await?);
        }
        rounds.push(fans);
    }
    Ok(rounds)
}

impl Stages {
    async fn open(server: &ServerProcess, people: &[Somebody]) -> Result<Self> {
        let bare = Bare::start(&this_program()?).await?;
        let mut all = vec![
            Stage::open(server.pid(), server.grpc(), people, ONE).await?,
            Stage::open(bare.pid()?, bare.address, people, ONE).await?,
        ];
        let mut peers = Vec::new();
        for kind in Kind::ALL {
            let peer = kind.start().await.with_context(|| format!("start {}", kind.name()))?;
            all.push(Stage::of_peer(&peer, ONE).await?);
            peers.push(peer);
        }
        Ok(Self { bare, peers, all })
    }

    async fn close(self) -> Result<()> {
        drop((self.all, self.peers));
        self.bare.stop().await
    }
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

/// What each round brought, by who fans out.
fn figure(name: String, rounds: &[Vec<Fan>]) -> Figure {
    let of = |get: &dyn Fn(&[Fan]) -> f64| median(rounds.iter().map(|fans| get(fans)).collect());
    let line = |name: &str, who: usize| {
        let of = |get: fn(&Fan) -> f64| of(&|fans| get(&fans[who]));
        let (rate, cores, bytes) = (of(|fan| fan.per_second), of(|fan| fan.cores), of(|fan| fan.bytes));
        let (p50, p99, joined) = (of(|fan| fan.p50_ms), of(|fan| fan.p99_ms), of(|fan| fan.per_write));
        format!(
            "{name}: {rate:.0} deliveries/s on {cores:.2} cores, {bytes:.0} bytes each, {joined:.2} a write; sent to last p50 {p50:.1} ms, p99 {p99:.1} ms"
        )
    };
    let value = of(&|fans| fans[OURS].per_core_second);
    let mut figure = Figure::new(name, value, "deliveries/core-second").note(line("madang", OURS));
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
