//! The store: one `SQLite` file, written by one thread and read by others beside it.
//!
//! Always true: every write is a transaction on the writer's thread, in the order of the calls; what has changed is told
//! after the commit and never before, and a read that begins after that sees it; what a person typed is on the disk
//! (`synchronous=FULL`) before the call that took it returns, while frames of the server, which can be had again, need not
//! be; one client at a time has the file (`lock.rs`).

mod db;
pub(crate) mod drafts;
pub(crate) mod face;
pub(crate) mod islands;
mod lock;
pub(crate) mod marks;
pub(crate) mod messages;
pub(crate) mod meta;
pub(crate) mod notified;
mod open;
pub(crate) mod outbox;
pub(crate) mod people;
mod rescue;
pub(crate) mod rooms;
mod schema;
pub(crate) mod size;
mod snapshot;
mod threads;
pub(crate) mod visits;

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

#[cfg(feature = "simulation")]
pub(crate) use self::db::Db;
pub(crate) use self::{db::Write, open::Opening, snapshot::take as snapshot};
pub use self::{
    messages::MessageKey,
    outbox::{ChangeKind, SendState},
    rescue::Rescued,
    rooms::Totals,
    snapshot::{OutboxItem, RoomSnapshot, StoreSnapshot},
};
use self::{
    open::erase,
    threads::{ReadJob, Threads, WriteJob},
};
use crate::{
    config::StoreLocation,
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::Observers,
    sabotage::Guards,
};

/// How sure a write must be when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It may be lost with the power, not with the process: the server has it.
    Frames,
    /// Typed by the person: on the disk.
    Outbox,
}

/// A read: the committed state.
pub(crate) struct Read<'a> {
    /// The connection.
    pub(crate) conn: &'a Connection,
    /// The person; empty before the first Welcome.
    pub(crate) me: &'a str,
    /// Rules in force.
    pub(crate) guards: Guards,
}

/// A look at a state, or at why there is none.
type Look = Box<dyn FnOnce(rusqlite::Result<&Read<'_>>) + Send>;

/// Handle of the store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    opening: Opening,
    observers: Arc<Observers>,
    guards: Guards,
    state: watch::Sender<State>,
}

/// Whether the file is open.
#[derive(Debug)]
enum State {
    Open(Threads),
    /// Closed, to be opened again. A store in memory is only not to be had: closed it would be gone.
    Suspended(Option<Threads>),
    /// Closed for good.
    Ended,
}

impl Store {
    /// Opens the store, brings its schema up to date and starts its threads. Fails at once if another has it open.
    pub(crate) async fn open(
        opening: impl Into<Opening>,
        observers: Arc<Observers>,
        guards: Guards,
    ) -> Result<Self, ClientError> {
        let opening = opening.into();
        let threads = Threads::start(opening.clone(), Arc::clone(&observers), guards).await?;
        let state = watch::Sender::new(State::Open(threads));
        Ok(Self { shared: Arc::new(Shared { opening, observers, guards, state }) })
    }

