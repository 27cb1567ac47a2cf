//! People as they are at the peak of a day: everybody online, in fifty rooms of twenty; each sends a message a minute, of
//! which others read some, types before it, and comes back over a new connection every ten minutes. All of it on schedule,
//! whatever became of what was due before. What counts is when the others see a message, and what it costs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use madang_proto::v1::message_service_client::MessageServiceClient;
use madang_proto::v1::read_service_client::ReadServiceClient;
use madang_proto::v1::{self, client_frame};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::Plan;
use crate::crowd::{self, Crowd, Somebody};
use crate::figure::{Figure, float, percentile};
use crate::ground::Ground;
use crate::process::{family_time, memory, most_connections, processor_time};
use crate::streams::{self, Counting};

const ROOMS_EACH: usize = 50;
const MEMBERS: usize = 20;

/// How often each does it.
const SENDS: Duration = Duration::from_mins(1);
const RECONNECTS: Duration = Duration::from_mins(10);

/// Of the others of a room, so many read a message.
const READERS: usize = 4;

/// Connections that calls go over, beside everybody's stream.
const LINES: usize = 64;

/// Streams that are opened at once.
const OPENING: usize = 64;

/// Time between two words of each client, as the contract asks.
const ACK: Duration = Duration::from_secs(15);

/// Before it counts.
const WARM: Duration = Duration::from_secs(5);

/// Longest wait for what is on its way at the end.
const REST: Duration = Duration::from_secs(10);

/// What happened so far.
#[derive(Default)]
struct Seen {
    /// Microseconds from send to the other's stream.
    ages_us: Mutex<Vec<u64>>,
    deliveries: AtomicU64,
    ended: AtomicU64,
}

/// Everybody, and what they call through.
struct Everybody {
    address: SocketAddr,
    people: Vec<Somebody>,
    lines: Vec<Channel>,
    streams: Vec<Mutex<Option<Online>>>,
    seen: Arc<Seen>,
}

/// What came of a time in which everybody did what they do.
struct Lived {
    /// Milliseconds from when each send was due to its answer.
    answers: Vec<f64>,
    /// Sends and returns that were refused, or not done soon after.
    undone: usize,
}

/// A stream that is listened to until the value goes.
struct Online {
    mouth: mpsc::Sender<v1::ClientFrame>,
    _listening: JoinSet<()>,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for people in &plan.people {
        let people = people.min(&most_connections()) / MEMBERS * MEMBERS;
        ensure!(people >= ROOMS_EACH * MEMBERS, "day needs {} people", ROOMS_EACH * MEMBERS);
        figures.push(day(plan, ground, people).await?);
    }
    Ok(figures)
}

async fn day(plan: &Plan, ground: &Ground, count: usize) -> Result<Figure> {
    plan.say(&format!("\nday: making {count} people"));
    let url = ground.database("bench_day").await?;
    let crowd = Crowd::gather(ground, &url, count).await?;
    crowd::insert_rooms(&url, count * ROOMS_EACH / MEMBERS, |room| crowd::circle(room, MEMBERS, count)).await?;
    crowd::insert_messages(&url, 1).await?;
    let mut server = streams::launch(plan, &url, crowd.issuer_url()).serve().await?;
    let everybody = Arc::new(Everybody::open(server.grpc(), crowd.people.clone()).await?);
    ground.settle().await?;
    plan.say("day: everybody is online");
    everybody.live(WARM).await?;
    let (database, mut watch) = (ground.pid().context("the database runs")?, PgConnection::connect(&url).await?);
    let (wal, before) = (written(&mut watch).await?, (processor_time(server.pid())?, family_time(database)?));
    everybody.seen.ages_us.lock().await.clear();
    let told = everybody.seen.deliveries.load(Ordering::Relaxed);
    let Lived { answers, undone } = everybody.live(plan.day).await?;
    let sends = answers.len() as u64;
    let seconds = plan.day.as_secs_f64();
    let server_cores = processor_time(server.pid())?.saturating_sub(before.0).as_secs_f64() / seconds;
    let database_cores = family_time(database)?.saturating_sub(before.1).as_secs_f64() / seconds;
    let wal = float(u64::try_from(written(&mut watch).await? - wal)?) / float(sends);
    let ages: Vec<f64> = everybody.seen.ages_us.lock().await.iter().map(|age| float(*age) / 1_000.0).collect();
    let deliveries = float(everybody.seen.deliveries.load(Ordering::Relaxed) - told) / seconds;
    let held = float(memory(server.pid())?) / 1e6;
    let ended = everybody.seen.ended.load(Ordering::Relaxed);
    server.kill().await?;
    ensure!(sends > 0, "not one send was answered");
    let figure = Figure::new(format!("day, {count} online"), percentile(ages.clone(), 99), "ms from send to seen, p99")
        .beside("p50", percentile(ages, 50))
        .beside("answer, p99", percentile(answers, 99))
        .beside("server, cores", server_cores)
        .beside("database, cores", database_cores)
        .beside("server, MB", held)
        .beside("deliveries/s", deliveries)
        .beside("sends/s", float(sends) / seconds)
        .beside("WAL bytes a send", wal)
        .note(format!(
            "{ROOMS_EACH} rooms each, of {MEMBERS}; {READERS} read each message; {seconds:.0} s, the load on the same cores"
        ));
    if undone == 0 && ended == 0 {
        return Ok(figure);
    }
    // More than this machine carries: what was answered says little then.
    Ok(figure.note(format!(
        "too much for this machine: {undone} sends and returns were not done {} s after the end, {ended} streams ended by themselves",
        REST.as_secs()
    )))
}

