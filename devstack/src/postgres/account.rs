//! Who runs the server's processes, and which folders that account can reach.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use tokio::process::Command;

/// The account of PostgreSQL's own processes: `nobody` when started by root (initdb refuses root), else the caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
    drops: bool,
}

impl Account {
    pub(super) fn pick() -> Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            return Ok(Self { uid, gid: rustix::process::getegid().as_raw(), drops: false });
        }
        // initdb looks its own user up by number, so the account must be in the file.
        let passwd = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let line = passwd.lines().find(|line| line.starts_with("nobody:"));
        let mut fields = line.context("no account 'nobody' to run PostgreSQL as")?.split(':').skip(2);
        let mut number = || fields.next().and_then(|n| n.parse().ok()).context("the account 'nobody' has no number");
        Ok(Self { uid: number()?, gid: number()?, drops: true })
    }

    /// Whether the processes run as somebody else than the caller.
    pub(super) fn drops(self) -> bool {
        self.drops
    }

    pub(super) fn uid(self) -> u32 {
        self.uid
    }

    pub(super) fn own(self, path: &Path) -> Result<()> {
        if self.drops {
            chown(path, Some(self.uid), Some(self.gid)).with_context(|| format!("give away {}", path.display()))?;
        }
        Ok(())
    }

    /// Lets the command run as this account; its groups are dropped too.
    pub(super) fn apply(self, command: &mut Command) {
        if self.drops {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Where fetched binaries are kept between runs.
    pub(super) fn cache_folder(self) -> PathBuf {
        if self.drops {
            return "/var/cache/madang-devstack".into();
        }
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_dir());
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home.map(|home| home.join(".cache")));
        let uid = self.uid;
        cache.map_or_else(|| std::env::temp_dir().join(format!("madang-devstack-{uid}")), |c| c.join("madang-devstack"))
    }

    /// Fails when a folder above `path` does not let this account through, as root's home does not.
    pub(super) fn can_reach(self, path: &Path) -> Result<()> {
        if !self.drops {
            return Ok(());
        }
        for folder in path.ancestors() {
            let Ok(found) = fs::metadata(folder) else { continue };
            if found.mode() & 0o001 == 0 && found.uid() != self.uid {
                bail!("{} does not let the account 'nobody' through, which PostgreSQL runs as", folder.display());
            }
        }
        Ok(())
    }
}

/// A place for a cluster that belongs to `folder`: `folder` itself, or, where PostgreSQL's account cannot reach it (a
/// checkout in root's home), a folder of the machine's cache with `folder` a symbolic link to it.
pub fn place_for(folder: &Path) -> Result<PathBuf> {
    let account = Account::pick()?;
    if let Ok(found) = folder.canonicalize() {
        return Ok(found);
    }
    let parent = folder.parent().context("a cluster needs a folder with a name")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    let parent = parent.canonicalize().with_context(|| format!("resolve {}", parent.display()))?;
    let wanted = parent.join(folder.file_name().context("a cluster needs a folder with a name")?);
    if account.can_reach(&parent).is_ok() {
        return Ok(wanted);
    }
    let digest = Sha256::digest(wanted.as_os_str().as_encoded_bytes());
    let name = format!("{digest:.16x}");
    let elsewhere = account.cache_folder().join(name);
    fs::create_dir_all(&elsewhere).with_context(|| format!("create {}", elsewhere.display()))?;
    if fs::symlink_metadata(&wanted).is_ok() {
        fs::remove_file(&wanted).with_context(|| format!("replace {}", wanted.display()))?;
    }
    symlink(&elsewhere, &wanted).with_context(|| format!("link {}", wanted.display()))?;
    Ok(elsewhere)
}
