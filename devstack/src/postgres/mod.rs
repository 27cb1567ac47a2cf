//! A real PostgreSQL with nothing installed: fetched once, then started on a folder.
//!
//! [`Cluster::join`] shares one server among all test processes of a machine: fast, on tmpfs, with fsync off.
//! [`Cluster::at`] runs a server of its own, durable unless asked otherwise: for `madang-dev`, benches and crash tests.
//! Always true: it listens on 127.0.0.1 only, its password is random and known to its owner alone, letters of every
//! script are letters to it (`lc_ctype` is C.UTF-8), and its processes never run as root.
//! Not here: schemas. They come from the caller, as the closure of [`Cluster::template`].

mod account;
mod binaries;
mod database;
mod process;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use account::Account;
pub use account::place_for;
pub use binaries::VERSION;
pub use database::TestDatabase;

/// The name of the superuser; the password is random for each cluster.
const USER: &str = "postgres";

/// Connections a test cluster takes: forty tests at once with ten connections each.
const TEST_CONNECTIONS: u32 = 400;

/// Connections of a cluster of its own: one server with its pool, and somebody looking at the tables.
const OWN_CONNECTIONS: u32 = 200;

/// Where tmpfs is.
const TMPFS: &str = "/dev/shm";

/// Least free space, in bytes, for tests to go to tmpfs: containers often give 64 MB, which one template fills.
const TMPFS_FREE: u64 = 2 << 30;

/// How a cluster of its own is run.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The port to listen on; `None` takes any free one and keeps it over restarts of the same value.
    pub port: Option<u16>,
    /// Whether a commit survives a power cut (fsync on). Off only for tests that do not look at durability.
    pub durable: bool,
    /// Bound on connections; each costs about 10 MB when used.
    pub max_connections: u32,
    /// More settings, as `name=value` pairs for the server's command line; values without spaces.
    pub settings: Vec<(String, String)>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { port: None, durable: true, max_connections: OWN_CONNECTIONS, settings: Vec::new() }
    }
}

/// How [`Cluster::stop`] ends the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Waits until every client has left by itself.
    Smart,
    /// Ends the clients' transactions, then writes a checkpoint.
    Fast,
    /// Ends at once; the next start recovers from the log, as after a crash.
    Immediate,
}

/// A running PostgreSQL server.
///
/// Dropping the value leaves the server up. A shared one is then found by the next process; one of its own is
/// stopped by the next [`Cluster::at`] on its folder, so call [`Cluster::stop`] at the end.
#[derive(Debug)]
pub struct Cluster {
    base: PathBuf,
    binaries: PathBuf,
    account: Account,
    options: ClusterOptions,
    password: String,
    port: u16,
    /// Held shared in the test cluster (the last holder may stop it) and alone in a cluster of its own.
    hold: Option<File>,
}

impl Cluster {
    /// Joins the machine's shared test server; the first caller fetches, creates and starts it.
    ///
    /// It lies on tmpfs where there is room (`MADANG_TEST_PG_DIR` names another folder) and loses everything when the
    /// machine stops. Databases of test processes that are gone are dropped here.
    pub async fn join() -> Result<Self> {
        let account = Account::pick()?;
        let base = test_folder(account);
        open_folder(&base)?;
        let door = lock(&base.join("lock")).await?;
        let users = open_lock(&base.join("users"))?;
        users.lock_shared().context("join the users of the test cluster")?;
        let options = ClusterOptions { durable: false, max_connections: TEST_CONNECTIONS, ..Default::default() };
        let mut cluster = Self::prepared(base, account, options, users).await?;
        cluster.port = match cluster.running_port().await {
            Some(port) => port,
            None => cluster.launch_or_renew().await?,
        };
        cluster.sweep().await?;
        drop(door);
        Ok(cluster)
    }

