//! The servers of a seed on one database: killed, stopped and started again.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use madang_devstack::{nats::Nats, server_process::Launch};
use tokio::sync::Mutex as AsyncMutex;

use super::{Ground, server::Server};
use crate::{
    plan::{Plan, Servers},
    proxy::{Mode, Proxy},
};

/// How long a server is given to stop when asked; its own drain takes at most ten seconds.
const STOP: Duration = Duration::from_secs(15);

/// How long starting is tried: the database may be away meanwhile.
const START: Duration = Duration::from_mins(1);

/// Time between two tries.
const AGAIN: Duration = Duration::from_millis(200);

/// A slow line to the bus, for each piece of what is said.
const NATS_DELAY: Duration = Duration::from_millis(400);

/// Makes a process's clock what a file says; Debian has it in the package `libfaketime`. Without it clocks stay right.
const FALSE_CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Rates that no plan reaches: what is refused for its rate is another test's.
const RATES: [&str; 11] =
    ["READ", "WRITE", "SEND", "MARK", "JOIN", "SEARCH", "INVITE", "STREAM", "ROOM_SEND", "REFUSAL", "BAD_TOKEN"];

/// Where each server is; `None` while it is down.
#[derive(Debug, Clone)]
pub struct Addresses(Arc<Mutex<Vec<Option<SocketAddr>>>>);

impl Addresses {
    /// Where a server is.
    pub fn of(&self, node: usize) -> Option<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[node]
    }

    /// Where any server is.
    pub fn any(&self) -> Option<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().next().copied()
    }

    /// One server that does not move.
    fn only(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(vec![Some(address)])))
    }

    fn set(&self, node: usize, address: Option<SocketAddr>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[node] = address;
    }
}

/// The servers of a seed.
pub struct Nodes {
    launches: Vec<Launch>,
    /// Within this process.
    here: bool,
    running: Vec<AsyncMutex<Option<Server>>>,
    nats: AsyncMutex<Option<Nats>>,
    /// The servers' way to the bus.
    nats_way: Option<Proxy>,
    clocks: Option<Vec<PathBuf>>,
    /// Where they are.
    pub addresses: Addresses,
}

impl Nodes {
    /// Starts them.
    pub async fn start(
        ground: &Ground,
        plan: &Plan,
        database_url: &str,
        logs: &Path,
        without: Option<&str>,
    ) -> Result<Self> {
        let count = plan.settings.nodes;
        let nats = if plan.servers.nats { Some(Nats::start().await?) } else { None };
        let nats_way = match &nats {
            Some(nats) => Some(Proxy::start(Addresses::only(nats.address()), 0).await?),
            None => None,
        };
        let clocks = (plan.servers.false_clocks && Path::new(FALSE_CLOCK).exists())
            .then(|| (0..count).map(|n| logs.join(format!("node{n}.clock"))).collect::<Vec<_>>());
        let address = ground.address();
        let launches: Vec<Launch> = (0..count)
            .map(|n| {
                let launch = ground.launch(database_url, &logs.join(format!("node{n}.log")));
                let launch = launch.with("MADANG_LISTEN", format!("{address}:0"));
                // Understood by a server that was built with the feature `sabotage`, and by no other.
                let launch = without.iter().fold(launch, |launch, name| launch.with("SABOTAGE_WITHOUT", *name));
                let launch = settings(launch, plan.servers).with("MADANG_NODE_NAME", format!("node{n}"));
                let launch = clocks.iter().fold(launch, |launch, clocks| with_clock(launch, &clocks[n]));
                nats_way.iter().fold(launch, |launch, way| launch.with("MADANG_NATS_URL", way.url_of("nats")))
            })
            .collect();
        for clock in clocks.iter().flatten() {
            set_clock(clock, 0)?;
        }
        let nodes = Self {
            launches,
            here: ground.is_here(),
            nats: AsyncMutex::new(nats),
            nats_way,
            clocks,
            running: (0..count).map(|_| AsyncMutex::default()).collect(),
            addresses: Addresses(Arc::new(Mutex::new(vec![None; count]))),
        };
        for node in 0..count {
            nodes.restart(node, async |_| Ok(())).await?;
        }
        Ok(nodes)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.launches.len()
    }

    /// Kills a server with SIGKILL, waits, and starts it again.
    pub async fn kill(&self, node: usize, down: Duration) -> Result<()> {
        self.restart(node, async |server| {
            server.kill().await?;
            tokio::time::sleep(down).await;
            Ok(())
        })
        .await
    }

    /// Asks a server to stop, waits, and starts it again.
    pub async fn drain(&self, node: usize, down: Duration) -> Result<()> {
        self.restart(node, async |server| {
            server.stop(STOP).await?;
            tokio::time::sleep(down).await;
            Ok(())
        })
        .await
    }

