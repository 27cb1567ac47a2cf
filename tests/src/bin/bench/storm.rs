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
use crate::figure::{Figure, Goal, median, percentile};
use crate::ground::Ground;
use crate::idle::{MEMBERS, ROOMS_EACH};
use crate::process::{Bare, most_connections, this_program};
use crate::streams::{self, Streams};

/// Messages that each has missed.
const MISSED: usize = 10;

/// The small crowd, which is also what the best peer was measured with.
const FEW: usize = 1_000;

/// Milliseconds that the best peer takes for those, without a look at any token (Centrifugo 6.9 with its engine in memory).
const BEST_PEER_MS: f64 = 164.0;

/// Milliseconds that the whole crowd may take beyond bare connections.
const BEYOND_BARE_MS: f64 = 1_000.0;

/// Milliseconds in which 99 of 100 sends of others are answered meanwhile.
const OTHERS_MS: f64 = 50.0;

/// Connections that are made at once.
const AT_ONCE: usize = 512;

/// Time between two sends of somebody else.
const BETWEEN: Duration = Duration::from_millis(20);

/// Calls that are under way while the history is made.
const MAKING: usize = 64;

/// What everybody holds, but for their rooms.
struct Held {
    epoch: String,
    watermark: i64,
}

#[derive(Debug, Default)]
struct Times {
    ours: Vec<f64>,
    p50: Vec<f64>,
    bare: Vec<f64>,
    beyond: Vec<f64>,
    others: Vec<f64>,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    // Whole rooms of those who come back.
    let connections = plan.connections.min(most_connections()) / MEMBERS * MEMBERS;
    ensure!(connections > FEW, "storm needs more than {FEW} connections, and {connections} may be opened");
    plan.say(&format!("\nstorm: making {connections} people"));
    let url = ground.database("bench_storm").await?;
    let crowd = Crowd::gather(&url, connections + 1).await?;
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
    let hello = |number: usize| v1::Hello {
        epoch: held.epoch.clone(),
        user_rev,
        watermark: held.watermark,
        rooms: vec![v1::RoomCursor { room_id: crowd::room_id(number / MEMBERS).to_string(), rev: 1, seq: 0 }],
    };
    let (mut few, mut all) = (Times::default(), Times::default());
    for number in 1..=plan.rounds {
        plan.say(&format!("storm: round {number} of {}", plan.rounds));
        for (count, times) in [(FEW, &mut few), (connections, &mut all)] {
            let mut server = launch.serve().await?;
            let others = Others::begin(server.grpc(), &crowd.people[connections], rooms).await?;
            let (ours, p50) = storm(server.grpc(), &crowd.people[..count], &hello, true).await?;
            times.others.extend(others.end().await?);
            server.kill().await?;
            let bare = Bare::start(&this_program()?).await?;
            let (theirs, _) = storm(bare.address, &crowd.people[..count], &|_| v1::Hello::default(), false).await?;
            bare.stop().await?;
            times.ours.push(ours);
            times.p50.push(p50);
            times.bare.push(theirs);
            times.beyond.push(ours - theirs);
        }
    }
    Ok(figures(connections, &few, all))
}

fn figures(connections: usize, few: &Times, all: Times) -> Vec<Figure> {
    let figure = |count: usize, times: &Times| {
        let ratio = median(times.bare.iter().zip(&times.ours).map(|(bare, ours)| bare / ours).collect());
        Figure::new(format!("storm, {count} come back"), median(times.ours.clone()), "ms to the last")
            .beside("p50", median(times.p50.clone()))
            .against("bare", median(times.bare.clone()), ratio)
            .note(format!(
                "each {MISSED} messages behind in one of {ROOMS_EACH} rooms; connections and tokens included"
            ))
    };
    let others = [few.others.clone(), all.others.clone()].concat();
    vec![
        figure(FEW, few).goal(Goal::AtMost(BEST_PEER_MS)),
        figure(connections, &all),
        Figure::new(format!("storm, {connections} beyond bare connections"), median(all.beyond), "ms")
            .goal(Goal::AtMost(BEYOND_BARE_MS)),
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
    let times = streams.tally.live_after(began);
    if gap {
        let told = streams.tally.deltas();
        ensure!(told >= people.len() as u64, "{told} of {} were told what they missed", people.len());
    }
    Ok((percentile(times.clone(), 100) * 1_000.0, median(times) * 1_000.0))
}

/// The epoch and the watermark of whoever is live now.
async fn held(address: SocketAddr, somebody: &Somebody) -> Result<Held> {
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
async fn sign_in(address: SocketAddr, people: &[Somebody]) -> Result<()> {
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