    /// Starts a server of its own on `folder`, which is created when it is not there.
    ///
    /// Fails when another process has the same folder open. A server that was left up by a killed process is stopped
    /// first. As root, `folder` must let the account `nobody` through: see [`place_for`].
    pub async fn at(folder: &Path, options: ClusterOptions) -> Result<Self> {
        let account = Account::pick()?;
        open_folder(folder)?;
        let base = folder.canonicalize().with_context(|| format!("resolve {}", folder.display()))?;
        account.can_reach(&base)?;
        let hold = open_lock(&base.join("lock"))?;
        match hold.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another process uses the database in {}", base.display()),
            Err(TryLockError::Error(e)) => return Err(e).context("lock the database folder"),
        }
        let mut cluster = Self::prepared(base, account, options, hold).await?;
        if cluster.running_port().await.is_some() {
            cluster.stop(Stop::Fast).await?;
        }
        cluster.port = cluster.launch().await?;
        Ok(cluster)
    }

    /// Fetches the server's binaries, if this machine does not have them yet; [`Cluster::at`] does so too. The answer is their
    /// folder, with `bin`, `lib` and `share`.
    pub async fn fetch() -> Result<PathBuf> {
        binaries::installed(Account::pick()?).await
    }

    async fn prepared(base: PathBuf, account: Account, options: ClusterOptions, hold: File) -> Result<Self> {
        let binaries = binaries::installed(account).await?;
        let password = password(&base)?;
        let cluster = Self { base, binaries, account, options, password, port: 0, hold: Some(hold) };
        if !cluster.data().join("PG_VERSION").exists() {
            cluster.create().await?;
        }
        Ok(cluster)
    }

    /// Starts the test server, and makes its data anew when they are of no use any more: without fsync, a machine that
    /// stopped hard may have left them broken. Never while another process counts on them.
    async fn launch_or_renew(&self) -> Result<u16> {
        let failure = match self.launch().await {
            Ok(port) => return Ok(port),
            Err(e) => e,
        };
        let users = self.hold.as_ref().context("a cluster that was joined is held")?;
        if users.try_lock().is_err() {
            return Err(failure.context("the test cluster does not start, and other processes use it"));
        }
        process::kill_left_over(&self.data()).await?;
        fs::remove_dir_all(self.data()).context("remove the broken data of the test cluster")?;
        self.create().await?;
        users.lock_shared().context("stay among the users of the test cluster")?;
        self.launch().await
    }

    /// The address of a database, with user and password. It stays the same over [`Cluster::restart`].
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The port the server listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leaves the shared test cluster and stops its server when nobody else uses it; tells whether it was stopped.
    pub async fn leave(mut self) -> Result<bool> {
        let door = lock(&self.base.join("lock")).await?;
        self.hold = None;
        let users = open_lock(&self.base.join("users"))?;
        if users.try_lock().is_err() {
            return Ok(false);
        }
        self.stop(Stop::Fast).await?;
        drop(door);
        Ok(true)
    }

    fn data(&self) -> PathBuf {
        self.base.join(format!("data-{VERSION}"))
    }
}

/// Kills the server that a killed process left up on a folder, so that its port is free again.
///
/// Fails when another process has the folder open.
pub async fn stop_left_over(folder: &Path) -> Result<()> {
    let Ok(base) = folder.canonicalize() else { return Ok(()) };
    let hold = open_lock(&base.join("lock"))?;
    if hold.try_lock().is_err() {
        bail!("another process uses the database in {}", base.display());
    }
    process::kill_left_over(&base.join(format!("data-{VERSION}"))).await
}

/// Removes the data of a cluster of its own; a server that was left up is killed first.
pub async fn clear(folder: &Path) -> Result<()> {
    stop_left_over(folder).await?;
    let data = folder.join(format!("data-{VERSION}"));
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
    }
    Ok(())
}

/// A folder of that name for a cluster of its own that nobody needs afterwards: on tmpfs where there is room.
pub fn scratch_folder(name: &str) -> Result<PathBuf> {
    let account = Account::pick()?;
    Ok(match roomy_tmpfs() {
        Some(tmpfs) => tmpfs.join(name),
        None => account.cache_folder().join(name),
    })
}

/// Tmpfs when it has room: a copy of a template takes 70 ms there, and up to 1.5 s on a busy disk.
fn test_folder(account: Account) -> PathBuf {
    if let Some(folder) = std::env::var_os("MADANG_TEST_PG_DIR") {
        return folder.into();
    }
    let name = if account.drops() {
        "madang-test-postgres".to_owned()
    } else {
        format!("madang-test-postgres-{}", account.uid())
    };
    // A cluster that is already there has taken part of the room it needs.
    let there = Path::new(TMPFS).join(&name);
    if there.is_dir() && rustix::fs::access(TMPFS, rustix::fs::Access::WRITE_OK).is_ok() {
        return there;
    }
    roomy_tmpfs().map_or_else(|| account.cache_folder().join("test-postgres"), |tmpfs| tmpfs.join(name))
}

/// Tmpfs, where it can be written and has room.
fn roomy_tmpfs() -> Option<&'static Path> {
    let usable = rustix::fs::access(TMPFS, rustix::fs::Access::WRITE_OK).is_ok();
    let roomy = rustix::fs::statvfs(TMPFS).is_ok_and(|s| s.f_bavail * s.f_frsize >= TMPFS_FREE);
    (usable && roomy).then_some(Path::new(TMPFS))
}

/// The cluster's password, made at first use. Readable by the caller alone: whoever has it can run programs as the
/// account of the server.
fn password(base: &Path) -> Result<String> {
    let path = base.join("password");
    if let Ok(text) = fs::read_to_string(&path) {
        return Ok(text);
    }
    let text = crate::random::token();
    crate::files::write_private(&path, text.as_bytes())?;
    Ok(text)
}

fn open_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(|| format!("open up {}", path.display()))
}

fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))
}

/// Waits for a lock between processes; the kernel frees it when its holder dies.
async fn lock(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?.context("wait for a lock")
}
