//! A crowd that comes back at once, to a node that has just started: each has missed ten messages of one of their rooms. From
//! the first connection until the last has a verdict on everything; beside it the same connections to a bare tonic server,
//! which has nothing to tell. Meanwhile somebody else sends on a schedule, in a room of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use madang_proto::v1::identity_service_client::IdentityServiceClient;
use madang_proto::v1::message_service_client::MessageServiceClient;
use madang_proto::v1::sync_service_client::SyncServiceClient;
use madang_proto::v1::{self, client_frame, server_frame};
use tokio::task::{JoinHandle, JoinSet};

use crate::Plan;
use crate::crowd::{self, Crowd, Somebody};
use crate::figure::{Figure, Goal, float, median, percentile};
use crate::ground::Ground;
use crate::idle::{MEMBERS, ROOMS_EACH};
use crate::process::{Bare, family_time, most_connections, processor_time, this_program};
use crate::statements::Statements;
use crate::streams::{self, Streams};

/// Messages that each has missed.
const MISSED: usize = 10;

/// The small crowd, which is also what the best peer was measured with.
const FEW: usize = 1_000;

/// Milliseconds that the best peer takes for those, without a look at any token (Centrifugo 6.9 with its engine in memory).
const BEST_PEER_MS: f64 = 164.0;

/// Milliseconds that the whole crowd may take beyond bare connections and what the database needs, which is the time of all
/// processors that it takes.
const BEYOND_BARE_MS: f64 = 1_000.0;

/// Milliseconds in which 99 of 100 sends of others are answered meanwhile.
const OTHERS_MS: f64 = 50.0;

/// Connections that are made at once.
const AT_ONCE: usize = 512;

/// Time between two sends of somebody else.
const BETWEEN: Duration = Duration::from_millis(20);

/// Calls that are under way while the history is made.
const MAKING: usize = 64;

/// Statements of a crowd that opens streams, by what tells them from the others.
const STATEMENTS: [(&str, &str); 14] = [
    ("who calls, on which device", "%with ordinality as w(%, sid, n)%"),
    ("people of tokens", "%with ordinality as w(issuer, subject, n)%"),
    ("last calls", "%update device_sessions%"),
    ("rooms of people, to listen", "select m.user_id, m.room_id, m.rev, m.history_from_seq, r.rev%"),
    ("numbers of people", "select user_id, user_rev from user_cursors%"),
    ("memberships that changed", "%where x.user_id = w.user_id and x.user_rev > w.after%"),
    ("rooms of people, to tell", "%as w(user_id, watermark, user_rev, n)%"),
    ("profiles that changed", "%profile_xid >= w.watermark%"),
    ("rooms and rights", "select m.room_id, m.user_id, m.state, m.role, m.history_from_seq%"),
    ("rows of rooms", "select * from rooms where id = any%"),
    ("places in rooms", "select m.* from unnest($1::uuid[], $2::uuid[])%"),
    ("mentions", "%join lateral%from mentions n%"),
    ("newest items", "%order by x.seq desc limit%"),
    ("messages that were missed", "select * from messages where room_id = %"),
];

/// What everybody holds, but for their rooms.
pub struct Held {
    epoch: String,
    watermark: i64,
}

impl Held {
    /// What somebody says who has this, their own state up to a number, and these rooms.
    pub fn hello(&self, user_rev: i64, rooms: Vec<v1::RoomCursor>) -> v1::Hello {
        v1::Hello { epoch: self.epoch.clone(), user_rev, watermark: self.watermark, rooms }
    }
}

#[derive(Debug, Default)]
struct Times {
    ours: Vec<f64>,
    p50: Vec<f64>,
    bare: Vec<f64>,
    beyond: Vec<f64>,
    others: Vec<f64>,
    cores: Cores,
}

