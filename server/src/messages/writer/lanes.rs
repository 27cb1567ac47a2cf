//! The order of batches. The first lane never waits for a lock: what it finds locked goes, in order, to a lane of the room's
//! own, which waits. A room is in one lane at a time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use super::{Job, batch, flights::Flights};
use crate::{
    error::{Error, Reason, Refusal, Result},
    ids::RoomId,
    realtime::Node,
};

/// Drafts in one transaction: beyond it batches get no faster (measured), only later.
pub(super) const MOST_IN_BATCH: usize = 1_024;

/// Rooms that wait for a lock at once, each with a connection of the pool.
const MOST_WAITING_ROOMS: usize = 4;

/// How often a batch that PostgreSQL broke for a deadlock is tried.
const DEADLOCK_TRIES: u32 = 3;

type SlowRooms = Arc<Mutex<HashMap<RoomId, VecDeque<Job>>>>;

/// Both lanes of a node.
#[derive(Clone)]
struct Lanes {
    node: Node,
    slow: SlowRooms,
    waiting: Arc<Semaphore>,
    rooms: TaskTracker,
}

/// Writes until the queue's last sender is gone.
pub async fn run(node: Node, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let (slow, waiting, rooms) = (SlowRooms::default(), Semaphore::new(MOST_WAITING_ROOMS), TaskTracker::new());
    let lanes = Lanes { node, slow, waiting: Arc::new(waiting), rooms };
    let (mut flights, mut gathered, mut open) = (Flights::default(), Vec::with_capacity(MOST_IN_BATCH), true);
    while open || !flights.is_over() {
        tokio::select! {
            biased;
            Some(locked) = flights.land() => lanes.slow_down(locked),
            count = jobs.recv_many(&mut gathered, MOST_IN_BATCH), if open && flights.may_start() => open = count > 0,
        }
        flights.take(gathered.drain(..));
        if let Some((batch, claims)) = flights.pick(|jobs| lanes.keep_fast(jobs)) {
            metrics::histogram!("madang_writer_batch").record(u32::try_from(batch.len()).map_or(f64::MAX, f64::from));
            let lanes = lanes.clone();
            let wait = !lanes.node.database.guards().second_lane();
            flights.start(claims, async move { lanes.write(batch, wait).await });
        }
    }
    lanes.rooms.close();
    lanes.rooms.wait().await;
}

impl Lanes {
    fn slow(&self) -> std::sync::MutexGuard<'_, HashMap<RoomId, VecDeque<Job>>> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what belongs behind a room that waits.
    fn keep_fast(&self, jobs: Vec<Job>) -> Vec<Job> {
        let mut slow = self.slow();
        let mut fast = Vec::with_capacity(jobs.len());
        for job in jobs {
            match slow.get_mut(&job.room_id()) {
                Some(queue) => queue.push_back(job),
                None => fast.push(job),
            }
        }
        fast
    }

    /// Gives each room of which something was locked a lane of its own.
    fn slow_down(&self, locked: Vec<Job>) {
        for job in locked {
            let room_id = job.room_id();
            let mut slow = self.slow();
            let is_new = !slow.contains_key(&room_id);
            slow.entry(room_id).or_default().push_back(job);
            drop(slow);
            if is_new {
                self.rooms.spawn(self.clone().wait_for(room_id));
            }
        }
    }

    /// Writes what waits for one room, until nothing does.
    async fn wait_for(self, room_id: RoomId) {
        let _place = self.waiting.acquire().await;
        loop {
            let jobs: Vec<Job> = {
                let mut slow = self.slow();
                let Some(queue) = slow.get_mut(&room_id) else { return };
                if queue.is_empty() {
                    slow.remove(&room_id);
                    return;
                }
                let most = queue.len().min(MOST_IN_BATCH);
                queue.drain(..most).collect()
            };
            self.write(jobs, true).await;
        }
    }

    /// Writes jobs in their order and answers them; returns what was locked elsewhere. A batch that the database refuses is
    /// halved until the one bad draft is alone, and fails alone.
    async fn write(&self, jobs: Vec<Job>, wait: bool) -> Vec<Job> {
        let mut locked = Vec::new();
        let mut parts = vec![drop_late(jobs)];
        while let Some(mut jobs) = parts.pop() {
            if jobs.is_empty() {
                continue;
            }
            match self.commit(&jobs, wait).await {
                Ok(written) => {
                    let alive = self.node.database.guards().pass("publish").await;
                    locked.extend(batch::answer(&self.node, jobs, written, alive));
                }
                Err(Failure::Data(_)) if jobs.len() > 1 && self.node.database.guards().bisection() => {
                    parts.push(jobs.split_off(jobs.len() / 2));
                    parts.push(jobs);
                }
                Err(Failure::Data(error) | Failure::All(error)) => {
                    let refusal = error.into_refusal();
                    for job in jobs {
                        job.fail(&refusal);
                    }
                }
            }
        }
        locked
    }

    async fn commit(&self, jobs: &[Job], wait: bool) -> Result<batch::Written, Failure> {
        let mut tries = 1;
        loop {
            match self.attempt(jobs, wait).await {
                Err(Failure::All(error)) if error.is_deadlock() && tries < DEADLOCK_TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    async fn attempt(&self, jobs: &[Job], wait: bool) -> Result<batch::Written, Failure> {
        let database = &self.node.database;
        // What waits for a lock must not hold what everybody else's sends need.
        let pool = if wait { database.pool() } else { database.writer_pool() };
        let mut tx = pool.begin().await.map_err(Error::from)?;
        let written = batch::write(&mut tx, &self.node, jobs, wait).await?;
        self.node.database.guards().pass("commit").await;
        match tx.commit().await {
            Ok(()) => Ok(written),
            Err(error @ sqlx::Error::Database(_)) => Err(Error::from(error).into()),
            Err(_) => Err(Failure::All(Error::outcome_unknown())),
        }
    }
}

/// Why a batch was not written.
enum Failure {
    /// The database refuses what one of the drafts holds.
    Data(Error),
    /// It concerns all of them.
    All(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let data = matches!(&error, Error::Database(sqlx::Error::Database(e))
            if e.code().is_some_and(|code| ["22", "23", "P0"].iter().any(|class| code.starts_with(class))));
        if data { Self::Data(error) } else { Self::All(error) }
    }
}

/// Whoever handed these in has stopped waiting: nothing is written for them, and they are told so.
fn drop_late(jobs: Vec<Job>) -> Vec<Job> {
    let now = Instant::now();
    let (late, jobs): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|job| job.deadline + Duration::from_millis(1) < now);
    let refusal = Refusal::new(Reason::DeadlinePassed, "the deadline passed before it was written");
    for job in late {
        job.fail(&refusal);
    }
    jobs
}