/// Bytes of log that the database has written so far.
async fn written(connection: &mut PgConnection) -> Result<i64> {
    let query = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    Ok(sqlx::query_scalar(query).fetch_one(connection).await?)
}

impl Everybody {
    async fn open(address: SocketAddr, people: Vec<Somebody>) -> Result<Self> {
        let mut lines = Vec::new();
        for number in 0..LINES {
            lines.push(streams::connect(address, number).await?);
        }
        let (streams, seen) = (people.iter().map(|_| Mutex::default()).collect(), Arc::default());
        let everybody = Self { address, people, lines, streams, seen };
        let opening = (0..everybody.people.len()).map(|number| everybody.come(number));
        let mut opening = futures_util::stream::iter(opening).buffer_unordered(OPENING);
        // Opening all takes longer than a server waits for a word of the first ones.
        let mut acknowledging = tokio::time::interval(ACK);
        loop {
            tokio::select! {
                opened = opening.next() => match opened {
                    Some(opened) => opened?,
                    None => break,
                },
                _ = acknowledging.tick() => everybody.say_that_all_live(),
            }
        }
        drop(opening);
        Ok(everybody)
    }

    /// Somebody opens a stream, and leaves the one before.
    async fn come(&self, number: usize) -> Result<()> {
        let mut place = self.streams[number].lock().await;
        drop(place.take());
        let reading = Counting { stamps: true };
        let (mouth, mut frames) =
            streams::open_reading(self.address, number, &self.people[number], v1::Hello::default(), reading).await?;
        loop {
            let frame = frames.next().await.context("a stream ended before it was live")??;
            if frame.is_drained() {
                break;
            }
        }
        let (seen, mut listening) = (Arc::clone(&self.seen), JoinSet::new());
        listening.spawn(async move {
            while let Some(Ok(frame)) = frames.next().await {
                if let Some(age) = frame.age_us() {
                    seen.deliveries.fetch_add(1, Ordering::Relaxed);
                    seen.ages_us.lock().await.push(age);
                }
            }
            seen.ended.fetch_add(1, Ordering::Relaxed);
        });
        *place = Some(Online { mouth, _listening: listening });
        Ok(())
    }

    /// Lets everybody do what they do.
    async fn live(self: &Arc<Self>, span: Duration) -> Result<Lived> {
        let people = u32::try_from(self.people.len())?;
        let mut sending = tokio::time::interval(SENDS / people);
        let mut coming = tokio::time::interval(RECONNECTS / people);
        let mut acknowledging = tokio::time::interval(ACK);
        let ends = tokio::time::sleep(span);
        tokio::pin!(ends);
        let (mut sends, mut returns) = (JoinSet::new(), JoinSet::new());
        loop {
            tokio::select! {
                at = sending.tick() => {
                    let everybody = Arc::clone(self);
                    sends.spawn(async move { everybody.send(at.into_std()).await });
                }
                _ = coming.tick() => {
                    let (everybody, number) = (Arc::clone(self), rand::random_range(0..self.people.len()));
                    returns.spawn(async move { everybody.come(number).await });
                }
                _ = acknowledging.tick() => self.say_that_all_live(),
                () = &mut ends => break,
            }
        }
        let mut lived = Lived { answers: Vec::new(), undone: 0 };
        let rest = async {
            while let Some(sent) = sends.join_next().await {
                match sent? {
                    Ok(took) => lived.answers.push(took),
                    Err(_) => lived.undone += 1,
                }
            }
            while let Some(back) = returns.join_next().await {
                lived.undone += usize::from(back?.is_err());
            }
            anyhow::Ok(())
        };
        if let Ok(done) = tokio::time::timeout(REST, rest).await {
            done?;
        }
        lived.undone += sends.len() + returns.len();
        Ok(lived)
    }

    /// Somebody types and sends to one of their rooms, and some of the others read it.
    async fn send(&self, due: std::time::Instant) -> Result<f64> {
        let people = self.people.len();
        let room = rand::random_range(0..people * ROOMS_EACH / MEMBERS);
        let inside = crowd::circle(room, MEMBERS, people);
        let first = rand::random_range(0..MEMBERS);
        let (sender, line) = (inside[first], self.line());
        let typing = v1::Typing { room_id: crowd::room_id(room).to_string() };
        if let Some(online) = &*self.streams[sender].lock().await {
            online.mouth.try_send(streams::frame(client_frame::Frame::Typing(typing))).ok();
        }
        let request = self.people[sender].sign(streams::stamped(room))?;
        let sent = MessageServiceClient::new(line).send_message(request).await.context("a send was refused")?;
        let took = due.elapsed().as_secs_f64() * 1_000.0;
        let seq = sent.into_inner().message.map_or(0, |message| message.seq);
        for reader in 1..=READERS {
            let (reader, line) = (inside[(first + reader) % MEMBERS], self.line());
            let request = v1::MarkReadRequest { room_id: crowd::room_id(room).to_string(), seq, generation: 0 };
            let request = self.people[reader].sign(request)?;
            ReadServiceClient::new(line).mark_read(request).await.context("a mark was refused")?;
        }
        Ok(took)
    }

    fn line(&self) -> Channel {
        self.lines[rand::random_range(0..LINES)].clone()
    }

    fn say_that_all_live(&self) {
        for place in &self.streams {
            // Whoever is coming just now needs to say nothing.
            if let Ok(place) = place.try_lock()
                && let Some(online) = &*place
            {
                online.mouth.try_send(streams::frame(client_frame::Frame::Ack(v1::Ack::default()))).ok();
            }
        }
    }
}
