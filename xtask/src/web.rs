//! The client for browsers: generated, type-checked, tested by itself and against a real server, and weighed.

use anyhow::{Result, bail};

use crate::{
    bindings::{self, Scenarios},
    packages,
    run::{Cargo, root},
};

/// The oldest Node that the tools run on.
const NODE: u32 = 20;

/// The part of the tests.
pub(crate) fn test() -> Result<bool> {
    need_node()?;
    packages::need("chromium", &["chromium"])?;
    npm(&["ci", "--no-audit", "--no-fund"]).run()?;
    npm(&["test"]).run()?;
    npm(&["run", "build"]).run()?;
    npm(&["run", "size"]).run()?;
    let rust = Scenarios::play_rust()?;
    npm(&["run", "e2e"]).env("GROUND", bindings::built("ground")).run()?;
    rust.play("web", |arguments| npm(&["run", "scenarios", "--"]).args(arguments).run())?;
    Ok(true)
}

/// npm in the folder of the client.
fn npm(words: &[&str]) -> Cargo {
    Cargo::program("npm").arg("--prefix").arg(root().join("bindings/web")).args(words)
}

/// Debian's Node may be older than what the tools run on, so it is not installed from there.
fn need_node() -> Result<()> {
    let version = Cargo::program("node").args(["--version"]).output().unwrap_or_default();
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE => Ok(()),
        Some(major) => bail!("Node {major} is too old: the client for browsers needs {NODE}. {HOW}"),
        None => bail!("Node is missing: the client for browsers needs {NODE} or newer, with npm. {HOW}"),
    }
}

const HOW: &str =
    "Get it from https://nodejs.org/en/download, or on Debian 13 and newer by: sudo apt-get install nodejs npm";