    /// Ends a server and starts it again. One who comes meanwhile waits.
    async fn restart(&self, node: usize, end: impl AsyncFnOnce(&mut Server) -> Result<()>) -> Result<()> {
        let mut running = self.running[node].lock().await;
        if let Some(mut server) = running.take() {
            // While it drains it is still there for those who ask it.
            let ended = end(&mut server).await;
            self.addresses.set(node, None);
            server.pid().into_iter().for_each(forget_clock);
            ended?;
        }
        let until = Instant::now() + START;
        let server = loop {
            match Server::start(&self.launches[node], self.here).await {
                Ok(server) => break server,
                Err(error) => ensure!(Instant::now() < until, "node {node} does not start: {error:#}"),
            }
            tokio::time::sleep(AGAIN).await;
        };
        self.addresses.set(node, Some(server.grpc()));
        *running = Some(server);
        Ok(())
    }

    /// Stops all servers, does something, and starts them again.
    pub async fn down_while(&self, something: impl AsyncFnOnce(&Launch) -> Result<()>) -> Result<()> {
        self.stop().await;
        something(&self.launches[0]).await?;
        for node in 0..self.count() {
            self.restart(node, async |_| Ok(())).await?;
        }
        Ok(())
    }

    /// Kills the bus or holds it, waits, and lets it be there again; tells whether there is one.
    pub async fn break_nats(&self, kill: bool, lasting: Duration) -> Result<bool> {
        let mut nats = self.nats.lock().await;
        let Some(nats) = nats.as_mut() else { return Ok(false) };
        if kill {
            nats.kill().await?;
            tokio::time::sleep(lasting).await;
            nats.restart().await?;
        } else {
            nats.hold()?;
            tokio::time::sleep(lasting).await;
            nats.release()?;
        }
        Ok(true)
    }

    /// Lets the way to the bus be slow for a while; tells whether there is one.
    pub async fn slow_nats(&self, lasting: Duration) -> bool {
        let Some(way) = &self.nats_way else { return false };
        way.set(Mode::Delay(NATS_DELAY));
        tokio::time::sleep(lasting).await;
        way.set(Mode::Open);
        true
    }

    /// Lets a server's clock be ahead for a while; tells whether it can be.
    pub async fn wrong_clock(&self, node: usize, ahead_s: i64, lasting: Duration) -> Result<bool> {
        let Some(clocks) = &self.clocks else { return Ok(false) };
        set_clock(&clocks[node], ahead_s)?;
        tokio::time::sleep(lasting).await;
        set_clock(&clocks[node], 0)?;
        Ok(true)
    }

    /// Fails if a server has ended by itself.
    pub async fn all_up(&self) -> Result<()> {
        for (node, server) in self.running.iter().enumerate() {
            let mut server = server.lock().await;
            let up = match server.as_mut() {
                Some(server) => server.is_up().await,
                None => false,
            };
            ensure!(up, "node {node} is not up: {}", server.as_ref().map(Server::log_tail).unwrap_or_default());
        }
        Ok(())
    }

    /// Stops them all.
    pub async fn stop(&self) {
        for (node, server) in self.running.iter().enumerate() {
            if let Some(mut server) = server.lock().await.take() {
                server.kill().await.ok();
                server.pid().into_iter().for_each(forget_clock);
                self.addresses.set(node, None);
            }
        }
    }
}

/// A server whose clock is what a file says. Time that only passes stays right.
fn with_clock(launch: Launch, clock: &Path) -> Launch {
    launch
        .with("LD_PRELOAD", FALSE_CLOCK)
        .with("FAKETIME_TIMESTAMP_FILE", clock.to_string_lossy())
        .with("FAKETIME_CACHE_DURATION", "1")
        .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// A process that is killed leaves memory of its clock behind.
fn forget_clock(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        std::fs::remove_file(Path::new("/dev/shm").join(name)).ok();
    }
}

fn set_clock(file: &Path, ahead_s: i64) -> Result<()> {
    std::fs::write(file, format!("+{ahead_s}\n")).with_context(|| format!("write {}", file.display()))
}

/// Settings of a plan's servers: a short life of what ordinarily takes long.
fn settings(launch: Launch, servers: Servers) -> Launch {
    let fast = "100000/s burst 100000";
    let launch = RATES.iter().fold(launch, |launch, rate| launch.with(&format!("MADANG_RATE_{rate}"), fast));
    launch
        .with("MADANG_DATABASE_CONNECTIONS", servers.database_connections.to_string())
        .with("MADANG_POLL_INTERVAL", if servers.alone { "24h" } else { "1s" })
        .with("MADANG_HEARTBEAT", if servers.alone { "20s" } else { "2s" })
        .with("MADANG_RECEIPT_GATHER", "100ms")
        .with("MADANG_DRAIN_TIMEOUT", "2s")
        .with("MADANG_TOKEN_GRACE", "1s")
        // Those who behave badly use devices up.
        .with("MADANG_DEVICE_SESSIONS_PER_PERSON", "10000")
        .with("MADANG_LARGE_ROOM_MEMBERS", servers.large_room_members.to_string())
        .with("MADANG_SMALL_AGAIN_MEMBERS", (servers.large_room_members - 1).to_string())
}
