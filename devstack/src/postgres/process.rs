//! Making, starting, stopping and killing the server's processes.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::files::tail;

use super::{Cluster, Stop, USER};

/// Tries to start: another program may take a port between its choice and its use, and after a kill the server's last
/// child keeps the shared memory for a moment.
const START_TRIES: u32 = 5;

/// Longest wait for the processes to be gone after a kill: they notice within a second when the machine is not overloaded.
const KILL_WAIT: Duration = Duration::from_secs(20);

impl Cluster {
    /// The process id of the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        running(&self.data())
    }

    /// Stops the server; nothing happens when it is not up.
    pub async fn stop(&self, mode: Stop) -> Result<()> {
        if self.pid().is_none() {
            return Ok(());
        }
        let word = match mode {
            Stop::Smart => "smart",
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        let mut command = self.command("pg_ctl");
        command.args(["stop", "-w", "-t", "60", "-s", "-m", word, "-D"]).arg(self.data());
        self.run(command).await
    }

    /// Kills the server with SIGKILL, as `kill -9` does, and waits until it and its children are gone.
    pub async fn kill(&self) -> Result<()> {
        kill(self.pid().context("the database server is not up")?).await
    }

    /// Starts the server again on the same port, after [`Cluster::stop`] or [`Cluster::kill`].
    pub async fn restart(&self) -> Result<()> {
        ensure!(self.pid().is_none(), "the database server is still up");
        self.start_on(self.port).await
    }

    /// Starts the server and tells its port.
    pub(super) async fn launch(&self) -> Result<u16> {
        if let Some(port) = self.options.port {
            self.start_on(port).await?;
            return Ok(port);
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            match self.start_on(port).await {
                Ok(()) => return Ok(port),
                Err(e) if tries == START_TRIES => return Err(e),
                Err(_) => {}
            }
        }
    }

    async fn start_on(&self, port: u16) -> Result<()> {
        self.forget_zombie();
        let mut command = self.command("pg_ctl");
        command.args(["start", "-w", "-t", "60", "-s", "-D"]).arg(self.data());
        command.arg("-l").arg(self.data().join("server.log")).arg("-o").arg(self.settings(port));
        // A Ctrl-C at the terminal must not reach the server: whoever started it stops it in order.
        command.process_group(0);
        match self.run(command).await {
            Ok(()) => Ok(()),
            Err(e) => bail!("{e:#}\n{}", tail(&self.data().join("server.log"))),
        }
    }

    /// Removes the pid file of a killed server that nobody has reaped yet (process 1 of many containers never does):
    /// PostgreSQL would take the dead process for a running one.
    fn forget_zombie(&self) {
        let file = self.data().join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        if pid.is_some_and(|pid| state(pid) == Some('Z')) {
            fs::remove_file(&file).ok();
        }
    }

    fn settings(&self, port: u16) -> String {
        let connections = self.options.max_connections;
        let mut words = vec![format!("-h 127.0.0.1 -p {port} -c unix_socket_directories=''")];
        words.push(format!("-c max_connections={connections}"));
        // In the data folder, not in /dev/shm: there the pieces of a killed server would stay for ever.
        words.push("-c dynamic_shared_memory_type=mmap".to_owned());
        if !self.options.durable {
            // Autovacuum off: a worker connected to a template would make its copy fail.
            words.push("-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c autovacuum=off".to_owned());
            // Tmpfs is memory: the log is cut early.
            words.push("-c max_wal_size=512MB".to_owned());
        }
        words.extend(self.options.settings.iter().map(|(name, value)| format!("-c {name}={value}")));
        words.join(" ")
    }

    /// The port in the server's own pid file, if that server answers.
    pub(super) async fn running_port(&self) -> Option<u16> {
        self.pid()?;
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let port: u16 = text.lines().nth(3)?.trim().parse().ok()?;
        tokio::net::TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.ok().map(|_| port)
    }

    /// Makes the data folder beside its place and renames it: one that was cut off is never taken for whole.
    pub(super) async fn create(&self) -> Result<()> {
        let fresh = self.base.join("data-new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).context("clear a data folder that was cut off")?;
        }
        fs::create_dir(&fresh).with_context(|| format!("create {}", fresh.display()))?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o700))?;
        self.account.own(&fresh)?;
        let secret = self.base.join("initdb-password");
        crate::files::write_private(&secret, self.password.as_bytes())?;
        self.account.own(&secret)?;
        let mut command = self.command("initdb");
        command.arg("-D").arg(&fresh).args(["-U", USER, "-E", "UTF8"]);
        // Sorting by code point; but the letters must be those of UTF-8: with C, pg_trgm finds none in Korean text.
        command.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"]);
        // In the clear, but over loopback only; SCRAM's 4,096 rounds take 30 ms a connection in a debug build.
        command.arg("--auth=password").arg(format!("--pwfile={}", secret.display()));
        // The server keeps the password as SCRAM does all the same, and would go through those rounds at each connection. It
        // is random and long: one is enough.
        command.args(["--set", "scram_iterations=1"]);
        if !self.options.durable {
            command.arg("--no-sync");
        }
        let made = self.run(command).await;
        fs::remove_file(&secret)?;
        made?;
        fs::rename(&fresh, self.data()).context("put the data folder in its place")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join("bin").join(program));
        command.current_dir(&self.base).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").env_remove("PGDATA");
        self.account.apply(&mut command);
        command
    }

    async fn run(&self, mut command: Command) -> Result<()> {
        let log = self.base.join("command.log");
        let out = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let program = command.as_std().get_program().to_owned();
        let status =
            command.stdout(out.try_clone()?).stderr(out).status().await.context("start a program of PostgreSQL")?;
        ensure!(status.success(), "{}: {status}\n{}", Path::new(&program).display(), tail(&log));
        Ok(())
    }
}

/// Kills the server on a data folder, if one is up.
pub(super) async fn kill_left_over(data: &Path) -> Result<()> {
    match running(data) {
        Some(pid) => kill(pid).await,
        None => Ok(()),
    }
}

fn running(data: &Path) -> Option<u32> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    is_postgres(pid).then_some(pid)
}

async fn kill(pid: u32) -> Result<()> {
    let target = Pid::from_raw(i32::try_from(pid)?).context("a process has a number")?;
    let family = children(pid);
    kill_process(target, Signal::KILL).context("kill the database server")?;
    let deadline = tokio::time::Instant::now() + KILL_WAIT;
    while is_postgres(pid) || family.iter().any(|child| is_postgres(*child)) {
        ensure!(tokio::time::Instant::now() < deadline, "the database server is still there after SIGKILL");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Whether that process is there, is no zombie, and is a PostgreSQL: process ids are used again.
fn is_postgres(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.starts_with("postgres") && state(pid).is_some_and(|state| state != 'Z')
}

/// The state letter of a process.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // "PID (name) STATE ...", and the name may hold anything.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}
