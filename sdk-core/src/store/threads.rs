//! The store's threads: one writes, others read beside it. They live from one opening of the file to its closing.
//!
//! Always true: a read sees one committed state, and one that begins after a write has returned sees it; the file is closed by
//! the writer, when no reader has it open any more.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{
    mpsc::{self, OwnedPermit},
    oneshot, watch,
};

use super::{
    Opening, Rescued,
    db::Db,
    lock::{self, Lock},
    open::{self, Opened},
};
use crate::{
    error::ClientError,
    observe::{Observers, lock as guard},
    sabotage::Guards,
};

/// Jobs that may wait for a thread; a caller beyond that waits for room in the queue. More than the calls that a host
/// and the tasks of one client have open at once.
const JOBS: usize = 64;

/// Readers get so long to end what they read; then it is broken off. Half of what a system that puts an app to rest gives.
const READ_OUT: Duration = Duration::from_secs(1);

/// A write, or a read of a store in memory.
pub(super) type WriteJob = Box<dyn FnOnce(&mut Db) + Send>;
/// A read.
pub(super) type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// Handles of the threads. They end when it is dropped, after what was queued, whoever else could still queue: a call that is
/// not waited for any more and not given up either holds a way to the queue.
pub(super) struct Threads {
    pub(super) writes: mpsc::Sender<WriteJob>,
    /// Absent for a store in memory, which has one connection.
    pub(super) reads: Option<mpsc::Sender<ReadJob>>,
    /// What was rescued from a store that had to be set aside.
    pub(super) rescued: Option<Rescued>,
    place: Option<PathBuf>,
    interrupts: Vec<InterruptHandle>,
    closed: watch::Receiver<bool>,
    ending: Ending,
    /// Places in the queues that are kept for the end; taken then.
    last: Option<(OwnedPermit<WriteJob>, Option<OwnedPermit<ReadJob>>)>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Said when the threads are to end.
type Ending = Arc<AtomicBool>;

/// What the writer's thread tells when the store is open.
struct Ready {
    reads: Option<mpsc::Sender<ReadJob>>,
    rescued: Option<Rescued>,
    place: Option<PathBuf>,
    interrupts: Vec<InterruptHandle>,
}

impl Threads {
    /// Opens the store and starts its threads.
    pub(super) async fn start(
        opening: Opening,
        observers: Arc<Observers>,
        guards: Guards,
    ) -> Result<Self, ClientError> {
        let (writes, queue) = mpsc::channel::<WriteJob>(JOBS);
        let (opened, open) = oneshot::channel();
        let (closing, closed) = watch::channel(false);
        let ending = Ending::default();
        let said = Arc::clone(&ending);
        let run = move || {
            write(&opening, observers, guards, (queue, said), opened);
            closing.send_replace(true);
        };
        let thread = Builder::new().name("madang-store".into()).spawn(run).map_err(ClientError::storage)?;
        let ready = open.await.map_err(|_| ClientError::storage("the store's thread ended"))??;
        let Ready { reads, rescued, place, interrupts } = ready;
        let last = Some((keep_place(&writes)?, reads.as_ref().map(keep_place).transpose()?));
        Ok(Self { writes, reads, rescued, place, interrupts, closed, ending, last, thread: Some(thread) })
    }

    /// Ends the threads, after what was queued, and waits until the file is closed. Reads that take too long are broken off.
    pub(super) async fn end(mut self) {
        let (mut closed, thread) = (self.closed.clone(), self.thread.take());
        let interrupts = std::mem::take(&mut self.interrupts);
        drop(self);
        if tokio::time::timeout(READ_OUT, closed.wait_for(|closed| *closed)).await.is_err() {
            interrupts.iter().for_each(InterruptHandle::interrupt);
            let _ = closed.wait_for(|closed| *closed).await;
        }
        // It has done everything by now, so this waits for the system alone.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            lock::ending(place);
        }
        self.ending.store(true, Ordering::SeqCst);
        // Wakes whoever waits for a job.
        let (write, read) = self.last.take().unzip();
        write.map(|place| place.send(Box::new(|_| {})));
        read.flatten().map(|place| place.send(Box::new(|_| {})));
    }
}

/// The writer's thread: from the opening of the store to its closing.
fn write(
    opening: &Opening,
    observers: Arc<Observers>,
    guards: Guards,
    (mut queue, ending): (mpsc::Receiver<WriteJob>, Ending),
    opened: oneshot::Sender<Result<Ready, ClientError>>,
) {
    let (mut db, readers, lock, ready) = match begin(opening, observers, guards, &ending) {
        Ok(begun) => begun,
        Err(error) => return drop(opened.send(Err(error))),
    };
    // Whoever wanted the store may be gone; then the queue has ended too.
    let _ = opened.send(Ok(ready));
    while let Some(job) = next(&mut queue, &ending) {
        // A job that panics answers nobody, which its caller reports; its transaction was rolled back.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut db)));
    }
    for reader in readers {
        let _ = reader.join();
    }
    db.close();
    drop(lock);
}

type Begun = (Db, Vec<JoinHandle<()>>, Option<Lock>, Ready);

fn begin(opening: &Opening, observers: Arc<Observers>, guards: Guards, ending: &Ending) -> Result<Begun, ClientError> {
    let Opened { conn, lock, rescued } = open::open(opening)?;
    let db = Db::new(conn, observers, guards)?;
    let (sender, queue) = mpsc::channel::<ReadJob>(JOBS);
    let queue = Arc::new(Mutex::new(queue));
    let (mut readers, mut interrupts) = (Vec::new(), Vec::new());
    for _ in 0..opening.readers() {
        let conn = open::reader(opening)?;
        interrupts.push(conn.get_interrupt_handle());
        let (queue, ending) = (Arc::clone(&queue), Arc::clone(ending));
        let reader = Builder::new().name("madang-read".into()).spawn(move || read(&conn, &queue, &ending));
        readers.push(reader.map_err(ClientError::storage)?);
    }
    let reads = (!readers.is_empty()).then_some(sender);
    let place = lock.as_ref().map(|lock| lock.place().to_owned());
    Ok((db, readers, lock, Ready { reads, rescued, place, interrupts }))
}

/// A place in a queue that has just begun.
fn keep_place<J>(queue: &mpsc::Sender<J>) -> Result<OwnedPermit<J>, ClientError> {
    queue.clone().try_reserve_owned().map_err(|_| ClientError::storage("the store's queue is full from its beginning"))
}

/// The next job. At the end only what is queued by then: a place in the queue that somebody holds and does not use is not waited
/// for.
fn next<J>(queue: &mut mpsc::Receiver<J>, ending: &AtomicBool) -> Option<J> {
    if ending.load(Ordering::SeqCst) { queue.try_recv().ok() } else { queue.blocking_recv() }
}

/// A reader's thread.
fn read(conn: &Connection, queue: &Mutex<mpsc::Receiver<ReadJob>>, ending: &AtomicBool) {
    loop {
        let job = next(&mut guard(queue), ending);
        let Some(job) = job else { return };
        // As with the writer's: its caller reports it.
        let _ = catch_unwind(AssertUnwindSafe(|| job(conn)));
    }
}
