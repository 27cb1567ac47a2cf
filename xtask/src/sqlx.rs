//! `cargo xtask sqlx`: what the compiler knows of the queries (`.sqlx`), written anew from the migrations.
//!
//! A scratch database is made, and the macros look every query up in it and write down what they saw.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};

use crate::run::{Cargo, root, target};

pub(crate) fn sqlx(arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [one] if one == "--check" => true,
        other => bail!("only --check is known here, not {other:?}"),
    };
    let fresh = target().join("xtask").join("sqlx");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    describe(&fresh)?;
    let kept = root().join(".sqlx");
    let (old, new) = (read(&kept)?, read(&fresh)?);
    if check {
        return compare(&old, &new);
    }
    fs::create_dir_all(&kept)?;
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        fs::remove_file(kept.join(name))?;
    }
    for (name, text) in new.iter().filter(|(name, text)| old.get(*name) != Some(text)) {
        fs::write(kept.join(name), text)?;
    }
    println!("{} queries in .sqlx", new.len());
    Ok(())
}

/// Lets the macros write to `folder`.
fn describe(folder: &Path) -> Result<()> {
    let scratch = Scratch::start()?;
    let source = root().join("server/src/lib.rs");
    // Cargo does not know that the macros look at a database, so it must think that the source has changed.
    #[expect(clippy::disallowed_methods, reason = "a file's time is compared with other files' times")]
    let now = SystemTime::now();
    File::options().append(true).open(&source)?.set_modified(now)?;
    Cargo::new(["check", "--quiet", "-p", "madang-server"])
        .env("DATABASE_URL", &scratch.url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", folder)
        .run()
}

/// A database with all migrations, for as long as the value lives.
struct Scratch {
    child: Child,
    url: String,
}

impl Scratch {
    fn start() -> Result<Self> {
        let run = ["run", "--quiet", "-p", "madang-devstack", "--bin", "madang-scratch-db"];
        let mut command = Cargo::new(run).into_command();
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("run madang-scratch-db")?;
        let mut url = String::new();
        BufReader::new(child.stdout.take().context("its output is ours")?).read_line(&mut url)?;
        let url = url.trim().to_owned();
        if url.is_empty() {
            let status = child.wait()?;
            bail!("no scratch database: madang-scratch-db: {status}");
        }
        Ok(Self { child, url })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It ends when its input closes.
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    if !folder.exists() {
        return Ok(BTreeMap::new());
    }
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") {
            found.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

fn compare(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Result<()> {
    let surplus = old.keys().filter(|name| !new.contains_key(*name)).count();
    let missing = new.keys().filter(|name| !old.contains_key(*name)).count();
    let changed = new.iter().filter(|(name, text)| old.get(*name).is_some_and(|old| old != *text)).count();
    let same = surplus + missing + changed == 0;
    ensure!(
        same,
        ".sqlx is not what the queries are: {missing} missing, {changed} changed, {surplus} too many. Run `cargo xtask sqlx`."
    );
    println!("{} queries in .sqlx, all as they should be", new.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn a_missing_changed_or_surplus_query_is_told() {
        let kept = files(&[("a", "1"), ("b", "2")]);
        assert!(compare(&kept, &kept).is_ok());
        for other in
            [files(&[("a", "1")]), files(&[("a", "1"), ("b", "3")]), files(&[("a", "1"), ("b", "2"), ("c", "")])]
        {
            assert!(compare(&kept, &other).is_err());
        }
    }
}