    /// Reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Read<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ClientError> {
        let (answer, answered) = oneshot::channel();
        self.look(Box::new(move |state| drop(answer.send(state.and_then(job))))).await?;
        self.took(answered.await.map_err(|_| job_failed())?.map_err(ClientError::from))
    }

    /// Writes in one transaction; nothing is changed when the job fails.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ClientError> {
        let (answer, answered) = oneshot::channel();
        self.queue(Box::new(move |db| drop(answer.send(db.write(durability, job))))).await?;
        self.took(answered.await.map_err(|_| job_failed())?)
    }

    /// Gives the disk back what the file does not need, a part of it; tells whether there is more.
    pub(crate) async fn shrink(&self) -> Result<bool, ClientError> {
        let (answer, answered) = oneshot::channel();
        self.queue(Box::new(move |db| drop(answer.send(size::shrink(&db.conn))))).await?;
        self.took(answered.await.map_err(|_| job_failed())?.map_err(ClientError::from))
    }

    /// Has a thread look. Of one type whatever is looked for: everything from here to the thread would be compiled anew for each
    /// of a hundred reads, and phones carry it.
    async fn look(&self, look: Look) -> Result<(), ClientError> {
        let guards = self.shared.guards;
        if let Some(reads) = self.open_threads(|threads| threads.reads.clone())? {
            let job: ReadJob = Box::new(move |conn| open::read(conn, guards, look));
            return reads.send(job).await.map_err(|_| self.why_closed());
        }
        self.queue(Box::new(move |db| db.look(look))).await
    }

    async fn queue(&self, job: WriteJob) -> Result<(), ClientError> {
        let writes = self.open_threads(|threads| threads.writes.clone())?;
        writes.send(job).await.map_err(|_| self.why_closed())
    }

    /// Writes by and by; nobody is told when it fails, so only for what may be lost.
    pub(crate) fn write_soon(&self, job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let job: WriteJob = Box::new(move |db| drop(db.write(Durability::Frames, job)));
        let _ = self.open_threads(|threads| threads.writes.try_send(job));
    }

    /// Closes the file, so that another process may open it, until [`reopen`](Self::reopen). Returns when it is closed.
    pub(crate) async fn suspend(&self) {
        let threads = self.replace(State::Suspended(None));
        match (threads, &self.shared.opening.location) {
            (Some(threads), StoreLocation::File(_)) => threads.end().await,
            (threads, StoreLocation::Memory) => drop(self.replace(State::Suspended(threads))),
            (None, StoreLocation::File(_)) => {}
        }
    }

    /// Opens the file again. Nothing happens when it is open; fails when the store has ended, or as opening does.
    pub(crate) async fn reopen(&self) -> Result<(), ClientError> {
        let Shared { opening, observers, guards, state } = &*self.shared;
        if !self.is_suspended() {
            return self.open_threads(|_| ());
        }
        let mut threads = match self.replace(State::Suspended(None)) {
            None => Some(Threads::start(opening.clone(), Arc::clone(observers), *guards).await?),
            kept => kept,
        };
        state.send_if_modified(|state| {
            let wanted = matches!(state, State::Suspended(_));
            if let Some(threads) = threads.take_if(|_| wanted) {
                *state = State::Open(threads);
            }
            wanted
        });
        // Ended meanwhile.
        if threads.is_some() { Err(ClientError::ended()) } else { Ok(()) }
    }

    /// Closes the file for good. Returns when it is closed.
    pub(crate) async fn end(&self) {
        if let Some(threads) = self.replace(State::Ended) {
            threads.end().await;
        }
    }

    /// Closes the file for good and does not wait for that.
    pub(crate) fn end_soon(&self) {
        drop(self.replace(State::Ended));
    }

    /// Ends the store and removes everything it had on the disk. Fails if another has it open, and then removes nothing.
    pub(crate) async fn erase(&self) -> Result<(), ClientError> {
        self.end().await;
        erase(&self.shared.opening)
    }

    /// Whether the file is closed, to be opened again.
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(*self.shared.state.borrow(), State::Suspended(_))
    }

    /// Whether the file is closed for good.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.shared.state.borrow(), State::Ended)
    }

    /// Waits a rest of the store out that this failure came of; `false`: it came of something else.
    pub(crate) async fn outlasts(&self, error: &ClientError) -> bool {
        if error.local != Some(LocalReason::Suspended) {
            return false;
        }
        let mut states = self.shared.state.subscribe();
        let _ = states.wait_for(|state| !matches!(state, State::Suspended(_))).await;
        true
    }

    /// What was rescued when the store had to be set aside, as of its last opening.
    pub(crate) fn rescued(&self) -> Option<Rescued> {
        self.open_threads(|threads| threads.rescued.clone()).ok().flatten()
    }

    /// Takes the threads out, if they run. What has ended stays so.
    fn replace(&self, next: State) -> Option<Threads> {
        let mut was = None;
        self.shared.state.send_if_modified(|state| {
            let over = matches!(state, State::Ended);
            if !over {
                was = Some(std::mem::replace(state, next));
            }
            !over
        });
        match was {
            Some(State::Open(threads)) => Some(threads),
            Some(State::Suspended(threads)) => threads,
            Some(State::Ended) | None => None,
        }
    }

    fn open_threads<T>(&self, pick: impl FnOnce(&Threads) -> T) -> Result<T, ClientError> {
        match &*self.shared.state.borrow() {
            State::Open(threads) => Ok(pick(threads)),
            State::Suspended(_) => Err(ClientError::suspended()),
            State::Ended => Err(ClientError::ended()),
        }
    }

    fn why_closed(&self) -> ClientError {
        self.open_threads(|_| ()).err().unwrap_or_else(ClientError::ended)
    }

    /// Notes for the next opening that the file is damaged, and tells a job that was broken off by a rest why.
    fn took<T>(&self, done: Result<T, ClientError>) -> Result<T, ClientError> {
        done.map_err(|error| {
            if error.local == Some(LocalReason::StoreDamaged) {
                rescue::suspect(&self.shared.opening);
            }
            if error.kind == ClientErrorKind::Cancelled { self.why_closed() } else { error }
        })
    }
}

