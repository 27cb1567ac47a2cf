//! A server of a seed: a process of the real `madang`, or the same server within this process, which starts in a fraction of
//! the time and dies with the threads that it runs on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use madang_devstack::server_process::{Launch, ServerProcess};
use madang_server::{
    app::{App, Running},
    clock::SystemClock,
    config::Config,
};
use tokio::runtime::{Builder, Runtime};

/// How long the threads of a server within this process may take to stand still when it is killed. None waits for longer
/// than one step of a task.
const STILL: Duration = Duration::from_secs(5);

/// A server that was ready.
pub enum Server {
    /// A process of its own.
    Process(ServerProcess),
    /// Within this process.
    Here(Inside),
}

impl Server {
    /// Starts one with the settings of a launch, and waits until it is ready.
    pub async fn start(launch: &Launch, here: bool) -> Result<Self> {
        Ok(if here { Self::Here(Inside::start(launch).await?) } else { Self::Process(launch.serve().await?) })
    }

    /// Where it speaks gRPC.
    pub fn grpc(&self) -> SocketAddr {
        match self {
            Self::Process(server) => server.grpc(),
            Self::Here(server) => server.grpc,
        }
    }

    /// Its process, if it has one of its own.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(server) => Some(server.pid()),
            Self::Here(_) => None,
        }
    }

    /// The last that it said.
    pub fn log_tail(&self) -> String {
        match self {
            Self::Process(server) => server.log_tail(),
            Self::Here(_) => String::new(),
        }
    }

    /// Whether it has not ended by itself.
    pub async fn is_up(&mut self) -> bool {
        match self {
            Self::Process(server) => tokio::time::timeout(Duration::ZERO, server.wait()).await.is_err(),
            Self::Here(server) => server.running.is_some(),
        }
    }

    /// Ends it where it stands.
    pub async fn kill(&mut self) -> Result<()> {
        match self {
            Self::Process(server) => server.kill().await.map(drop),
            Self::Here(server) => server.kill().await,
        }
    }

    /// Asks it to stop, and kills it when it has not within a bound.
    pub async fn stop(&mut self, bound: Duration) -> Result<()> {
        match self {
            Self::Process(server) => server.stop(bound).await.map(drop),
            Self::Here(server) => server.stop(bound).await,
        }
    }
}

/// A server within this process, on threads of its own.
pub struct Inside {
    runtime: Option<Runtime>,
    running: Option<Running>,
    grpc: SocketAddr,
}

impl Inside {
    async fn start(launch: &Launch) -> Result<Self> {
        let config = Config::load(None, launch.environment.iter().cloned())?;
        #[cfg(feature = "sabotage")]
        let config = Config { held: held(launch)?, ..config };
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("node").enable_all().build()?;
        let starting = runtime.spawn(async move { App::start(config, Arc::new(SystemClock)).await });
        let mut server = Self { runtime: Some(runtime), running: None, grpc: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let running = starting.await.context("the start panicked")??;
        server.grpc = running.grpc;
        server.running = Some(running);
        Ok(server)
    }

    async fn stop(&mut self, bound: Duration) -> Result<()> {
        if let (Some(runtime), Some(running)) = (&self.runtime, self.running.take()) {
            let stopping = runtime.spawn(running.shutdown());
            if let Ok(stopped) = tokio::time::timeout(bound, stopping).await {
                stopped.context("the server panicked when it stopped")?;
            }
        }
        self.kill().await
    }

    async fn kill(&mut self) -> Result<()> {
        let (runtime, running) = (self.runtime.take(), self.running.take());
        if let Some(runtime) = runtime {
            tokio::task::spawn_blocking(move || runtime.shutdown_timeout(STILL)).await?;
        }
        drop(running);
        Ok(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// All guards but the one that the launch names.
#[cfg(feature = "sabotage")]
fn held(launch: &Launch) -> Result<madang_server::sabotage::Guards> {
    use madang_server::sabotage::{Guard, Guards};
    let Some((_, out)) = launch.environment.iter().find(|(name, _)| name == "SABOTAGE_WITHOUT") else {
        return Ok(Guards::default());
    };
    let found = Guard::ALL.iter().find(|(name, _)| name == out).context("the name of a guard of the server")?;
    Ok(Guards::without(found.1))
}
