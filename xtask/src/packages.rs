//! What must be installed on a machine with only Rust, git and apt, and is not in any crate.

use std::path::Path;

use anyhow::{Result, bail};

use crate::run::Cargo;

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

/// What to put before a command that needs the rights of root; nothing when they cannot be had without a question.
fn rights() -> Option<&'static [&'static str]> {
    let root = Cargo::program("id").args(["-u"]).output().is_ok_and(|id| id.trim() == "0");
    if root {
        return Some(&[]);
    }
    Cargo::program("sudo").args(["-n", "true"]).succeeds().then_some(&["sudo", "-n"])
}
