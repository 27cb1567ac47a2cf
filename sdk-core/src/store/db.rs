//! The writer's own: its connection and what is remembered beside the rows.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

#[cfg(feature = "simulation")]
use super::schema;
use super::{Durability, Look, Read, meta, outbox};
use crate::{
    error::ClientError,
    observe::{Changes, Observers, lock},
    sabotage::Guards,
    sync::{Receiver, Repairs},
};

/// The writer's own: the connection and what is remembered beside the rows.
pub(crate) struct Db {
    pub(super) conn: Connection,
    observers: Arc<Observers>,
    guards: Guards,
    repairs: Repairs,
    me: String,
    touched: Touched,
}

/// Entries of the outbox that the transaction has touched, by number. SQLite tells, so that no statement can be forgotten.
type Touched = Arc<Mutex<BTreeSet<i64>>>;

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

impl Db {
    /// Takes over a connection to a store that was opened in order.
    pub(super) fn new(conn: Connection, observers: Arc<Observers>, guards: Guards) -> rusqlite::Result<Self> {
        let me = meta::text(&conn, meta::USER_ID)?;
        let touched = Touched::default();
        let told = Arc::clone(&touched);
        conn.update_hook(Some(move |_, _: &str, table: &str, row| {
            if table == outbox::TABLE {
                lock(&told).insert(row);
            }
        }))?;
        Ok(Self { conn, observers, guards, repairs: Repairs::default(), me, touched })
    }

    /// Looks on the writer's own connection.
    pub(super) fn look(&self, look: Look) {
        look(Ok(&Read { conn: &self.conn, me: &self.me, guards: self.guards }));
    }

    pub(super) fn write<T>(
        &mut self,
        durability: Durability,
        job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, ClientError> {
        let (mut job, mut value) = (Some(job), None);
        self.commit(durability, &mut |w| {
            value = job.take().map(|job| job(w)).transpose()?;
            Ok(())
        })?;
        Ok(value.expect("a transaction commits after its job"))
    }

    /// Not of a type for each job: see [`Store`](super::Store).
    fn commit(
        &mut self,
        durability: Durability,
        job: &mut dyn FnMut(&mut Write<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), ClientError> {
        let full = durability == Durability::Outbox;
        if full {
            self.conn.pragma_update(None, "synchronous", "full")?;
        }
        let done = self.transact(job);
        if full {
            self.conn.pragma_update(None, "synchronous", "normal")?;
        }
        let ((), changes) = done?;
        if !changes.is_empty() {
            self.observers.publish(&changes);
        }
        self.observers.waiters.touched(&std::mem::take(&mut *lock(&self.touched)));
        Ok(())
    }

    /// Writes in one transaction and tells nobody.
    pub(crate) fn transact<T>(
        &mut self,
        job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<(T, Changes)> {
        lock(&self.touched).clear();
        // From the first statement on: a transaction that has read waits for nobody when it comes to write, and a reader that
        // meets the index of the log half written holds the lock of writers for a moment.
        let mut write = Write {
            tx: self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?,
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

    /// Everything into the file itself; the files beside it go with the connection. Best effort: what stays in them is read
    /// at the next opening.
    pub(super) fn close(self) {
        let checkpoint = self.conn.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()));
        if let Err(error) = checkpoint.and_then(|()| self.conn.close().map_err(|(_, error)| error)) {
            tracing::warn!(%error, "the store was not put in order before it was closed");
        }
    }
}

#[cfg(feature = "simulation")]
impl Db {
    /// Reads on the writer's own connection.
    pub(crate) fn read<T>(&self, job: impl FnOnce(&Read<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        job(&Read { conn: &self.conn, me: &self.me, guards: self.guards })
    }

    /// A store that is gone with the process.
    pub(crate) fn in_memory(observers: Arc<Observers>, guards: Guards) -> rusqlite::Result<Self> {
        Self::new(super::open::in_memory()?, observers, guards)
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
