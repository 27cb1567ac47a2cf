//! The client for browsers and the web app on it: generated, type-checked, tested by themselves, in browsers and against a real
//! server, and weighed.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{
    bindings::{self, Part, Scenarios},
    packages,
    run::{Cargo, root},
};

/// The oldest Node that the tools run on.
const NODE: u32 = 20;

/// The server's feature that builds the app into it.
pub(crate) const EMBEDDED: &str = "embedded-web";

/// The part of the tests.
pub(crate) fn test() -> Result<bool> {
    need_node()?;
    packages::need("chromium", &["chromium"])?;
    let rust = Scenarios::play_rust(Part::Pages)?;
    let ground = bindings::built("ground");
    install("bindings/web")?;
    for script in ["test", "build", "size"] {
        npm("bindings/web", &["run", script]).run()?;
    }
    npm("bindings/web", &["run", "e2e"]).env("GROUND", &ground).run()?;
    rust.play("web", |arguments| npm("bindings/web", &["run", "scenarios", "--"]).args(arguments).run())?;
    install("web")?;
    for script in ["test", "build"] {
        npm("web", &["run", script]).run()?;
    }
    npm("web", &["run", "stories", "--"]).arg(&ground).run()?;
    let embedded = ["test", "--quiet", "-p", "madang-server", "--lib", "--features", EMBEDDED, "--", "site::embedded"];
    Cargo::new(embedded).run()?;
    Ok(true)
}

/// Builds the app; the folder that a server serves.
pub(crate) fn build() -> Result<PathBuf> {
    need_node()?;
    for folder in ["bindings/web", "web"] {
        if !root().join(folder).join("node_modules").exists() {
            install(folder)?;
        }
        npm(folder, &["run", "build", "--silent"]).output()?;
    }
    Ok(root().join("web/dist"))
}

/// What the lock file names, and nothing else.
fn install(folder: &str) -> Result<()> {
    npm(folder, &["ci", "--no-audit", "--no-fund"]).run()
}

fn npm(folder: &str, words: &[&str]) -> Cargo {
    Cargo::program("npm").arg("--prefix").arg(root().join(folder)).args(words)
}

/// Debian's Node may be older than what the tools run on, so it is not installed from there.
pub(crate) fn need_node() -> Result<()> {
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
