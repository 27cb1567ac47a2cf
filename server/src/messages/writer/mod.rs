//! The write combiner: drafts and read marks of all rooms wait in one queue, and whatever has gathered while the last commit
//! was in flight goes into one transaction. No timer: an idle server commits at once.
//!
//! Always true: numbers are given under the room's lock, so the order of commits is the order of revisions; membership and
//! rights are read after the lock; a draft whose answer is an error was not written, unless the reason says that nobody
//! knows; a draft past its deadline is dropped before the batch, never after.

mod batch;
mod flights;
mod lanes;
mod rows;

use std::{sync::Arc, thread, time::Instant};

use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
};

use super::{Draft, Mark};
use crate::{
    error::{Error, Reason, Refusal, Result},
    ids::RoomId,
    realtime::Node,
    rooms::Member,
    timeline::Item,
};

/// Drafts that wait (contract). With 33,000 a second written, a quarter of a second.
const MOST_WAITING: usize = 8_192;
/// KiB that wait (contract).
const MOST_WAITING_KIB: usize = 32 * 1024;

/// What became of a message.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The item as it is now.
    pub item: Item,
    /// Revision of the room before; 0 when it was stored by an earlier call.
    pub prev_rev: i64,
    /// Revision after; 0 likewise.
    pub rev: i64,
}

/// What became of a mark.
#[derive(Debug, Clone)]
pub struct Marked {
    /// The person's place now.
    pub member: Member,
    /// Unread items that mention the person.
    pub mentions: Vec<i64>,
    /// Number of the person's changes before; 0 when nothing moved.
    pub prev_user_rev: i64,
    /// Members of the room, which decides whether others are told.
    pub member_count: i32,
}

/// Where drafts are handed in.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::UnboundedSender<Job>,
    places: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

/// A draft that waits, with the places it takes.
#[derive(Debug)]
struct Job {
    task: Task,
    deadline: Instant,
    _place: OwnedSemaphorePermit,
    _kibibytes: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Task {
    Send(Box<Draft>, oneshot::Sender<Result<Sent>>),
    Mark(Mark, oneshot::Sender<Result<Marked>>),
}

impl Writer {
    /// Starts the writer of a node. It ends with the last one who may hand in; until then it has a thread to itself, with its
    /// connections to the database: a batch is eleven statements, and before each it would wait for its turn behind thousands of
    /// streams that are opened, or that the batch before has woken.
    pub fn start(node: Node) -> Result<Self> {
        let (queue, jobs) = mpsc::unbounded_channel();
        let failed = |error| Error::Internal(format!("the writer's thread: {error}"));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let name = format!("writer of {}", node.name);
        let write = async move {
            let connections = node.database.writer_pool().clone();
            lanes::run(node, jobs).await;
            connections.close().await;
        };
        // Where the server's threads end, this one does, whatever it is about.
        let (mut server, ended) = oneshot::channel::<()>();
        tokio::spawn(async move { server.closed().await });
        let work = async move {
            tokio::select! {
                () = write => {}
                _ = ended => {}
            }
        };
        thread::Builder::new().name(name).spawn(move || runtime.block_on(work)).map_err(failed)?;
        Ok(Self {
            queue,
            places: Arc::new(Semaphore::new(MOST_WAITING)),
            kibibytes: Arc::new(Semaphore::new(MOST_WAITING_KIB)),
        })
    }

    /// Writes a message; answers after the commit.
    pub async fn send(&self, draft: Draft, deadline: Instant) -> Result<Sent> {
        let size = draft.size();
        self.hand_in(|answer| Task::Send(Box::new(draft), answer), size, deadline).await
    }

    /// Moves a mark; answers after the commit.
    pub async fn mark(&self, mark: Mark, deadline: Instant) -> Result<Marked> {
        self.hand_in(|answer| Task::Mark(mark, answer), 256, deadline).await
    }

    async fn hand_in<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T>>) -> Task,
        size: usize,
        deadline: Instant,
    ) -> Result<T> {
        let full = |_| Error::refused(Reason::QueueFull, "the write queue is full");
        let kibibytes = u32::try_from(size.div_ceil(1024)).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        let kibibytes = Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes).map_err(full)?;
        let (answer, answered) = oneshot::channel();
        let job = Job { task: task(answer), deadline, _place: place, _kibibytes: kibibytes };
        let stopped = || Error::refused(Reason::Draining, "the writer has stopped");
        self.queue.send(job).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

impl Job {
    fn room_id(&self) -> RoomId {
        match &self.task {
            Task::Send(draft, _) => draft.room_id,
            Task::Mark(mark, _) => mark.room_id,
        }
    }

    /// Answers with an error that all of a batch share.
    fn fail(self, refusal: &Refusal) {
        match self.task {
            Task::Send(_, answer) => _ = answer.send(Err(refusal.clone().into())),
            Task::Mark(_, answer) => _ = answer.send(Err(refusal.clone().into())),
        }
    }
}
