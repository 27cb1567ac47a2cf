//! The real parts under the clients: a PostgreSQL of the run's own, an issuer, and processes of the real `madang`, or servers
//! within this process.
//!
//! Always true: where the database server may be killed its commits are durable, so that a crash may lose nothing; what is
//! started is stopped at the end.

mod nodes;
mod server;
mod site;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use madang_devstack::{
    issuer::{Issuer, IssuerConfig, Person},
    postgres::{Cluster, ClusterOptions, Stop, TestDatabase, VERSION, scratch_folder},
    server_process::Launch,
};
use tokio::process::Command;

pub use self::{
    nodes::{Addresses, Nodes},
    site::Site,
};

/// People that the issuer knows: those of all neighbours, of whom a plan has 41 at most.
const PEOPLE: usize = 328;

/// Longer than any run, so that tokens end only where a plan says so.
const TOKEN_LIFETIME: Duration = Duration::from_hours(12);

/// Connections of a database server that many seeds use at once: each of their servers takes twelve.
const SHARED_CONNECTIONS: u32 = 1_000;

/// What all seeds of a run share.
pub struct Ground {
    /// The database server.
    pub cluster: Cluster,
    /// Signs everybody in.
    pub issuer: Issuer,
    template: String,
    folder: PathBuf,
    job: u8,
    /// Sites that were begun.
    sites: AtomicU16,
    /// The servers' program; none: they run within this process.
    binary: Option<PathBuf>,
}

impl Ground {
    /// Starts what the seeds of a run share. Without a program for the servers they run within this process, on a database
    /// server that nobody kills.
    pub async fn start(binary: Option<&Path>, logs: &Path, job: u8) -> Result<Self> {
        let people = (0..PEOPLE).map(|n| Person::new(&login(n), "Torture")).collect();
        let config = IssuerConfig { people, access_token_lifetime: TOKEN_LIFETIME, ..IssuerConfig::default() };
        let issuer = Issuer::start(config).await?;
        let folder = scratch_folder(&format!("madang-torture-{}-{job}", std::process::id()))?;
        let options = match binary {
            Some(_) => ClusterOptions::default(),
            None => ClusterOptions { durable: false, max_connections: SHARED_CONNECTIONS, ..ClusterOptions::default() },
        };
        let cluster = Cluster::at(&folder, options).await?;
        let log = logs.join(format!("migrate{job}.log"));
        let url = issuer.url().to_owned();
        let migrate = async |database: String| match binary {
            Some(binary) => Launch::new(binary, &database, &url, &log).migrate().await,
            None => madang_server::app::migrate(&database).await,
        };
        let template = cluster.template("torture", migrate).await;
        match template {
            Ok(template) => Ok(Self {
                cluster,
                issuer,
                template,
                folder,
                job,
                sites: AtomicU16::default(),
                binary: binary.map(Path::to_owned),
            }),
            Err(error) => {
                cluster.stop(Stop::Immediate).await.ok();
                Err(error)
            }
        }
    }

    /// A database of a seed's own. A database server that somebody else has stopped is started again.
    pub async fn database(&self) -> Result<TestDatabase> {
        if self.cluster.pid().is_none() {
            self.cluster.restart().await?;
        }
        self.cluster.database_from(&self.template, "seed").await
    }

    /// An address of this machine for the servers of one site. A port that a killed one leaves is another server's at once
    /// where all have one address, and devices of the first find people of the same names there.
    fn address(&self) -> Ipv4Addr {
        let [high, low] = self.sites.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        // The first is everybody's.
        Ipv4Addr::new(127, self.job.saturating_add(1), high, low)
    }

    /// How to run a server on a database.
    pub fn launch(&self, database_url: &str, log: &Path) -> Launch {
        let binary = self.binary.as_deref().unwrap_or(Path::new("madang"));
        Launch::new(binary, database_url, self.issuer.url(), log)
    }

    /// Whether servers run within this process.
    pub fn is_here(&self) -> bool {
        self.binary.is_none()
    }

    /// Copies the database server's data, aside or back. It is stopped meanwhile.
    pub async fn copy_data(&self, back: bool) -> Result<()> {
        let (data, copy) = (self.folder.join(format!("data-{VERSION}")), self.folder.join("copy"));
        let (from, to) = if back { (copy, data) } else { (data, copy) };
        self.cluster.stop(if back { Stop::Immediate } else { Stop::Fast }).await?;
        if to.exists() {
            std::fs::remove_dir_all(&to).with_context(|| format!("remove {}", to.display()))?;
        }
        // Owner and times stay as they are.
        let copied = Command::new("cp").arg("-a").arg(&from).arg(&to).status().await?;
        ensure!(copied.success(), "cp -a {} {}: {copied}", from.display(), to.display());
        self.cluster.restart().await
    }

    /// Stops everything and removes the data.
    pub async fn stop(self) -> Result<()> {
        self.cluster.stop(Stop::Immediate).await?;
        drop(self.cluster);
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("remove {}", self.folder.display()))
    }
}

/// Name at sign-in of a person.
pub fn login(person: usize) -> String {
    format!("person{person}")
}