/// Seconds of a processor that each part of a storm took.
#[derive(Debug, Default)]
struct Cores {
    server: Vec<f64>,
    database: Vec<f64>,
    clients: Vec<f64>,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    // Whole rooms of those who come back.
    let connections = plan.connections.min(most_connections()) / MEMBERS * MEMBERS;
    ensure!(connections > FEW, "storm needs more than {FEW} connections, and {connections} may be opened");
    plan.say(&format!("\nstorm: making {connections} people"));
    let url = ground.database("bench_storm").await?;
    let crowd = Crowd::gather(ground, &url, connections + 1).await?;
    let rooms = connections * ROOMS_EACH / MEMBERS;
    let inside = |room| if room == rooms { vec![connections] } else { crowd::circle(room, MEMBERS, connections) };
    crowd::insert_rooms(&url, rooms + 1, inside).await?;
    let launch = streams::launch(plan, &url, crowd.issuer_url());
    let mut server = launch.serve().await?;
    sign_in(server.grpc(), &crowd.people).await?;
    let held = held(server.grpc(), &crowd.people[0]).await?;
    miss(server.grpc(), &crowd.people[..connections]).await?;
    server.kill().await?;
    let user_rev = i64::try_from(ROOMS_EACH)?;
    let missed =
        |number: usize| v1::RoomCursor { room_id: crowd::room_id(number / MEMBERS).to_string(), rev: 1, seq: 0 };
    let hello = |number: usize| held.hello(user_rev, vec![missed(number)]);
    let processors = f64::from(u32::try_from(std::thread::available_parallelism()?.get())?);
    let (mut few, mut all) = (Times::default(), Times::default());
    for number in 1..=plan.rounds {
        plan.say(&format!("storm: round {number} of {}", plan.rounds));
        for (count, times) in [(FEW, &mut few), (connections, &mut all)] {
            let mut server = launch.serve().await?;
            let others = Others::begin(server.grpc(), &crowd.people[connections], rooms).await?;
            let processes = [server.pid(), ground.pid().context("the database runs")?, std::process::id()];
            let before = used(processes)?;
            let (ours, p50) = storm(server.grpc(), &crowd.people[..count], &hello, true).await?;
            times.cores.add(before, used(processes)?);
            let database = times.cores.database.last().copied().unwrap_or_default();
            times.others.extend(others.end().await?);
            server.kill().await?;
            let bare = Bare::start(&this_program()?).await?;
            let (theirs, _) = storm(bare.address, &crowd.people[..count], &|_| v1::Hello::default(), false).await?;
            bare.stop().await?;
            times.ours.push(ours);
            times.p50.push(p50);
            times.bare.push(theirs);
            times.beyond.push(ours - theirs - database * 1_000.0 / processors);
        }
    }
    let mut figures = figures(connections, &few, &all);
    let mut server = launch.serve().await?;
    let mut statements = Statements::note(ground, &url).await?;
    let noted = storm(server.grpc(), &crowd.people[..connections], &hello, true).await;
    statements.end(ground).await?;
    server.kill().await?;
    figures.push(profile(&mut statements, connections, noted?.0).await?);
    Ok(figures)
}

/// Processor time of the server, of the database and of the clients so far.
fn used([server, database, clients]: [u32; 3]) -> Result<[Duration; 3]> {
    Ok([processor_time(server)?, family_time(database)?, processor_time(clients)?])
}

impl Cores {
    fn add(&mut self, before: [Duration; 3], after: [Duration; 3]) {
        let all = [&mut self.server, &mut self.database, &mut self.clients];
        for ((times, before), after) in all.into_iter().zip(before).zip(after) {
            times.push(after.saturating_sub(before).as_secs_f64());
        }
    }
}

/// Microseconds of the database for each stream that opens, and of which statement.
async fn profile(statements: &mut Statements, connections: usize, took_ms: f64) -> Result<Figure> {
    let streams = float(connections as u64);
    let whole = statements.like("%").await?;
    let mut figure = Figure::new("storm, time of the database", whole.us / streams, "us/stream");
    let (mut calls, mut rows, mut known) = (Vec::new(), Vec::new(), 0.0);
    for (name, like) in STATEMENTS {
        let cost = statements.like(like).await?;
        figure = figure.beside(name, cost.us / streams);
        calls.push(format!("{name} {}", cost.calls));
        rows.push(format!("{name} {}", cost.rows));
        known += cost.us;
    }
    Ok(figure
        .beside("all others", (whole.us - known) / streams)
        .note(format!("{connections} came back in {took_ms:.0} ms while it was counted, by {} statements", whole.calls))
        .note(format!("calls: {}", calls.join(", ")))
        .note(format!("rows: {}", rows.join(", "))))
}

fn figures(connections: usize, few: &Times, all: &Times) -> Vec<Figure> {
    let figure = |count: usize, times: &Times| {
        let ratio = median(times.bare.iter().zip(&times.ours).map(|(bare, ours)| bare / ours).collect());
        Figure::new(format!("storm, {count} come back"), median(times.ours.clone()), "ms to the last")
            .beside("p50", median(times.p50.clone()))
            .against("bare", median(times.bare.clone()), ratio)
            .beside("server, core-s", median(times.cores.server.clone()))
            .beside("database, core-s", median(times.cores.database.clone()))
            .beside("clients, core-s", median(times.cores.clients.clone()))
            .note(format!(
                "each {MISSED} messages behind in one of {ROOMS_EACH} rooms; connections and tokens included"
            ))
    };
    let others = [few.others.clone(), all.others.clone()].concat();
    vec![
        figure(FEW, few).goal(Goal::AtMost(BEST_PEER_MS)),
        figure(connections, all),
        Figure::new(format!("storm, {connections} beyond connections and database"), median(all.beyond.clone()), "ms")
            .goal(Goal::AtMost(BEYOND_BARE_MS))
            .note("less what bare connections take, and the database's time of all processors"),
        Figure::new("storm, sends of others", percentile(others.clone(), 99), "ms, p99")
            .beside("p50", percentile(others, 50))
            .goal(Goal::AtMost(OTHERS_MS))
            .note("one each 20 ms on schedule, over a connection that was there before"),
    ]
}

