//! Files that are there whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a file that only its owner reads, by writing beside it and renaming: a reader never sees half of it.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let name = path.file_name().context("a file needs a name")?;
    let beside = path.with_file_name(format!("{}.{}.new", name.to_string_lossy(), std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        drop(file);
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// The last lines of a log, for an error message.
pub fn tail(path: &Path) -> String {
    const LINES: usize = 20;
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
