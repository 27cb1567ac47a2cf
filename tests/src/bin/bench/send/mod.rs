//! Durable sends over 10,000 rooms: at the writer's door (a draft in, an answer out, no network), and end to end over gRPC.
//! Beside them, in the same rounds: binary COPY into a table of the same shape with the same indexes, and pgbench with 64
//! clients that insert one row each transaction.

mod copy;
mod door;
mod grpc;
mod profile;
mod single;

use anyhow::Result;

use self::door::Load;
use crate::Plan;
use crate::crowd::{self, Crowd};
use crate::figure::{Figure, Goal, median};
use crate::ground::Ground;

/// Rooms that the sends go to.
const ROOMS: usize = 10_000;

/// People who send, each in as many rooms as the others.
const PEOPLE: usize = 256;

/// Members of a room.
const MEMBERS: usize = 4;

/// Sends that wait at once at the writer's door; its queue takes 8,192.
const DOOR: [usize; 6] = [1, 64, 256, 1_024, 2_048, 4_096];

/// Of these, the one that stands for a busy server.
const MIDDLE: usize = 1_024;

/// The same over gRPC.
const GRPC: [usize; 3] = [64, 256, 1_024];

/// The number of a person who is in a room: `place` is below [`MEMBERS`].
fn member(room: usize, place: usize) -> usize {
    (room + place) % PEOPLE
}

/// What a measurement of sends brought.
#[derive(Clone, Debug, Default)]
struct Sends {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// All measurements of one round, taken one after the other.
#[derive(Debug, Default)]
struct Round {
    door: Vec<Sends>,
    marking: f64,
    hot: f64,
    grpc: Vec<Sends>,
    copy: f64,
    single: f64,
    single_hot: f64,
    fdatasyncs: f64,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    plan.say("\nsend: making 10,000 rooms");
    let url = ground.database("bench_send").await?;
    let crowd = Crowd::gather(ground, &url, PEOPLE).await?;
    crowd::insert_rooms(&url, ROOMS, |room| (0..MEMBERS).map(|place| member(room, place)).collect()).await?;
    let single = single::Single::prepare(plan, ground, &url).await?;
    let mut copy = copy::Copy::prepare(&url).await?;
    let door = door::Door::open(&url).await?;
    let mut grpc = grpc::Grpc::start(plan, &url, &crowd).await?;
    door.warm(plan.span).await?;
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        plan.say(&format!("send: round {number} of {}", plan.rounds));
        rounds.push(round(plan, ground, &door, &mut copy, &single, &grpc).await?);
    }
    let profile = profile::measure(plan, ground, &door, &url).await?;
    grpc.stop().await?;
    let mut figures = figures(&rounds, &single);
    figures.push(profile);
    Ok(figures)
}

async fn round(
    plan: &Plan,
    ground: &Ground,
    door: &door::Door,
    copy: &mut copy::Copy,
    single: &single::Single,
    grpc: &grpc::Grpc,
) -> Result<Round> {
    let mut round = Round { fdatasyncs: ground.fdatasyncs().await?, ..Round::default() };
    ground.settle().await?;
    round.single = single.run(plan.span).await?;
    for in_flight in DOOR {
        round.door.push(door.run(Load::of(in_flight), plan.span).await?);
    }
    round.marking = door.run(Load { marks: true, ..Load::of(MIDDLE) }, plan.span).await?.per_second;
    round.single_hot = single.run_hot(plan.span).await?;
    round.hot = door.run(Load { rooms: 1, ..Load::of(MIDDLE) }, plan.span).await?.per_second;
    round.copy = copy.run().await?;
    for in_flight in GRPC {
        round.grpc.push(grpc.run(in_flight, plan.span).await?);
    }
    Ok(round)
}

fn figures(rounds: &[Round], single: &single::Single) -> Vec<Figure> {
    let of = |get: &dyn Fn(&Round) -> f64| median(rounds.iter().map(get).collect());
    let door = |place: usize| of(&|round| round.door[place].per_second);
    let best = (0..DOOR.len()).max_by(|a, b| door(*a).total_cmp(&door(*b))).unwrap_or_default();
    let mut send = Figure::new("send", door(best), "messages/s")
        .against("copy", of(&|r| r.copy), of(&|r| r.door[best].per_second / r.copy))
        .against("pgbench", of(&|r| r.single), of(&|r| r.door[best].per_second / r.single))
        .beside("fdatasync", of(&|r| r.fdatasyncs))
        .goal(Goal::Ratio("copy", 0.35))
        .goal(Goal::Ratio("pgbench", 4.0))
        .note(format!("at the writer's door, {} in flight, 10,000 rooms, 200 bytes each", DOOR[best]))
        .note("copy: rows a second by binary COPY into the same shape with its indexes, one transaction")
        .note(format!("pgbench: {}", single.how()));
    for (place, in_flight) in DOOR.iter().enumerate() {
        send = send.note(line(*in_flight, rounds.iter().map(|round| &round.door[place])));
    }
    let marking = Figure::new("send with the sender's mark", of(&|r| r.marking), "messages/s").note(
        "the same with 1,024 in flight, each by somebody who has seen what came before, so that the mark moves too",
    );
    let hot = Figure::new("send, one hot room", of(&|r| r.hot), "messages/s")
        .against("row by row", of(&|r| r.single_hot), of(&|r| r.hot / r.single_hot))
        .goal(Goal::Ratio("row by row", 30.0))
        .note(
            "1,024 in flight; row by row: 64 clients, each takes the room's next number, inserts its row and commits",
        );
    let few = DOOR.iter().position(|in_flight| *in_flight == 64).unwrap_or_default();
    let late = Figure::new("send, the last of 100", of(&|r| r.door[few].p99_ms / r.door[0].p50_ms), "commit times")
        .beside("ms, p99", of(&|r| r.door[few].p99_ms))
        .beside("a commit, ms", of(&|r| r.door[0].p50_ms))
        .goal(Goal::AtMost(3.0))
        .note("64 in flight; a commit is a send that is alone: one commit, nothing is waited for");
    let mut figures = vec![send, hot, late, marking];
    let rate = |place: usize| of(&|round| round.grpc[place].per_second);
    let best = (0..GRPC.len()).max_by(|a, b| rate(*a).total_cmp(&rate(*b))).unwrap_or_default();
    let mut end_to_end = Figure::new("send over gRPC", rate(best), "messages/s")
        .note(format!("SendMessage over {} TCP connections, the load on the same cores", grpc::CONNECTIONS));
    for (place, in_flight) in GRPC.iter().enumerate() {
        end_to_end = end_to_end.note(line(*in_flight, rounds.iter().map(|round| &round.grpc[place])));
    }
    figures.push(end_to_end);
    figures
}

fn line<'r>(in_flight: usize, sends: impl Iterator<Item = &'r Sends>) -> String {
    let sends: Vec<&Sends> = sends.collect();
    let of = |get: fn(&Sends) -> f64| median(sends.iter().map(|sends| get(sends)).collect());
    let (rate, p50, p99) = (of(|s| s.per_second), of(|s| s.p50_ms), of(|s| s.p99_ms));
    format!("{in_flight:>5} in flight {rate:>9.0}/s   p50 {p50:>6.1} ms   p99 {p99:>6.1} ms")
}
