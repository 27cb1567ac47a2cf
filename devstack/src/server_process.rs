//! The real `madang` binary as a child: started, waited for, stopped in order or killed.
//!
//! Always true: its log goes to a file, a Ctrl-C at the terminal does not reach it, and it does not outlive the value.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::files::tail;
use crate::issuer;

/// Longest wait for a server to be ready: it connects to its database and fetches the issuer's keys.
const READY: Duration = Duration::from_mins(1);

/// Time between two looks at the log.
const LOOK: Duration = Duration::from_millis(10);

/// How to run the binary.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The binary `madang`.
    pub binary: PathBuf,
    /// Variables added to those of this process.
    pub environment: Vec<(String, String)>,
    /// Where its output goes; it is appended.
    pub log: PathBuf,
}

impl Launch {
    /// A server for a database and an issuer, on any free ports of 127.0.0.1, with reflection.
    pub fn new(binary: &Path, database_url: &str, issuer_url: &str, log: &Path) -> Self {
        // A bare name would be looked for in the path.
        let binary = std::path::absolute(binary).unwrap_or_else(|_| binary.to_owned());
        let launch = Self { binary, environment: Vec::new(), log: log.to_owned() };
        launch
            .with("MADANG_DATABASE_URL", database_url)
            .with("MADANG_ISSUER", issuer_url)
            .with("MADANG_AUDIENCE", issuer::AUDIENCE)
            .with("MADANG_CLIENT_ID", issuer::CLIENT_ID)
            .with("MADANG_LISTEN", "127.0.0.1:0")
            .with("MADANG_ADMIN_LISTEN", "127.0.0.1:0")
            .with("MADANG_REFLECTION", "true")
    }

    /// The same with a variable set, or set otherwise.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Runs `madang migrate` to its end.
    pub async fn migrate(&self) -> Result<()> {
        self.run("migrate").await
    }

    /// Runs `madang restore-done` to its end.
    pub async fn restore_done(&self) -> Result<()> {
        self.run("restore-done").await
    }

    async fn run(&self, name: &str) -> Result<()> {
        let status = self.command(name)?.status().await;
        let status = status.with_context(|| format!("run {}", self.binary.display()))?;
        ensure!(status.success(), "madang {name}: {status}\n{}", tail(&self.log));
        Ok(())
    }

    /// Runs `madang serve` and waits until it says that it is ready.
    pub async fn serve(&self) -> Result<ServerProcess> {
        let from = fs::metadata(&self.log).map_or(0, |found| found.len());
        let mut child = self.command("serve")?.spawn().with_context(|| format!("run {}", self.binary.display()))?;
        let deadline = tokio::time::Instant::now() + READY;
        loop {
            if let Some((grpc, admin)) = ready_line(&self.log, from)? {
                let pid = child.id().context("the server ended as soon as it was ready")?;
                return Ok(ServerProcess { child, pid, grpc, admin, log: self.log.clone() });
            }
            if let Some(status) = child.try_wait()? {
                bail!("madang serve ended before it was ready: {status}\n{}", tail(&self.log));
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "madang serve is not ready after {READY:?}\n{}",
                tail(&self.log)
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    fn command(&self, name: &str) -> Result<Command> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("open {}", self.log.display()))?;
        let mut command = Command::new(&self.binary);
        command.arg(name).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }
}

/// The addresses of the first line after `from` that says `ready`.
fn ready_line(log: &Path, from: u64) -> Result<Option<(SocketAddr, SocketAddr)>> {
    let mut file = File::open(log).with_context(|| format!("open {}", log.display()))?;
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    for line in lines {
        // Some writers put what was said into an object of its own.
        let said = if line["fields"].is_object() { &line["fields"] } else { &line };
        if said["message"] == "ready" {
            let address = |name: &str| {
                let text = said[name].as_str().with_context(|| format!("the ready line names no {name}"))?;
                text.parse().with_context(|| format!("the ready line's {name} is no address: {text}"))
            };
            return Ok(Some((address("grpc")?, address("admin")?)));
        }
    }
    Ok(None)
}

/// A server that was ready. It is killed when the value goes.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    pid: u32,
    grpc: SocketAddr,
    admin: SocketAddr,
    log: PathBuf,
}

impl ServerProcess {
    /// Where it speaks gRPC and gRPC-web.
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Where it shows its metrics.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process id, also after it has ended.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.context("wait for the server")
    }

    /// Asks it to stop with SIGTERM, and kills it when it has not after `bound`.
    pub async fn stop(&mut self, bound: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        match tokio::time::timeout(bound, self.child.wait()).await {
            Ok(status) => status.context("wait for the server"),
            Err(_) => self.kill().await,
        }
    }

    /// Kills it with SIGKILL, as `kill -9` does, and waits until it is gone.
    pub async fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.wait().await
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Without an id it has ended and was waited for: its number may be somebody else's by now.
        let Some(pid) = self.child.id() else { return Ok(()) };
        let pid = Pid::from_raw(i32::try_from(pid)?).context("a process has a number")?;
        kill_process(pid, signal).context("send the server a signal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = r#"case "$1" in
        migrate) echo "migrated $MADANG_DATABASE_URL"; exit 0;;
        serve) trap 'echo drained; exit 0' TERM;;
    esac
    echo '{"level":"INFO","fields":{"message":"ready","grpc":"127.0.0.1:7","admin":"127.0.0.1:8"}}'
    while :; do sleep 0.05; done"#;

    fn launch(name: &str, script: &str) -> Launch {
        let folder = std::env::temp_dir().join(format!("madang-server-process-{}-{name}", std::process::id()));
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).unwrap();
        let binary = folder.join("madang");
        // By another process: one of ours, forked by another test at that moment, would keep the file open for writing
        // and running it would fail as "text file busy".
        let mut write = std::process::Command::new("sh");
        write.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(&binary).arg(script);
        assert!(write.status().unwrap().success());
        Launch::new(&binary, "postgres://x", "http://x", &folder.join("server.log"))
    }

    #[tokio::test]
    async fn a_server_is_ready_when_it_says_so_and_stops_when_asked() {
        let launch = launch("good", SERVER);
        launch.migrate().await.unwrap();
        let mut server = launch.serve().await.unwrap();
        assert_eq!((server.grpc().port(), server.admin().port()), (7, 8));
        assert!(server.stop(Duration::from_secs(10)).await.unwrap().success());
        let log = server.log_tail();
        assert!(log.contains("migrated postgres://x") && log.ends_with("drained"), "{log}");
        // A ready line of an earlier run is not taken for this one's.
        let mut again = launch.serve().await.unwrap();
        assert!(!again.kill().await.unwrap().success());
    }

    #[tokio::test]
    async fn a_server_that_will_not_stop_is_killed() {
        let mut server = launch("deaf", &SERVER.replace("echo drained; exit 0", "")).serve().await.unwrap();
        assert!(!server.stop(Duration::from_millis(300)).await.unwrap().success());
    }

    #[tokio::test]
    async fn a_server_that_fails_tells_why() {
        let launch = launch("bad", "echo no such database; exit 3");
        let error = format!("{:#}", launch.serve().await.unwrap_err());
        assert!(error.contains("exit status: 3") && error.contains("no such database"), "{error}");
        assert!(launch.migrate().await.is_err());
    }
}
