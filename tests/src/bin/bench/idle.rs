//! Memory of the server for each idle stream with a connection of its own, after its first heartbeat; beside it a bare tonic
//! server. What the process holds with the first streams open is taken off, so that only what grows is counted.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::Plan;
use crate::crowd::{self, Crowd};
use crate::figure::{Figure, Goal, float, median};
use crate::ground::Ground;
use crate::process::{Bare, memory, most_connections, this_program};
use crate::streams::{self, Streams};

/// Streams that are open before counting begins.
const FIRST: usize = 200;

/// Rooms that everybody is in, and people in each.
pub const ROOMS_EACH: usize = 10;
pub const MEMBERS: usize = 50;

/// Bytes of a connection (1 KB is 1,000 bytes).
const MOST_KB: f64 = 23.0;

/// For what is freed late, and for a bare server, which has no heartbeat.
const SETTLE: Duration = Duration::from_secs(2);

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    let connections = plan.connections.min(most_connections());
    ensure!(connections > FIRST * 2, "idle needs more than {} connections, and {connections} may be opened", FIRST * 2);
    plan.say(&format!("\nidle: making {connections} people"));
    let url = ground.database("bench_idle").await?;
    let crowd = Crowd::gather(&url, connections).await?;
    let rooms = connections * ROOMS_EACH / MEMBERS;
    crowd::insert_rooms(&url, rooms, |room| crowd::circle(room, MEMBERS, connections)).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        plan.say(&format!("idle: round {number} of {}", plan.rounds));
        let mut server = streams::launch(plan, &url, crowd.issuer_url()).serve().await?;
        ours.push(growth(server.pid(), server.grpc(), &crowd, true).await?);
        server.kill().await?;
        let bare = Bare::start(&this_program()?).await?;
        theirs.push(growth(bare.pid()?, bare.address, &crowd, false).await?);
        bare.stop().await?;
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let figure = Figure::new("idle", median(ours), "KB/connection")
        .against("bare", median(theirs), median(ratios))
        .goal(Goal::AtMost(MOST_KB))
        .note(format!(
            "{connections} streams, a connection and a person each, everybody in {ROOMS_EACH} rooms of {MEMBERS}"
        ));
    Ok(vec![figure])
}

/// Thousands of bytes for each stream after the first ones.
async fn growth(pid: u32, address: SocketAddr, crowd: &Crowd, beats: bool) -> Result<f64> {
    let (first, rest) = crowd.people.split_at(FIRST);
    let first = Streams::open(address, first).await?;
    tokio::time::sleep(SETTLE).await;
    let base = memory(pid)?;
    let all = Streams::open(address, rest).await?;
    if beats {
        all.wait_for_heartbeats().await?;
    }
    tokio::time::sleep(SETTLE).await;
    let grown = memory(pid)?.saturating_sub(base);
    drop((first, all));
    Ok(float(grown) / float(rest.len() as u64) / 1_000.0)
}
