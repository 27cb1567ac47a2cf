//! Memory of the server for each idle stream with a connection of its own, after its first heartbeat, without and with TLS; beside
//! it a bare tonic server. What the process holds with the first streams open is taken off, so that only what grows is counted.

use std::time::Duration;

use anyhow::{Result, ensure};
use madang_devstack::server_process::Launch;

use crate::Plan;
use crate::connections::Tls;
use crate::crowd::{self, Crowd, Somebody};
use crate::figure::{Figure, Goal, float, median};
use crate::ground::Ground;
use crate::process::{Bare, memory, most_connections, this_program};
use crate::streams::{self, Door, Streams};

/// Streams that are open before counting begins.
const FIRST: usize = 200;

/// Rooms that everybody is in, and people in each.
pub const ROOMS_EACH: usize = 10;
pub const MEMBERS: usize = 50;

/// Bytes of a connection (1 KB is 1,000 bytes).
const MOST_KB: f64 = 23.0;

/// Time between heartbeats, so that nobody waits for the first one.
const HEARTBEAT: &str = "5s";

/// For what is freed late, and for a bare server, which has no heartbeat.
const SETTLE: Duration = Duration::from_secs(2);

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    let connections = plan.connections.min(most_connections());
    ensure!(connections > FIRST * 2, "idle needs more than {} connections, and {connections} may be opened", FIRST * 2);
    plan.say(&format!("\nidle: making {connections} people"));
    let url = ground.database("bench_idle").await?;
    let crowd = Crowd::gather(ground, &url, connections).await?;
    let rooms = connections * ROOMS_EACH / MEMBERS;
    crowd::insert_rooms(&url, rooms, |room| crowd::circle(room, MEMBERS, connections)).await?;
    let launch = launch(&streams::launch(plan, &url, crowd.issuer_url()));
    let tls = Tls::make(plan)?;
    let (mut ours, mut secure, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        plan.say(&format!("idle: round {number} of {}", plan.rounds));
        let mut server = launch.serve().await?;
        ours.push(growth(server.pid(), server.grpc(), &crowd.people, true).await?);
        server.kill().await?;
        let mut server = tls.launch(&launch).serve().await?;
        secure.push(growth(server.pid(), tls.door(server.grpc()), &crowd.people, true).await?);
        server.kill().await?;
        let bare = Bare::start(&this_program()?).await?;
        theirs.push(growth(bare.pid()?, bare.address, &crowd.people, false).await?);
        bare.stop().await?;
    }
    let ratio = |mine: &[f64], others: &[f64]| median(mine.iter().zip(others).map(|(a, b)| a / b).collect());
    let (to_bare, to_clear) = (ratio(&ours, &theirs), ratio(&secure, &ours));
    let clear = median(ours);
    let figure = Figure::new("idle", clear, "KB/connection")
        .against("bare", median(theirs), to_bare)
        .goal(Goal::AtMost(MOST_KB))
        .note(format!(
            "{connections} streams, a connection and a person each, everybody in {ROOMS_EACH} rooms of {MEMBERS}"
        ));
    let secure = Figure::new("idle with TLS", median(secure), "KB/connection").against("without", clear, to_clear);
    Ok(vec![figure, secure])
}

/// A server that tells of itself more often.
pub fn launch(launch: &Launch) -> Launch {
    launch.clone().with("MADANG_HEARTBEAT", HEARTBEAT)
}

/// Thousands of bytes for each stream after the first ones.
pub async fn growth(pid: u32, door: impl Into<Door>, people: &[Somebody], beats: bool) -> Result<f64> {
    let (door, (first, rest)) = (door.into(), people.split_at(FIRST));
    let first = Streams::open(door.clone(), first).await?;
    tokio::time::sleep(SETTLE).await;
    let base = memory(pid)?;
    let all = Streams::open(door, rest).await?;
    if beats {
        all.wait_for_heartbeats().await?;
    }
    tokio::time::sleep(SETTLE).await;
    let grown = memory(pid)?.saturating_sub(base);
    drop((first, all));
    Ok(float(grown) / float(rest.len() as u64) / 1_000.0)
}
