//! What the benches stand on: a PostgreSQL of their own whose commits are durable, and people with tokens. A database that is not
//! durable is refused, because a figure without fsync says nothing.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use madang_devstack::postgres::{self, Cluster, ClusterOptions, Stop};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::Plan;
use crate::crowd::Folk;
use crate::figure::median;

/// File systems that forget everything (`statfs`): tmpfs and ramfs.
const FORGETFUL: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Settings whose being off makes a commit something else.
const DURABLE: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// Writes of a look at the disk; each takes 0.1 to 5 ms.
const PROBES: usize = 100;

/// Bytes of one: a page of the log.
const PROBE_BYTES: usize = 8192;

/// Until all of the database's processes have read their settings again.
const RELOAD: Duration = Duration::from_millis(300);

/// The database server of the benches.
pub struct Ground {
    cluster: Cluster,
    place: PathBuf,
    folk: Folk,
}

impl Ground {
    /// Starts it, or says why it cannot be measured on.
    pub async fn prepare(plan: &Plan) -> Result<Self> {
        let folder = plan.folder.join("postgres");
        refuse_forgetful(&folder)?;
        plan.say("starting PostgreSQL");
        let place = postgres::place_for(&folder)?;
        refuse_forgetful(&place)?;
        let settings = [
            // As for a server of this size: the tables of a run fit, and no checkpoint falls into a measurement.
            ("shared_buffers", "1GB"),
            ("max_wal_size", "8GB"),
            ("checkpoint_timeout", "30min"),
            ("shared_preload_libraries", "pg_stat_statements"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let cluster = Cluster::at(&place, ClusterOptions { settings, ..ClusterOptions::default() }).await?;
        let ground = Self { cluster, place, folk: Folk::start().await? };
        let fit = async {
            ground.refuse_forgetful_settings().await?;
            ground.note_statements(false).await
        };
        match fit.await {
            Ok(()) => Ok(ground),
            Err(e) => {
                ground.stop().await?;
                Err(e)
            }
        }
    }

    /// Everybody whom the benches know.
    pub fn folk(&self) -> &Folk {
        &self.folk
    }

    async fn refuse_forgetful_settings(&self) -> Result<()> {
        let mut admin = self.admin().await?;
        for name in DURABLE {
            let query = sqlx::query_scalar("select current_setting($1)").bind(name);
            let value: String = query.fetch_one(&mut admin).await?;
            ensure!(
                value == "on",
                "the database in {} has {name} = {value}, so its commits are not durable and the figures would mean \
                 nothing: take the setting out, or remove the folder",
                self.place.display()
            );
        }
        Ok(())
    }

    async fn admin(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.cluster.url("postgres")).await.context("connect to the cluster")
    }

    /// A database of that name as a server starts with it, without anything of an earlier run.
    pub async fn database(&self, name: &str) -> Result<String> {
        let mut admin = self.admin().await?;
        let drop = format!("drop database if exists {name} with (force)");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.context("drop the database of an earlier run")?;
        let url = self.cluster.ensure_database(name).await?;
        madang_server::app::migrate(&url).await?;
        Ok(url)
    }

    /// Everything written so far is on the disk, so that the next measurement pays for itself alone.
    pub async fn settle(&self) -> Result<()> {
        sqlx::raw_sql("checkpoint").execute(&mut self.admin().await?).await.context("checkpoint")?;
        Ok(())
    }

    /// The database server's version.
    pub async fn version(&self) -> Result<String> {
        Ok(sqlx::query_scalar("select current_setting('server_version')").fetch_one(&mut self.admin().await?).await?)
    }

    /// Whether the time of each statement is kept, of all connections.
    pub async fn note_statements(&self, are: bool) -> Result<()> {
        let track = if are { "top" } else { "none" };
        let mut admin = self.admin().await?;
        let set = format!("alter system set pg_stat_statements.track = {track}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut admin).await.context("note statements")?;
        sqlx::raw_sql("select pg_reload_conf()").execute(&mut admin).await?;
        // Processes hear of it by a signal.
        tokio::time::sleep(RELOAD).await;
        Ok(())
    }

    /// The database server's main process.
    pub fn pid(&self) -> Option<u32> {
        self.cluster.pid()
    }

    /// Pages a second that the disk takes one by one.
    pub async fn fdatasyncs(&self) -> Result<f64> {
        // Beside the data, where this process may write.
        let path = self.place.join("probe");
        tokio::task::spawn_blocking(move || probe(&path)).await?
    }

    /// The database goes away; its connections end.
    pub async fn take_away(&self) -> Result<()> {
        self.cluster.stop(Stop::Fast).await
    }

    /// It answers again.
    pub async fn bring_back(&self) -> Result<()> {
        self.cluster.restart().await
    }

    /// It answers, whatever was done to it before.
    pub async fn heal(&self) -> Result<()> {
        if self.admin().await.is_ok() { Ok(()) } else { self.bring_back().await }
    }

    /// Stops the server.
    pub async fn stop(self) -> Result<()> {
        self.cluster.stop(Stop::Fast).await
    }
}

fn probe(path: &Path) -> Result<f64> {
    let mut file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let page = [7_u8; PROBE_BYTES];
    // As in a log, room is there before it is needed.
    file.set_len(u64::try_from(PROBE_BYTES)?)?;
    file.write_all(&page)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        file.seek(SeekFrom::Start(0))?;
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64());
    }
    std::fs::remove_file(path)?;
    Ok(1.0 / median(times).max(Duration::from_nanos(1).as_secs_f64()))
}

/// Fails when a folder, there or yet to be made, lies in memory.
fn refuse_forgetful(folder: &Path) -> Result<()> {
    let folder = std::path::absolute(folder)?;
    let there = folder.ancestors().find(|ancestor| ancestor.exists()).context("the root folder is there")?;
    let found = rustix::fs::statfs(there).with_context(|| format!("look at {}", there.display()))?;
    let kind = u64::try_from(found.f_type).unwrap_or_default();
    ensure!(
        !FORGETFUL.contains(&kind),
        "{} lies in memory (tmpfs), where nothing is durable and the figures would mean nothing: give --folder on a disk",
        folder.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_memory_is_refused() {
        let refused = refuse_forgetful(Path::new("/dev/shm/madang-bench-not-there/postgres"));
        assert!(refused.is_err_and(|e| e.to_string().contains("tmpfs")));
    }
}
