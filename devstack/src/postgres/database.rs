//! Templates, and databases that are copies of one.
//!
//! Always true: a template is there whole or not at all under its name, and a test database's name carries the process
//! that made it, so that whoever comes later can tell which ones nobody needs.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::Cluster;

/// Templates kept in a cluster; the oldest goes when another is made. Each takes about 11 MB, and each change of the
/// migrations makes one.
const TEMPLATES: usize = 8;

/// Databases that wait to be dropped; when more wait they are left to the next sweep.
const DROPS_WAITING: usize = 1024;

/// Longest wait for the last connection of a template's maker to be gone: 50 looks, 20 ms apart.
const CLOSE_TRIES: u32 = 50;

/// A database of one test. It is dropped in the background when the value goes.
#[derive(Debug)]
pub struct TestDatabase {
    /// The address to connect to, with user and password.
    pub url: String,
    /// The name within the cluster.
    pub name: String,
    admin: String,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        drop_later(self.admin.clone(), self.name.clone());
    }
}

impl Cluster {
    /// Makes a template database once on this machine and tells its name.
    ///
    /// `hash` must change with what `build` does (a digest of the migrations); it consists of at most 40 characters
    /// `a-z0-9_`. `build` gets the address of an empty database, and must have closed its connections at the end.
    pub async fn template(&self, hash: &str, build: impl AsyncFnOnce(String) -> Result<()>) -> Result<String> {
        ensure!(
            is_name(hash) && hash.len() <= 40,
            "a template's hash is 1 to 40 characters of a-z, 0-9 and _: {hash:?}"
        );
        let name = format!("madang_tpl_{hash}");
        let mut admin = self.admin().await?;
        if exists(&mut admin, &name).await? {
            return Ok(name);
        }
        let _door = super::lock(&self.base.join("lock-template")).await?;
        if exists(&mut admin, &name).await? {
            return Ok(name);
        }
        let unfinished = format!("{name}_new");
        execute(&mut admin, &format!("drop database if exists {unfinished} with (force)")).await?;
        execute(&mut admin, &format!("create database {unfinished}")).await?;
        build(self.url(&unfinished)).await.with_context(|| format!("build the template {name}"))?;
        let mut inside = PgConnection::connect(&self.url(&unfinished)).await?;
        execute(&mut inside, "vacuum analyze").await?;
        inside.close().await?;
        self.publish(&mut admin, &unfinished, &name).await?;
        drop_oldest_templates(&mut admin).await?;
        Ok(name)
    }

    /// Copies a template. `label` (at most 30 characters `a-z0-9_`) is only for whoever lists the databases.
    pub async fn database_from(&self, template: &str, label: &str) -> Result<TestDatabase> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        ensure!(is_name(template), "not the name of a template: {template:?}");
        ensure!(is_name(label) && label.len() <= 30, "a label is 1 to 30 characters of a-z, 0-9 and _: {label:?}");
        let name = format!("test_{}_{}_{label}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.admin().await?;
        execute(&mut admin, &format!("create database {name} template {template} strategy wal_log")).await?;
        admin.close().await?;
        Ok(TestDatabase { url: self.url(&name), name, admin: self.url("postgres") })
    }

    /// Makes an empty database with a name of its own unless it is there.
    pub async fn ensure_database(&self, name: &str) -> Result<String> {
        ensure!(is_name(name), "not the name of a database: {name:?}");
        let mut admin = self.admin().await?;
        if !exists(&mut admin, name).await? {
            execute(&mut admin, &format!("create database {name}")).await?;
        }
        admin.close().await?;
        Ok(self.url(name))
    }

