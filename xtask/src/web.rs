//! The client for browsers: generated, type-checked, tested by itself and against a real server, and weighed.

use std::fs;

use anyhow::{Result, bail};

use crate::{
    bindings, packages,
    run::{Cargo, root, target},
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
    Cargo::new(["build", "--quiet", "-p", "madang-tests", "--bin", "ground", "--bin", "scenarios"]).run()?;
    let ground = bindings::built("ground").display().to_string();
    npm(&["run", "e2e"]).env("GROUND", &ground).run()?;
    transcripts(&ground)?;
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

/// Rust and TypeScript play the scenarios, and have seen the same.
fn transcripts(ground: &str) -> Result<()> {
    let scenarios = root().join("bindings/scenario.json").display().to_string();
    let folder = target().join("bindings");
    fs::create_dir_all(&folder)?;
    let [rust, web] = ["rust", "web"].map(|language| folder.join(format!("{language}.transcript")));
    Cargo::program(bindings::built("scenarios")).args([ground, &scenarios]).arg(&rust).run()?;
    npm(&["run", "scenarios", "--", ground, &scenarios]).arg(&web).run()?;
    bindings::compare(&rust, &web)
}
