//! The folder of one dev stack: who has it, and what it left behind.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Longest wait for a server of an earlier run to stop by itself.
const LEFT_OVER: Duration = Duration::from_secs(10);

/// A folder that no other dev stack uses. The kernel frees it when the process dies.
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(crate) fn take(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("resolve {}", path.display()))?;
        let file = path.join("lock");
        let mut lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&file)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("lock {}", file.display())),
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                lock.read_to_string(&mut owner).ok();
                let (path, owner) = (path.display(), owner.trim());
                bail!("{path} is in use by process {owner}. Stop that one, or take another folder with --dir.");
            }
        }
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Stops the server of a run that was killed: it would hold its port and write into our database.
    pub(crate) async fn stop_left_over_server(&self) -> Result<()> {
        let file = self.at("server.pid");
        let Some(pid) = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i32>().ok()) else {
            return Ok(());
        };
        if let Some(process) = Pid::from_raw(pid).filter(|_| is_server(pid)) {
            kill_process(process, Signal::TERM).ok();
            let deadline = tokio::time::Instant::now() + LEFT_OVER;
            while is_server(pid) && test_kill_process(process).is_ok() {
                if tokio::time::Instant::now() > deadline {
                    kill_process(process, Signal::KILL).ok();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        fs::remove_file(&file).ok();
        Ok(())
    }
}

/// Whether that process is a live `madang`: process ids are used again.
fn is_server(pid: i32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    name.trim() == "madang" && !stat.contains(") Z ")
}
