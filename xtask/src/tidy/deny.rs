//! Licences, sources and known faults of what this project is built from.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::run::{Cargo, target, tools};

/// The version of cargo-deny: pinned, as another one may read deny.toml otherwise.
const VERSION: &str = "0.20.2";

/// Longest wait for the list of known faults: it comes by git, which not every machine may use.
const FETCH: Duration = Duration::from_secs(30);

pub(super) fn check() -> Result<()> {
    let deny = install()?;
    let call = |arguments: &[&str]| Cargo::program(&deny).args(["--log-level", "warn"]).args(arguments);
    call(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]).run()?;
    if reachable(call(&["fetch", "db"]))? {
        call(&["check", "--hide-inclusion-graph", "advisories"]).run()?;
    } else {
        println!("advisories NOT checked: their database cannot be fetched from here");
    }
    Ok(())
}

fn install() -> Result<PathBuf> {
    let program = tools().join("bin/cargo-deny");
    let right = || Cargo::program(&program).args(["--version"]).output().is_ok_and(|v| v.trim().ends_with(VERSION));
    if right() {
        return Ok(program);
    }
    println!("installing cargo-deny {VERSION}, once (two minutes)");
    let install = ["install", "--quiet", "--locked", "--version", VERSION, "--root"];
    let cargo = Cargo::new(install).args([tools().as_os_str(), "cargo-deny".as_ref()]);
    // Its build has its own place, which is as good as none afterwards.
    let build = target().join("xtask").join("cargo-deny");
    cargo.env("CARGO_TARGET_DIR", &build).run()?;
    std::fs::remove_dir_all(&build).ok();
    ensure!(right(), "cargo has not installed cargo-deny {VERSION}");
    Ok(program)
}

/// Runs it for as long as [`FETCH`]; tells whether it succeeded.
fn reachable(cargo: Cargo) -> Result<bool> {
    let mut command = cargo.env("GIT_TERMINAL_PROMPT", "0").into_command();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let began = Instant::now();
    while began.elapsed() < FETCH {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}
