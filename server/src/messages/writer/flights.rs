//! Batches in flight: while one waits for its commit, the next is read and written, on other rooms and people.
//!
//! Always true: no two batches in flight touch the same room, nor marks of the same person, so each room's drafts commit in
//! the order in which they came.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::Future,
};

use tokio::task::{Id, JoinSet};

use super::{Job, Task, lanes::MOST_IN_BATCH};
use crate::{
    database::WRITER_CONNECTIONS,
    ids::{RoomId, UserId},
};

/// Transactions at once: one computes while the other waits for the disk. More only make batches smaller.
const IN_FLIGHT: usize = WRITER_CONNECTIONS as usize;

/// A second batch must be worth its commit; fewer drafts wait for the first to land, as they would alone.
const WORTH: usize = 64;

/// What a batch in flight has to itself.
#[derive(Debug, Default)]
pub(super) struct Claims {
    rooms: HashSet<RoomId>,
    people: HashSet<UserId>,
}

impl Claims {
    fn has(&self, job: &Job) -> bool {
        self.rooms.contains(&job.room_id()) || marker(job).is_some_and(|user_id| self.people.contains(&user_id))
    }

    fn add(&mut self, job: &Job) {
        self.rooms.insert(job.room_id());
        self.people.extend(marker(job));
    }
}

/// The person whose number a job moves.
fn marker(job: &Job) -> Option<UserId> {
    match &job.task {
        Task::Send(..) => None,
        Task::Mark(mark, _) => Some(mark.user_id),
    }
}

/// Batches in flight, and what waits for them. What waits is bounded with the queue, whose places it keeps.
#[derive(Default)]
pub(super) struct Flights {
    writing: JoinSet<Vec<Job>>,
    claims: HashMap<Id, Claims>,
    /// Drafts that came and were not looked at.
    fresh: VecDeque<Job>,
    /// Drafts that wait for a batch in flight, in their order, and what they keep behind them.
    held: VecDeque<Job>,
    behind: Claims,
}

impl Flights {
    /// Whether nothing is in flight or waits.
    pub(super) fn is_over(&self) -> bool {
        self.writing.is_empty() && self.fresh.is_empty() && self.held.is_empty()
    }

    /// Takes drafts that came.
    pub(super) fn take(&mut self, jobs: impl Iterator<Item = Job>) {
        self.fresh.extend(jobs);
    }

    /// Whether one more batch may start.
    pub(super) fn may_start(&self) -> bool {
        self.writing.len() < IN_FLIGHT
    }

    /// Waits for a batch to land; returns what was locked elsewhere. `None`: none is in flight.
    pub(super) async fn land(&mut self) -> Option<Vec<Job>> {
        let (id, locked) = match self.writing.join_next_with_id().await? {
            Ok((id, locked)) => (id, locked),
            // Whoever handed its drafts in is told that the writer has stopped, and asks again under the same ids.
            Err(error) => (error.id(), Vec::new()),
        };
        self.claims.remove(&id);
        // What waited for it is looked at anew, before what came since.
        self.behind = Claims::default();
        self.held.append(&mut self.fresh);
        std::mem::swap(&mut self.held, &mut self.fresh);
        Some(locked)
    }

    /// Takes out of what waits a batch that may fly now. `keep` looks at it first, in its order.
    pub(super) fn pick(&mut self, keep: impl FnOnce(Vec<Job>) -> Vec<Job>) -> Option<(Vec<Job>, Claims)> {
        let enough = if self.writing.is_empty() { 1 } else { WORTH };
        if !self.may_start() || self.fresh.len() < enough {
            return None;
        }
        let fresh = keep(std::mem::take(&mut self.fresh).into());
        let (mut claims, mut blocked, mut free) = (Claims::default(), Vec::with_capacity(fresh.len()), 0);
        let mut behind = Claims::default();
        for job in &fresh {
            // What waits keeps its room's and person's later drafts behind it.
            let waits = self.claims.values().chain([&self.behind, &behind]).any(|claims| claims.has(job));
            let waits = waits || free == MOST_IN_BATCH;
            let keeps = if waits { &mut behind } else { &mut claims };
            keeps.add(job);
            free += usize::from(!waits);
            blocked.push(waits);
        }
        let flies = free >= enough;
        let mut batch = Vec::with_capacity(free);
        for (job, waits) in fresh.into_iter().zip(blocked) {
            if flies && !waits {
                batch.push(job);
            } else if !flies && (!waits || claims.has(&job)) {
                // Too few for now; what came behind one of them stays there.
                claims.add(&job);
                self.fresh.push_back(job);
            } else {
                self.behind.add(&job);
                self.held.push_back(job);
            }
        }
        flies.then_some((batch, claims))
    }

