//! The store: one `SQLite` file, owned by one thread.
//!
//! Always true: every write is a transaction on that thread, in the order of the calls; what has changed is told after the
//! commit and never before; what a person typed is on the disk (`synchronous=FULL`) before the call that took it returns,
//! while frames of the server, which can be had again, need not be.

pub(crate) mod drafts;
pub(crate) mod islands;
pub(crate) mod marks;
pub(crate) mod messages;
pub(crate) mod meta;
pub(crate) mod outbox;
pub(crate) mod people;
pub(crate) mod rooms;
mod schema;
mod snapshot;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, Transaction};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::snapshot::take as snapshot;
pub use self::{
    outbox::SendState,
    rooms::Totals,
    snapshot::{OutboxItem, RoomSnapshot, StoreSnapshot},
};
use crate::{
    config::StoreLocation,
    error::{ClientError, ClientErrorKind},
    observe::{Changes, Observers},
    sabotage::Guards,
    sync::{Receiver, Repairs},
};

/// Jobs that may wait for the thread; a caller beyond that waits for room in the queue. More than the calls that a host
/// and the tasks of one client have open at once.
const JOBS: usize = 64;

/// How long to wait for a file that another process, or a client that is just ending, still holds.
const BUSY: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut Db) + Send>;

/// How sure a write must be when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It may be lost with the power, not with the process: the server has it.
    Frames,
    /// Typed by the person: on the disk.
    Outbox,
}

/// The thread's own: the connection and what is remembered beside it.
pub(crate) struct Db {
    conn: Connection,
    observers: Arc<Observers>,
    guards: Guards,
    repairs: Repairs,
    me: String,
}

/// A transaction.
pub(crate) struct Write<'a> {
    /// The transaction.
    pub(crate) tx: Transaction<'a>,
    /// What is told after the commit.
    pub(crate) changes: Changes,
    /// Repairs on their way; survives a transaction that fails, and does no harm then.
    pub(crate) repairs: &'a mut Repairs,
    /// Rules in force.
    pub(crate) guards: Guards,
    /// The person; empty before the first Welcome.
    pub(crate) me: String,
}

impl Write<'_> {
    /// Who receives, for the rules.
    pub(crate) fn receiver(&self) -> Receiver<'_> {
        Receiver { me: &self.me, guards: self.guards }
    }
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

/// Handle of the store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
}

impl Store {
    /// Opens the store, brings its schema up to date and starts its thread. Fails if another process has it open.
    pub(crate) async fn open(
        location: StoreLocation,
        observers: Arc<Observers>,
        guards: Guards,
    ) -> Result<Self, ClientError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(JOBS);
        let (opened, open) = oneshot::channel();
        let run = move || {
            let mut db = match Db::open(&location, observers, guards) {
                Ok(db) => db,
                Err(error) => {
                    let _ = opened.send(Err(error));
                    return;
                }
            };
            let _ = opened.send(Ok(()));
            while let Some(job) = queue.blocking_recv() {
                // A job that panics answers nobody, which its caller reports; its transaction was rolled back.
                let _ = catch_unwind(AssertUnwindSafe(|| job(&mut db)));
            }
        };
        std::thread::Builder::new().name("madang-store".into()).spawn(run).map_err(ClientError::storage)?;
        open.await.map_err(|_| ClientError::storage("the store's thread ended"))??;
        Ok(Self { jobs })
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Db) -> Result<T, ClientError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |db| drop(answer.send(job(db))));
        self.jobs.send(job).await.map_err(|_| ClientError::ended())?;
        answered.await.map_err(|_| ClientError::new(ClientErrorKind::Internal, "a job of the store failed"))?
    }

    /// Reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Read<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ClientError> {
        self.run(move |db| Ok(job(&Read { conn: &db.conn, me: &db.me, guards: db.guards })?)).await
    }

    /// Writes in one transaction; nothing is changed when the job fails.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ClientError> {
        self.run(move |db| db.write(durability, job)).await
    }
}

impl Db {
    pub(crate) fn open(
        location: &StoreLocation,
        observers: Arc<Observers>,
        guards: Guards,
    ) -> Result<Self, ClientError> {
        let mut conn = match location {
            StoreLocation::File(path) => Connection::open(path)?,
            StoreLocation::Memory => Connection::open_in_memory()?,
        };
        conn.busy_timeout(BUSY)?;
        // One process at a time: what is remembered beside the rows would be wrong with two.
        conn.pragma_update(None, "locking_mode", "exclusive")?;
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "normal")?;
        conn.pragma_update(None, "fullfsync", true)?;
        conn.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut conn)?;
        outbox::recover(&conn)?;
        let me = meta::text(&conn, meta::USER_ID)?;
        Ok(Self { conn, observers, guards, repairs: Repairs::default(), me })
    }

    fn write<T>(
        &mut self,
        durability: Durability,
        job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, ClientError> {
        let full = durability == Durability::Outbox;
        if full {
            self.conn.pragma_update(None, "synchronous", "full")?;
        }
        let done = self.transact(job);
        if full {
            self.conn.pragma_update(None, "synchronous", "normal")?;
        }
        let (value, changes) = done?;
        if !changes.is_empty() {
            self.observers.publish(&changes);
        }
        Ok(value)
    }

    /// Writes in one transaction and tells nobody.
    pub(crate) fn transact<T>(
        &mut self,
        job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<(T, Changes)> {
        let mut write = Write {
            tx: self.conn.transaction()?,
            changes: Changes::default(),
            repairs: &mut self.repairs,
            guards: self.guards,
            me: self.me.clone(),
        };
        let value = job(&mut write)?;
        let Write { tx, changes, me, .. } = write;
        tx.commit()?;
        self.me = me;
        Ok((value, changes))
    }
}

#[cfg(feature = "simulation")]
impl Db {
    /// Reads.
    pub(crate) fn read<T>(&self, job: impl FnOnce(&Read<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        job(&Read { conn: &self.conn, me: &self.me, guards: self.guards })
    }

    /// What the next process finds: the rows, and nothing that lived beside them.
    pub(crate) fn reopen(&mut self) -> rusqlite::Result<()> {
        self.repairs = Repairs::default();
        self.me = meta::text(&self.conn, meta::USER_ID)?;
        outbox::recover(&self.conn)
    }

    /// A store without a row, under these rules: emptying one is much faster than making one.
    pub(crate) fn empty(&mut self, guards: Guards) -> rusqlite::Result<()> {
        let tx = self.conn.transaction()?;
        for table in schema::TABLES {
            tx.prepare_cached(&format!("delete from {table}"))?.execute([])?;
        }
        tx.commit()?;
        self.guards = guards;
        self.reopen()
    }
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
}
