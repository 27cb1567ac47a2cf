//! Licences, sources and known faults of what this project is built from.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{packages, run::Cargo};

/// The version of cargo-deny: pinned, as another one may read deny.toml otherwise.
const VERSION: &str = "0.20.2";

/// Longest wait for the list of known faults: it comes by git, which not every machine may use.
const FETCH: Duration = Duration::from_secs(30);

pub(super) fn check() -> Result<()> {
    let deny = packages::tool("cargo-deny", VERSION)?;
    let call = |arguments: &[&str]| Cargo::program(&deny).args(["--log-level", "warn"]).args(arguments);
    call(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]).run()?;
    if reachable(call(&["fetch", "db"]))? {
        call(&["check", "--hide-inclusion-graph", "advisories"]).run()?;
    } else {
        println!("advisories NOT checked: their database cannot be fetched from here");
    }
    Ok(())
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
