//! What must be installed on a machine with only Rust, git and apt, and is not in any crate.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::run::{Cargo, target, tools};

/// Debian puts them where only root looks.
const NATS: &str = "/usr/sbin/nats-server";
const NGINX: &str = "/usr/sbin/nginx";

/// Makes sure that servers have what they hear each other by.
pub(crate) fn need_nats() -> Result<()> {
    if Path::new(NATS).exists() { Ok(()) } else { need("nats-server", &["nats-server"]) }
}

/// Makes sure that a proxy can stand in front of a server.
pub(crate) fn need_nginx() -> Result<()> {
    if Path::new(NGINX).exists() { Ok(()) } else { need("nginx", &["nginx-light"]) }
}

/// Makes sure that the other proxy's configuration can be checked; `caddy` says its version to a word of its own.
pub(crate) fn need_caddy() -> Result<()> {
    if Cargo::program("caddy").args(["version"]).succeeds() { Ok(()) } else { need("caddy", &["caddy"]) }
}

/// Makes sure that archives can be opened; `unzip` alone says its version to `-v`.
pub(crate) fn need_unzip() -> Result<()> {
    if Cargo::program("unzip").args(["-v"]).succeeds() { Ok(()) } else { need("unzip", &["unzip"]) }
}

/// Makes sure that a program is there: installs Debian packages as root or by sudo, else says what to type.
pub(crate) fn need(program: &str, packages: &[&str]) -> Result<()> {
    if Cargo::program(program).args(["--version"]).succeeds() {
        return Ok(());
    }
    let install = [&["apt-get", "install", "-y", "--no-install-recommends"], packages].concat();
    let line = format!("sudo apt-get update && sudo {}", install.join(" "));
    let Some(prefix) = rights() else { bail!("{program} is missing. Type this, then try again:\n\n  {line}") };
    println!("installing {}", packages.join(", "));
    let call = |words: &[&str]| {
        let words: Vec<&str> = prefix.iter().chain(words).copied().collect();
        Cargo::program(words[0]).args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive").output()
    };
    // A list of packages may be there already; installing tells.
    if call(&install).is_err() {
        call(&["apt-get", "update"])?;
        call(&install)?;
    }
    Ok(())
}

/// A program of cargo's in exactly this version, built once (minutes).
pub(crate) fn tool(name: &str, version: &str) -> Result<PathBuf> {
    let program = tools().join("bin").join(name);
    let right =
        || Cargo::program(&program).args(["--version"]).output().is_ok_and(|told| told.trim().ends_with(version));
    if right() {
        return Ok(program);
    }
    println!("installing {name} {version}, once (two minutes)");
    let install = ["install", "--quiet", "--locked", "--version", version, "--root"];
    // Its build has its own place, which is as good as none afterwards.
    let build = target().join("xtask").join(name);
    Cargo::new(install).arg(tools()).arg(name).env("CARGO_TARGET_DIR", &build).run()?;
    std::fs::remove_dir_all(&build).ok();
    ensure!(right(), "cargo has not installed {name} {version}");
    Ok(program)
}

/// What to put before a command that needs the rights of root; nothing when they cannot be had without a question.
fn rights() -> Option<&'static [&'static str]> {
    let root = Cargo::program("id").args(["-u"]).output().is_ok_and(|id| id.trim() == "0");
    if root {
        return Some(&[]);
    }
    Cargo::program("sudo").args(["-n", "true"]).succeeds().then_some(&["sudo", "-n"])
}
