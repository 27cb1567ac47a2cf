//! `cargo xtask torture`: builds the server and the machine that tries to break its promise, and runs the latter.

use anyhow::Result;

use crate::{
    packages,
    run::{Cargo, target},
};

/// What is a part of every test run: few seeds with every kind of fault, about two minutes on two cores.
const FIXED: [&str; 8] = ["--seeds", "1..7", "--clients", "6", "--rooms", "5", "--steps", "200"];

pub(crate) fn torture(arguments: &[String]) -> Result<()> {
    packages::need_nats()?;
    // One after the other: what the tests ask of the server's library must not get into the server.
    Cargo::new(["build", "--quiet", "-p", "madang-server", "--bin", "madang"]).run()?;
    // The clients' guards hold unless one is named; the feature is needed for where their processes die.
    Cargo::new(["build", "--quiet", "-p", "madang-torture", "--features", "sabotage"]).run()?;
    Cargo::program(target().join("debug").join("madang-torture")).args(arguments).run()
}

/// The fixed seeds.
pub(crate) fn fixed() -> Result<bool> {
    torture(&FIXED.map(str::to_owned))?;
    Ok(true)
}
