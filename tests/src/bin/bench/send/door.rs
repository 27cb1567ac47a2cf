//! The writer's door: drafts are handed to the write combiner of a node in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use madang_server::clock::{Clock, SystemClock};
use madang_server::config::Config;
use madang_server::database::Database;
use madang_server::ids;
use madang_server::limits::Limits;
use madang_server::messages::{Draft, Writer};
use madang_server::realtime::{Bus, Hub, Node, Record};

use super::{MEMBERS, ROOMS, Sends, member};
use crate::crowd::{self, room_id, user_id};
use crate::figure::{float, median, percentile};

/// Before a measurement counts, until batches have their size.
const WARM: Duration = Duration::from_millis(500);

/// Longer than any send takes here.
const DEADLINE: Duration = Duration::from_secs(20);

/// A node without a door, and its writer.
#[derive(Clone)]
pub struct Door {
    writer: Writer,
    clock: Arc<dyn Clock>,
    text: String,
    /// Newest item of each room as its senders have seen it.
    seen: Arc<Vec<AtomicU64>>,
}

/// How much is sent, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Sends that wait at once.
    pub in_flight: usize,
    /// Rooms that they go to.
    pub rooms: usize,
    /// The sender has seen the room's newest item, so its mark moves along.
    pub marks: bool,
}

impl Load {
    /// So many at once, over all rooms.
    pub fn of(in_flight: usize) -> Self {
        Self { in_flight, rooms: ROOMS, marks: false }
    }
}

/// Tells senders what to do, and gathers what they did.
struct Course {
    counts: AtomicBool,
    ends: AtomicBool,
    load: Load,
}

impl Door {
    /// Makes a node on a database.
    pub async fn open(database_url: &str) -> Result<Self> {
        let config = Config { database_url: database_url.to_owned(), ..Config::default() };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let record = Record::new(Arc::clone(&clock));
        let hub = Arc::new(Hub::new(config.streams_per_person, record, config.guards()));
        let name: Arc<str> = "bench".into();
        let node = Node {
            bus: Bus::start(&config, Arc::clone(&name), Arc::clone(&hub)).await?.0,
            name,
            database: Database::connect(&config).await?,
            limits: Arc::new(Limits::new(&config)),
            hub,
            clock: Arc::clone(&clock),
            config: Arc::new(config),
        };
        let seen = (0..ROOMS).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { writer: Writer::start(node)?, clock, text: crowd::text(), seen: Arc::new(seen) })
    }

    /// Sends for a while without counting: the tables' first pages, the statements' plans.
    pub async fn warm(&self, span: Duration) -> Result<()> {
        self.run(Load::of(512), span).await.map(drop)
    }

    /// Keeps so many sends waiting.
    pub async fn run(&self, load: Load, span: Duration) -> Result<Sends> {
        let course = Arc::new(Course { counts: AtomicBool::new(false), ends: AtomicBool::new(false), load });
        let senders: Vec<_> =
            (0..load.in_flight).map(|_| tokio::spawn(self.clone().send(Arc::clone(&course)))).collect();
        tokio::time::sleep(WARM).await;
        let began = Instant::now();
        course.counts.store(true, Ordering::Relaxed);
        tokio::time::sleep(span).await;
        course.counts.store(false, Ordering::Relaxed);
        let took = began.elapsed();
        course.ends.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for sender in senders {
            times.extend(sender.await??);
        }
        Ok(Sends::of(times, took))
    }

    /// One of the senders: the next send follows the answer to the last one.
    async fn send(self, course: Arc<Course>) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        while !course.ends.load(Ordering::Relaxed) {
            let room = rand::random_range(0..course.load.rooms);
            let draft = self.draft(room, course.load.marks);
            let began = Instant::now();
            let sent = self.writer.send(draft, began + DEADLINE).await;
            let sent = sent.map_err(|error| anyhow!("a send was refused: {error:?}"))?;
            if course.counts.load(Ordering::Relaxed) {
                times.push(began.elapsed().as_secs_f64());
            }
            self.seen[room].fetch_max(u64::try_from(sent.item.seq)?, Ordering::Relaxed);
        }
        Ok(times)
    }

    fn draft(&self, room: usize, marks: bool) -> Draft {
        let id = ids::new(&*self.clock);
        let seen = if marks { self.seen[room].load(Ordering::Relaxed) } else { 0 };
        Draft {
            room_id: room_id(room).into(),
            sender_id: user_id(member(room, rand::random_range(0..MEMBERS))).into(),
            client_message_id: id,
            payload_hash: [id.into_bytes(), id.into_bytes()].concat(),
            text: self.text.clone(),
            format: 1,
            extra: None,
            mentioned: Vec::new(),
            mention_all: false,
            reply_to_seq: 0,
            seen_seq: i64::try_from(seen).unwrap_or_default(),
            seen_generation: 0,
        }
    }
}

impl Sends {
    /// From the times of those that were answered within `took`, in seconds.
    pub fn of(times: Vec<f64>, took: Duration) -> Self {
        let p99 = percentile(times.clone(), 99);
        let per_second = float(times.len() as u64) / took.as_secs_f64();
        Self { per_second, p50_ms: median(times) * 1_000.0, p99_ms: p99 * 1_000.0 }
    }
}
