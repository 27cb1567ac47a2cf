//! Processes as the kernel sees them, and children of this program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The file of this program, which also serves as the bare server.
pub fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("find this program")
}

/// Files that are enough for all connections of any bench, on either side.
const FILES: u64 = 65_536;

/// Lets this process, and its children, open as many files as they may. Only root may raise the maximum.
pub fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let enough = maximum.map(|most| most.max(FILES));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: enough, maximum: enough });
    // Where it is refused, the limit is what it was, and fewer connections are opened.
    _ = raised.or_else(|_| setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }));
}

/// Connections that a process may have open, with some files left for itself.
pub fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(200)).unwrap_or(usize::MAX)
}

/// Processor time that a process has used since its start, in all its threads.
pub fn processor_time(pid: u32) -> Result<Duration> {
    Ok(Stat::of(pid).context("read the processor time of a process")?.own)
}

/// Processor time of a process and its children, those that have ended included.
pub fn family_time(pid: u32) -> Result<Duration> {
    let mut whole = processor_time(pid)?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(other) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has just ended is in its parent's sum.
        let Ok(stat) = Stat::of(other) else { continue };
        if other == pid {
            whole += stat.of_ended;
        } else if stat.parent == pid {
            whole += stat.own;
        }
    }
    Ok(whole)
}

/// What the kernel tells of a process.
struct Stat {
    parent: u32,
    own: Duration,
    /// Of children that have ended.
    of_ended: Duration,
}

impl Stat {
    fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // "PID (name) STATE PARENT ...": the name may hold anything, so counting begins behind it.
        let after = stat.rsplit_once(')').context("a process has a name")?.1;
        let field = |place: usize| after.split_whitespace().nth(place).context("a process has all fields");
        // User and system are 14 and 15 of all; those of children that have ended follow.
        let both = |place| anyhow::Ok(ticks(field(place)?.parse::<u64>()? + field(place + 1)?.parse::<u64>()?));
        Ok(Self { parent: field(1)?.parse()?, own: both(11)?, of_ended: both(13)? })
    }
}

fn ticks(count: u64) -> Duration {
    Duration::from_nanos(count * (1_000_000_000 / rustix::param::clock_ticks_per_second()))
}

/// Write calls that a process has made.
pub fn writes(pid: u32) -> Result<u64> {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).context("read what a process has written")?;
    let line = io.lines().find_map(|line| line.strip_prefix("syscw: ")).context("a process counts its writes")?;
    Ok(line.trim().parse()?)
}

/// Bytes of memory that a process holds.
pub fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("read the memory of a process")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process holds memory")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}

/// A bare server as a child of this process; it goes with the value.
pub struct Bare {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts one in which everybody is in one room.
    pub async fn start(program: &Path) -> Result<Self> {
        Self::start_with_rooms(program, 0, usize::MAX).await
    }

    /// Starts one with rooms of so many people: the first ones are in the room of this number, and so on.
    pub async fn start_with_rooms(program: &Path, first: usize, streams: usize) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--bare", "--first-room", &first.to_string(), "--room-streams", &streams.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("start the bare server")?;
        let output = child.stdout.take().context("the bare server's output was asked for")?;
        let line =
            BufReader::new(output).lines().next_line().await?.context("the bare server says where it listens")?;
        Ok(Self { child, address: line.parse().with_context(|| format!("not an address: {line}"))? })
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the bare server has ended")
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("end the bare server")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory_and_a_processor() {
        let pid = std::process::id();
        assert!(memory(pid).is_ok_and(|bytes| bytes > 100_000));
        assert!(family_time(pid).is_ok() && writes(pid).is_ok());
        let before = processor_time(pid).expect("this process is there");
        let mut sum = 0_u64;
        while processor_time(pid).expect("this process is there") < before + Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