    /// Lets a batch fly.
    pub(super) fn start(&mut self, claims: Claims, write: impl Future<Output = Vec<Job>> + Send + 'static) {
        let id = self.writing.spawn(write).id();
        self.claims.insert(id, claims);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use proptest::prelude::*;
    use tokio::sync::{Semaphore, oneshot};
    use uuid::Uuid;

    use super::*;
    use crate::messages::Mark;

    /// A mark of a person in a room; its position tells the order.
    fn job(room: u8, person: u8, n: usize) -> Job {
        let mark = Mark {
            room_id: RoomId(Uuid::from_u128(u128::from(room))),
            user_id: UserId(Uuid::from_u128(u128::from(person))),
            seq: i64::try_from(n).expect("few drafts"),
            generation: 0,
            unread: false,
        };
        let place = || Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
        let task = Task::Mark(mark, oneshot::channel().0);
        Job { task, deadline: Instant::now(), _place: place(), _kibibytes: place() }
    }

    fn mark(job: &Job) -> (RoomId, usize) {
        match &job.task {
            Task::Mark(mark, _) => (mark.room_id, usize::try_from(mark.seq).expect("a number")),
            Task::Send(..) => unreachable!("only marks here"),
        }
    }

    proptest! {
        /// Whatever comes and lands in whatever order: nothing is lost, batches in flight share no room and no person, and
        /// those of one room fly in the order in which they came.
        #[test]
        fn drafts_of_a_room_fly_in_their_order(
            steps in prop::collection::vec(prop::option::weighted(0.7, prop::collection::vec((0..90_u8, 0..90_u8), 1..120)), 1..40)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let (mut flights, mut flown, mut came) = (Flights::default(), Vec::new(), Vec::new());
                let landings = std::iter::repeat_n(None, steps.len());
                for step in steps.into_iter().chain(landings) {
                    if let Some(places) = step {
                        let first = came.len();
                        let jobs = places.into_iter().zip(first..).map(|((room, person), n)| job(room, person, n));
                        let jobs: Vec<Job> = jobs.collect();
                        came.extend(jobs.iter().map(mark));
                        flights.take(jobs.into_iter());
                    } else {
                        flights.land().await;
                    }
                    if let Some((batch, claims)) = flights.pick(|jobs| jobs) {
                        for others in flights.claims.values() {
                            prop_assert!(others.rooms.is_disjoint(&claims.rooms));
                            prop_assert!(others.people.is_disjoint(&claims.people));
                        }
                        flown.extend(batch.iter().map(mark));
                        flights.start(claims, async { Vec::new() });
                    }
                }
                while flights.land().await.is_some() {
                    if let Some((batch, claims)) = flights.pick(|jobs| jobs) {
                        flown.extend(batch.iter().map(mark));
                        flights.start(claims, async { Vec::new() });
                    }
                }
                prop_assert!(flights.is_over());
                prop_assert_eq!(by_room(&came), by_room(&flown));
                Ok(())
            })?;
        }
    }

    fn by_room(marks: &[(RoomId, usize)]) -> HashMap<RoomId, Vec<usize>> {
        let mut rooms: HashMap<RoomId, Vec<usize>> = HashMap::new();
        for (room_id, n) in marks {
            rooms.entry(*room_id).or_default().push(*n);
        }
        rooms
    }
}