/// Milliseconds until the last and the middle one of these are live.
async fn storm(address: SocketAddr, people: &[Somebody], hello: streams::Hello<'_>, gap: bool) -> Result<(f64, f64)> {
    let began = Instant::now();
    let streams = Streams::come_back(address, people, AT_ONCE, hello).await?;
    let times = streams.live_after(began);
    if gap {
        let told = streams.deltas();
        ensure!(told >= people.len() as u64, "{told} of {} were told what they missed", people.len());
    }
    Ok((percentile(times.clone(), 100) * 1_000.0, median(times) * 1_000.0))
}

/// The epoch and the watermark of whoever is live now.
pub async fn held(address: SocketAddr, somebody: &Somebody) -> Result<Held> {
    let mut client = SyncServiceClient::new(streams::connect(address, 0).await?);
    let hello = v1::ClientFrame { frame: Some(client_frame::Frame::Hello(v1::Hello::default())) };
    let said = tokio_stream::once(hello).chain(futures_util::stream::pending());
    let mut frames = client.connect(somebody.sign(said)?).await?.into_inner();
    let mut epoch = String::new();
    while let Some(frame) = frames.message().await? {
        match frame.frame {
            Some(server_frame::Frame::Welcome(welcome)) => epoch = welcome.epoch,
            Some(server_frame::Frame::Drained(drained)) => return Ok(Held { epoch, watermark: drained.watermark }),
            _ => {}
        }
    }
    anyhow::bail!("a stream ended before it was live")
}

/// Everybody has been here before: their profiles and devices are known.
pub async fn sign_in(address: SocketAddr, people: &[Somebody]) -> Result<()> {
    let client = IdentityServiceClient::new(streams::connect(address, 0).await?);
    let calls = people.iter().map(|somebody| {
        let (request, mut client) = (somebody.sign(v1::GetMeRequest {}), client.clone());
        async move { client.get_me(request?).await.context("a sign-in was refused").map(drop) }
    });
    all(calls).await
}

async fn all(calls: impl Iterator<Item = impl Future<Output = Result<()>>>) -> Result<()> {
    let mut calls = futures_util::stream::iter(calls).buffer_unordered(MAKING);
    while let Some(done) = calls.next().await {
        done?;
    }
    Ok(())
}

/// Fills the room that each has missed.
async fn miss(address: SocketAddr, people: &[Somebody]) -> Result<()> {
    let client = MessageServiceClient::new(streams::connect(address, 0).await?);
    let sends = (0..people.len() / MEMBERS * MISSED).map(|number| {
        let (room, mut client) = (number / MISSED, client.clone());
        let request = people[room * MEMBERS].sign(streams::message(room));
        async move { client.send_message(request?).await.context("a send was refused").map(drop) }
    });
    all(sends).await
}

/// Somebody who was there before, and sends on a schedule.
struct Others {
    ends: Arc<AtomicBool>,
    task: JoinHandle<Result<Vec<f64>>>,
}

impl Others {
    async fn begin(address: SocketAddr, somebody: &Somebody, room: usize) -> Result<Self> {
        let client = MessageServiceClient::new(streams::connect(address, 0).await?);
        let (ends, somebody) = (Arc::new(AtomicBool::new(false)), somebody.clone());
        let task = tokio::spawn(send_on_schedule(client, somebody, room, Arc::clone(&ends)));
        Ok(Self { ends, task })
    }

    /// Milliseconds from when each was due to its answer.
    async fn end(self) -> Result<Vec<f64>> {
        self.ends.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

async fn send_on_schedule(
    client: MessageServiceClient<tonic::transport::Channel>,
    somebody: Somebody,
    room: usize,
    ends: Arc<AtomicBool>,
) -> Result<Vec<f64>> {
    let mut due = tokio::time::interval(BETWEEN);
    let mut sends = JoinSet::new();
    while !ends.load(Ordering::Relaxed) {
        let at = due.tick().await.into_std();
        let (request, mut client) = (somebody.sign(streams::message(room))?, client.clone());
        sends.spawn(async move {
            client.send_message(request).await.context("a send was refused")?;
            anyhow::Ok(at.elapsed().as_secs_f64() * 1_000.0)
        });
    }
    let mut times = Vec::new();
    while let Some(time) = sends.join_next().await {
        times.push(time??);
    }
    Ok(times)
}
