//! The pool of database connections, and transactions that no caller can cut in half.
//!
//! Always true: a transaction runs in a task of its own. tonic drops a handler's future when its caller cancels; a
//! connection whose `begin` was cut there would return to the pool inside a transaction, and the writes of whoever got it
//! next would vanish although they had been acknowledged (sqlx #4385). As a second guard each connection is rolled back
//! before it is handed out.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use rand::Rng as _;
use sqlx::{
    Executor as _, PgPool,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
};
use tokio::sync::{Semaphore, watch};

use crate::{
    config::Config,
    error::{Error, Result},
    limits,
    sabotage::Guards,
};

/// A future inside a transaction.
pub type Work<'t, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 't>>;

/// How often a transaction that PostgreSQL broke for a deadlock is tried again.
const DEADLOCK_TRIES: u32 = 3;

/// Longest wait for a connection: longer than a full pool of honest statements, shorter than a client's patience.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Ends whatever transaction a connection was left in. A `rollback` alone would make PostgreSQL warn of each connection that
/// was left in none, which is every one; this way it warns of the others. One in a failed transaction refuses, and is closed.
const CLEAN: &str = "begin; rollback";

/// Connections that are the writer's alone: as many as it has batches under way, none of which waits for a lock. A crowd that
/// opens streams fills the others, and whoever sends meanwhile must not stand in that queue.
pub const WRITER_CONNECTIONS: u32 = 2;

/// Of the others, streams read over a third at once: more would not be quicker, and a crowd that opens them would keep
/// processors and connections from everybody else.
const STREAM_SHARE: u32 = 3;

/// How long one waits at the door: a little longer than for a connection.
pub const DOOR_PATIENCE: Duration = Duration::from_secs(6);

/// Reads at the door that are under way at once: while one is, whoever comes gathers for the next.
const DOOR_TURNS: usize = 2;

/// The database of one node.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    writer_pool: PgPool,
    stream_turns: Arc<Semaphore>,
    epoch: watch::Receiver<String>,
    known: Arc<watch::Sender<String>>,
    guards: Guards,
}

impl Database {
    /// Connects and finds out the epoch.
    pub async fn connect(config: &Config) -> Result<Self> {
        let options: PgConnectOptions = config.database_url.parse()?;
        let options = options.application_name("madang").options([
            // A connection that hangs inside a transaction holds locks: bounded on the server's side too.
            ("idle_in_transaction_session_timeout", "10s"),
            ("statement_timeout", "30s"),
            ("timezone", "UTC"),
            // A rollback outside a transaction, of which every use of a connection begins with one, is no warning.
            ("client_min_messages", "error"),
        ]);
        let (tell, epoch) = watch::channel(String::new());
        let (tell, guards) = (Arc::new(tell), config.guards());
        let writers = WRITER_CONNECTIONS.min(config.database_connections / 2);
        let others = config.database_connections - writers;
        let stream_turns = Arc::new(Semaphore::new((others / STREAM_SHARE).max(1) as usize));
        let pool = |connections| pool(connections, guards, Arc::clone(&tell));
        // Those of the writer belong to its thread, where they are opened.
        let writer_pool = pool(writers).connect_lazy_with(options.clone());
        let pool = pool(others).connect_with(options).await?;
        Ok(Self { pool, writer_pool, stream_turns, epoch, known: tell, guards })
    }

    /// The connections of the writer of messages, for what waits for no lock.
    pub fn writer_pool(&self) -> &PgPool {
        &self.writer_pool
    }

    /// One for each read that streams may have under way at once.
    pub fn stream_turns(&self) -> Arc<Semaphore> {
        Arc::clone(&self.stream_turns)
    }

