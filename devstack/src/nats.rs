//! A real nats-server of one's own, for as long as the value lives.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The program; Debian's package has the same name, and puts it where only root looks.
const PROGRAM: &str = "nats-server";
const IN_DEBIAN: &str = "/usr/sbin/nats-server";

/// Longest wait for the server to listen. It takes 20 ms.
const READY: Duration = Duration::from_secs(20);

/// Time between two tries to connect.
const LOOK: Duration = Duration::from_millis(10);

/// A nats-server on a port of 127.0.0.1. It is killed when the value goes.
#[derive(Debug)]
pub struct Nats {
    port: u16,
    child: Option<Child>,
}

impl Nats {
    /// The program, where it is to be had.
    pub fn program() -> &'static str {
        if Path::new(IN_DEBIAN).exists() { IN_DEBIAN } else { PROGRAM }
    }

    /// Starts one on any free port.
    pub async fn start() -> Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        Self::start_on(port).await
    }

    /// Starts one on a port.
    pub async fn start_on(port: u16) -> Result<Self> {
        let mut nats = Self { port, child: None };
        nats.restart().await?;
        Ok(nats)
    }

    /// What a server's `nats_url` says.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The server's process, while it is up.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Starts the server again on the same port, after [`Nats::kill`].
    pub async fn restart(&mut self) -> Result<()> {
        let mut command = Command::new(Self::program());
        command.args(["--addr", "127.0.0.1", "--port", &self.port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("run {PROGRAM}; Debian has it in a package"))?;
        let until = tokio::time::Instant::now() + READY;
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("{PROGRAM} ended: {status}");
            }
            if tokio::time::Instant::now() > until {
                bail!("{PROGRAM} does not listen after {READY:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
        self.child = Some(child);
        Ok(())
    }

    /// Kills the server with SIGKILL and waits until it is gone; nothing happens when it is not up.
    pub async fn kill(&mut self) -> Result<()> {
        match self.child.take() {
            Some(mut child) => Ok(child.kill().await?),
            None => Ok(()),
        }
    }

    /// Holds the server: its connections stay, and nothing moves on them until [`Nats::release`].
    pub fn hold(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a held server go on.
    pub fn release(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.as_ref().and_then(Child::id).and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        Ok(kill_process(pid.context("the server is not up")?, signal)?)
    }
}