    /// Drops the databases of processes that are gone.
    pub(super) async fn sweep(&self) -> Result<()> {
        let mut admin = self.admin().await?;
        let rows = admin.fetch_all("select datname from pg_database where datname like 'test\\_%'").await?;
        for row in rows {
            let name: String = row.try_get(0)?;
            let owner = name.split('_').nth(1).and_then(|pid| pid.parse::<u32>().ok());
            if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) && is_name(&name) {
                execute(&mut admin, &format!("drop database if exists {name} with (force)")).await?;
            }
        }
        admin.close().await?;
        Ok(())
    }

    async fn admin(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.url("postgres")).await.context("connect to the cluster")
    }

    /// Closes the template to connections, since nobody may be connected while it is copied, and names it.
    async fn publish(&self, admin: &mut PgConnection, unfinished: &str, name: &str) -> Result<()> {
        execute(admin, &format!("alter database {unfinished} with allow_connections false")).await?;
        let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{unfinished}'");
        execute(admin, &end).await?;
        let mut tries = 0;
        loop {
            tries += 1;
            match execute(admin, &format!("alter database {unfinished} rename to {name}")).await {
                Ok(()) => return Ok(()),
                Err(e) if tries == CLOSE_TRIES => return Err(e),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

async fn exists(admin: &mut PgConnection, name: &str) -> Result<bool> {
    let query = sqlx::query_scalar("select exists (select 1 from pg_database where datname = $1)");
    Ok(query.bind(name).fetch_one(admin).await?)
}

/// Runs statements made here, of names that were checked.
async fn execute(connection: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.with_context(|| sql.to_owned())?;
    Ok(())
}

async fn drop_oldest_templates(admin: &mut PgConnection) -> Result<()> {
    let find = "select datname from pg_database where datname like 'madang\\_tpl\\_%' order by oid desc";
    for row in admin.fetch_all(find).await?.into_iter().skip(TEMPLATES) {
        let name: String = row.try_get(0)?;
        if is_name(&name) {
            // One that is being copied right now refuses, and goes the next time.
            execute(admin, &format!("drop database if exists {name}")).await.ok();
        }
    }
    Ok(())
}

/// Names go into statements as they are, so nothing else passes.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The address of the administrator's database, and the name of the one to drop.
type Drops = SyncSender<(String, String)>;

/// Hands a database to the thread that drops them: dropping waits up to 110 ms for the database's last backend, which
/// no test should wait for.
fn drop_later(admin: String, name: String) {
    static QUEUE: OnceLock<Option<Mutex<Drops>>> = OnceLock::new();
    let queue = QUEUE.get_or_init(|| {
        let (sender, receiver) = sync_channel(DROPS_WAITING);
        let thread = std::thread::Builder::new().name("drop databases".to_owned());
        thread.spawn(move || drop_all(&receiver)).ok().map(|_| Mutex::new(sender))
    });
    if let Some(sender) = queue.as_ref().and_then(|queue| queue.lock().ok()) {
        sender.try_send((admin, name)).ok();
    }
}

fn drop_all(receiver: &Receiver<(String, String)>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    for (admin, name) in receiver {
        // What fails here is found by the next sweep.
        runtime
            .block_on(async {
                let mut admin = PgConnection::connect(&admin).await?;
                execute(&mut admin, &format!("drop database if exists {name} with (force)")).await?;
                admin.close().await?;
                anyhow::Ok(())
            })
            .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn table(url: String) -> Result<()> {
        let mut connection = PgConnection::connect(&url).await?;
        execute(&mut connection, "create extension pg_trgm; create table notes (text text not null)").await?;
        connection.close().await?;
        Ok(())
    }

    async fn notes(database: &TestDatabase) -> i64 {
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        sqlx::query_scalar("select count(*) from notes").fetch_one(&mut connection).await.unwrap()
    }

    #[tokio::test]
    async fn two_databases_of_one_template_are_apart() {
        let cluster = Cluster::join().await.unwrap();
        let template = cluster.template("devstack_notes", table).await.unwrap();
        let one = cluster.database_from(&template, "one").await.unwrap();
        let two = cluster.database_from(&template, "two").await.unwrap();
        let mut connection = PgConnection::connect(&one.url).await.unwrap();
        execute(&mut connection, "insert into notes values ('회의록')").await.unwrap();
        assert_eq!((notes(&one).await, notes(&two).await), (1, 0));
    }

    #[tokio::test]
    async fn korean_text_has_trigrams() {
        let cluster = Cluster::join().await.unwrap();
        let template = cluster.template("devstack_notes", table).await.unwrap();
        let database = cluster.database_from(&template, "korean").await.unwrap();
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        let query = sqlx::query_scalar("select cardinality(show_trgm('회의록'))");
        let trigrams: i32 = query.fetch_one(&mut connection).await.unwrap();
        assert_eq!(trigrams, 4);
    }

    #[tokio::test]
    async fn a_template_that_fails_is_not_there_and_can_be_made_again() {
        let cluster = Cluster::join().await.unwrap();
        let hash = format!("devstack_fails_{}", std::process::id());
        let failed = cluster.template(&hash, async |_| anyhow::bail!("no")).await;
        assert!(failed.is_err());
        let template = cluster.template(&hash, table).await.unwrap();
        assert_eq!(notes(&cluster.database_from(&template, "again").await.unwrap()).await, 0);
        let mut admin = cluster.admin().await.unwrap();
        execute(&mut admin, &format!("drop database {template}")).await.unwrap();
    }

    #[tokio::test]
    async fn joining_drops_the_databases_of_processes_that_are_gone() {
        let cluster = Cluster::join().await.unwrap();
        // Greater than any process id of Linux (2^22).
        let gone = "test_4200000_0_gone";
        let mine = format!("test_{}_kept", std::process::id());
        let mut admin = cluster.admin().await.unwrap();
        cluster.ensure_database(gone).await.unwrap();
        cluster.ensure_database(&mine).await.unwrap();
        cluster.sweep().await.unwrap();
        let found = (exists(&mut admin, gone).await.unwrap(), exists(&mut admin, &mine).await.unwrap());
        execute(&mut admin, &format!("drop database {mine}")).await.unwrap();
        assert_eq!(found, (false, true));
    }

    #[tokio::test]
    async fn a_name_that_is_no_name_is_refused() {
        let cluster = Cluster::join().await.unwrap();
        for bad in ["", "A", "a-b", "a;drop", "a'b"] {
            assert!(cluster.template(bad, table).await.is_err(), "{bad:?}");
            assert!(cluster.database_from("madang_tpl_x", bad).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_killed_server_starts_again_with_its_data() {
        let folder = std::path::PathBuf::from(format!("/dev/shm/madang-devstack-kill-{}", std::process::id()));
        let options = super::super::ClusterOptions::default();
        let cluster = Cluster::at(&folder, options.clone()).await.unwrap();
        let url = cluster.ensure_database("kept").await.unwrap();
        table(url.clone()).await.unwrap();
        assert!(Cluster::at(&folder, options).await.is_err(), "two on one folder");
        cluster.kill().await.unwrap();
        assert_eq!(cluster.pid(), None);
        cluster.restart().await.unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        execute(&mut connection, "insert into notes values ('x')").await.unwrap();
        connection.close().await.unwrap();
        cluster.stop(super::super::Stop::Fast).await.unwrap();
        assert_eq!(cluster.pid(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