    /// One for each read that may be under way at once at the door, of those who ask there for the same.
    pub fn door_turns(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(DOOR_TURNS))
    }

    /// Gives all connections back to the database.
    pub async fn close(&self) {
        tokio::join!(self.pool.close(), self.writer_pool.close());
    }

    /// The pool, for single statements in store functions.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Identity of the database's history; checked on each new connection, so it changes when another database answers.
    pub fn epoch(&self) -> watch::Receiver<String> {
        self.epoch.clone()
    }

    /// The guards of this server.
    pub fn guards(&self) -> Guards {
        self.guards
    }

    /// Finds out the epoch anew; `madang restore-done` changes it under open connections.
    pub async fn current_epoch(&self) -> Result<String> {
        let mut connection = self.pool.acquire().await?;
        let found = read_epoch(&mut connection).await?;
        keep(&self.known, &found);
        Ok(found)
    }

    /// Runs a transaction to its end, whatever becomes of the caller, and then what follows from its commit; repeated when
    /// PostgreSQL breaks a deadlock.
    pub async fn write<T, C, F, After>(&self, work: F, committed: impl FnOnce(C) -> After + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        C: Send + 'static,
        After: Future<Output = ()> + Send,
        F: for<'t> Fn(&'t mut PgConnection) -> Work<'t, (T, C)> + Send + Sync + 'static,
    {
        let pool = self.pool.clone();
        self.detached(Box::pin(async move {
            let mut tries = 1;
            let (answer, changes) = loop {
                match attempt(&pool, "begin", &work).await {
                    Err(error) if error.is_deadlock() && tries < DEADLOCK_TRIES => {
                        tries += 1;
                        let pause = rand::rng().random_range(1..20);
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                    }
                    outcome => break outcome?,
                }
            };
            committed(changes).await;
            Ok(answer)
        }))
        .await
    }

    /// Reads in one snapshot: all statements see the same database.
    pub async fn snapshot<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut PgConnection) -> Work<'t, T> + Send + Sync + 'static,
    {
        let pool = self.pool.clone();
        let read = async move { attempt(&pool, "begin isolation level repeatable read read only", &work).await };
        self.detached(Box::pin(read)).await
    }

    async fn detached<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        if !self.guards.cancel_safe() {
            return work.await;
        }
        let held = limits::held();
        let task = tokio::spawn(async move {
            let answer = work.await;
            drop(held);
            answer
        });
        match task.await {
            Ok(answer) => answer,
            Err(panic) => Err(Error::Internal(format!("a transaction panicked: {panic}"))),
        }
    }
}

fn pool(connections: u32, guards: Guards, tell: Arc<watch::Sender<String>>) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            let tell = Arc::clone(&tell);
            Box::pin(async move {
                keep(&tell, &read_epoch(connection).await?);
                Ok(())
            })
        })
        .before_acquire(move |connection, _| {
            Box::pin(async move {
                if guards.cancel_safe() {
                    connection.execute(CLEAN).await?;
                }
                Ok(true)
            })
        })
}

async fn attempt<T, F>(pool: &PgPool, begin: &'static str, work: &F) -> Result<T>
where
    F: for<'t> Fn(&'t mut PgConnection) -> Work<'t, T>,
{
    let mut tx = pool.begin_with(begin).await?;
    let answer = work(&mut tx).await?;
    tx.commit().await.map_err(outcome_unknown)?;
    Ok(answer)
}

fn keep(epoch: &watch::Sender<String>, found: &str) {
    epoch.send_if_modified(|known| {
        let differs = known != found;
        if differs {
            found.clone_into(known);
        }
        differs
    });
}

/// A commit whose answer was lost may have happened: the caller repeats by id.
fn outcome_unknown(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(_) => error.into(),
        _ => Error::outcome_unknown(),
    }
}

/// History, system and timeline: another of any of them is another database to a client. The timeline is read from the
/// log's file name, because the control file lags behind a promotion.
async fn read_epoch(connection: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"select substr(encode(sha256(convert_to(concat_ws('/', h.id, c.system_identifier,
               substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)), 'UTF8')), 'hex'), 1, 32) as "epoch!"
           from (select id from history order by made_at desc, id limit 1) h, pg_control_system() c"#
    )
    .fetch_one(connection)
    .await
}