fn job_failed() -> ClientError {
    ClientError::new(ClientErrorKind::Internal, "a job of the store failed")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) async fn memory() -> Store {
        Store::open(StoreLocation::Memory, Arc::default(), Guards::default()).await.unwrap()
    }

    #[tokio::test]
    async fn a_write_that_fails_changes_nothing_and_tells_nobody() {
        let observers = Arc::new(Observers::default());
        let store = Store::open(StoreLocation::Memory, Arc::clone(&observers), Guards::default()).await.unwrap();
        let failed = store
            .write(Durability::Frames, |w| {
                meta::set(&w.tx, meta::EPOCH, "e")?;
                w.changes.room("r");
                Err::<(), _>(rusqlite::Error::QueryReturnedNoRows)
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(store.read(|r| meta::text(r.conn, meta::EPOCH)).await.unwrap(), "");
        assert_eq!(*observers.count().borrow(), 0);
    }

    #[tokio::test]
    async fn a_job_that_panics_fails_alone() {
        let store = memory().await;
        let panicked = store.write(Durability::Frames, |_| -> rusqlite::Result<()> { panic!("on purpose") }).await;
        assert_eq!(panicked.unwrap_err().kind, ClientErrorKind::Internal);
        assert!(store.read(|r| meta::text(r.conn, meta::EPOCH)).await.is_ok());
    }

    #[tokio::test]
    async fn one_process_at_a_time_and_everything_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let at = StoreLocation::File(folder.path().join("store.db"));
        let store = Store::open(at.clone(), Arc::default(), Guards::default()).await.unwrap();
        store.write(Durability::Outbox, |w| meta::set(&w.tx, meta::EPOCH, "e1")).await.unwrap();
        drop(store);
        let store = Store::open(at, Arc::default(), Guards::default()).await.unwrap();
        assert_eq!(store.read(|r| meta::text(r.conn, meta::EPOCH)).await.unwrap(), "e1");
    }

    /// A store on a file.
    async fn on_file(folder: &tempfile::TempDir) -> Store {
        let at = StoreLocation::File(folder.path().join("store.db"));
        Store::open(at, Arc::default(), Guards::default()).await.unwrap()
    }

    #[tokio::test]
    async fn a_read_waits_for_no_write_and_sees_every_write_that_has_returned() {
        let folder = tempfile::tempdir().unwrap();
        let store = on_file(&folder).await;
        store.write(Durability::Frames, |w| meta::set(&w.tx, meta::EPOCH, "before")).await.unwrap();
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let long = store.write(Durability::Frames, move |w| {
            meta::set(&w.tx, meta::EPOCH, "after")?;
            let _ = begun.send(());
            let _ = waits.recv();
            Ok(())
        });
        let beside = async {
            begins.await.unwrap();
            let epoch = store.read(|r| meta::text(r.conn, meta::EPOCH)).await.unwrap();
            drop(go_on);
            epoch
        };
        let (wrote, epoch) = tokio::join!(long, beside);
        wrote.unwrap();
        assert_eq!(epoch, "before");
        assert_eq!(store.read(|r| meta::text(r.conn, meta::EPOCH)).await.unwrap(), "after");
    }

    #[tokio::test]
    async fn a_write_waits_for_whoever_holds_the_file_for_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let store = on_file(&folder).await;
        let other = Connection::open(folder.path().join("store.db")).unwrap();
        other.execute_batch("begin immediate").unwrap();
        let (begun, begins) = oneshot::channel();
        let write = store.write(Durability::Frames, move |w| {
            let epoch = meta::text(&w.tx, meta::EPOCH)?;
            meta::set(&w.tx, meta::EPOCH, epoch + "e")?;
            let _ = begun.send(());
            Ok(())
        });
        let (done, ()) = tokio::join!(write, async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            other.execute_batch("rollback").unwrap();
        });
        done.unwrap();
        begins.await.unwrap();
    }

    #[tokio::test]
    async fn a_read_sees_one_state_however_long_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let store = on_file(&folder).await;
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let read = store.read(move |r| {
            let first = meta::text(r.conn, meta::EPOCH)?;
            let _ = begun.send(());
            let _ = waits.recv();
            Ok((first, meta::text(r.conn, meta::EPOCH)?))
        });
        let write = async {
            begins.await.unwrap();
            store.write(Durability::Frames, |w| meta::set(&w.tx, meta::EPOCH, "e")).await.unwrap();
            drop(go_on);
        };
        let (seen, ()) = tokio::join!(read, write);
        assert_eq!(seen.unwrap(), (String::new(), String::new()));
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_and_nobody_gave_up_holds_up_no_end() {
        use futures_util::FutureExt as _;
        let folder = tempfile::tempdir().unwrap();
        for store in [memory().await, on_file(&folder).await] {
            let calls = [(); 2].map(|()| std::sync::mpsc::channel::<()>());
            let [(write_on, write), (read_on, read)] = calls;
            let mut write = Box::pin(store.write(Durability::Frames, move |w| {
                let _ = write.recv();
                meta::set(&w.tx, meta::EPOCH, "e")
            }));
            let mut read = Box::pin(store.read(move |r| {
                let _ = read.recv();
                meta::text(r.conn, meta::EPOCH)
            }));
            assert!((&mut write).now_or_never().is_none() && (&mut read).now_or_never().is_none());
            // More than find room in the queues: some of them get a place that they never use.
            let mut more = Vec::new();
            for _ in 0..100 {
                more.push(store.write(Durability::Frames, |_| Ok(())).boxed());
                more.push(store.read(|_| Ok(())).boxed());
            }
            let waiting = more.iter_mut().filter_map(|call| call.now_or_never().is_none().then_some(())).count();
            assert!(waiting >= 100, "all that write");
            drop((write_on, read_on));
            tokio::time::timeout(std::time::Duration::from_secs(10), store.end()).await.unwrap();
            assert!(store.has_ended());
        }
    }

    #[tokio::test]
    async fn a_read_that_takes_too_long_does_not_hold_up_a_rest() {
        let folder = tempfile::tempdir().unwrap();
        let store = on_file(&folder).await;
        let endless = "with recursive n(n) as (select 1 union all select n + 1 from n) select count(*) from n";
        let (begun, begins) = oneshot::channel();
        let read = store.read(move |r| {
            let _ = begun.send(());
            r.conn.query_row(endless, [], |_| Ok(()))
        });
        let rest = async {
            begins.await.unwrap();
            store.suspend().await;
        };
        let (broken_off, ()) = tokio::join!(read, rest);
        assert_eq!(broken_off.unwrap_err().local, Some(LocalReason::Suspended));
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_forgotten_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = on_file(&folder).await;
        let write = |bytes: usize| {
            let large = "x".repeat(bytes);
            store.write(Durability::Outbox, move |w| meta::set(&w.tx, meta::EPOCH, large))
        };
        let pages =
            |most: i64| store.write(Durability::Frames, move |w| w.tx.pragma_update(None, "max_page_count", most));
        pages(1).await.unwrap();
        let error = write(1 << 20).await.unwrap_err();
        assert_eq!((error.kind, error.local), (ClientErrorKind::Storage, Some(LocalReason::DiskFull)));
        assert_eq!(store.read(|r| meta::text(r.conn, meta::EPOCH)).await.unwrap(), "");
        write(1).await.unwrap();
        pages(1 << 20).await.unwrap();
        write(1 << 20).await.unwrap();
    }

    #[tokio::test]
    async fn a_disk_that_takes_no_writes_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = on_file(&folder).await;
        let writes = store.open_threads(|threads| threads.writes.clone()).unwrap();
        let takes_writes = |yes: bool| {
            // Outside of a transaction, which could not begin.
            let job: WriteJob = Box::new(move |db| db.conn.pragma_update(None, "query_only", !yes).unwrap());
            writes.send(job)
        };
        takes_writes(false).await.unwrap();
        let error = store.write(Durability::Frames, |w| meta::set(&w.tx, meta::EPOCH, "e")).await.unwrap_err();
        assert_eq!(error.local, Some(LocalReason::DiskReadOnly));
        takes_writes(true).await.unwrap();
        store.write(Durability::Frames, |w| meta::set(&w.tx, meta::EPOCH, "e")).await.unwrap();
    }
}
