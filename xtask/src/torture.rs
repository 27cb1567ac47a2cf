//! `cargo xtask torture`: builds the server and the machine that tries to break its promise, and runs the latter.

use std::path::Path;

use anyhow::Result;

use crate::{
    packages,
    run::{Cargo, target},
};

/// What is a part of every test run: few seeds with every kind of fault, about two minutes on two cores.
const FIXED: [&str; 10] = ["--seeds", "1..7", "--clients", "6", "--rooms", "5", "--steps", "200", "--jobs", "4"];

/// All in one process, of which as many as possible are played.
const IN_PROCESS: &str = "--in-process";

/// Built like what the benches measure: twice the seeds an hour, after minutes of building.
const FAST: &str = "--fast";

pub(crate) fn torture(arguments: &[String]) -> Result<()> {
    let has = |begin: &str| arguments.iter().any(|argument| argument.starts_with(begin));
    let (profile, folder) = if has(FAST) || has(IN_PROCESS) { ("bench-run", "bench-run") } else { ("dev", "debug") };
    let built = target().join(folder);
    let arguments = arguments.iter().filter(|argument| *argument != FAST);
    // One after the other: what the tests ask of the server's library must not get into the server.
    if !has(IN_PROCESS) {
        packages::need_nats()?;
        server(profile, &[])?;
    }
    // The clients' guards hold unless one is named; the feature is needed for where their processes die.
    Cargo::new(["build", "--quiet", "--profile", profile, "-p", "madang-torture", "--features", "sabotage"]).run()?;
    let mut call = Cargo::program(built.join("madang-torture"));
    if !has(IN_PROCESS) && (has("--guards") || has("--without")) {
        call = call.args(["--server-binary"]).args([sabotaged(profile, &built)?]);
    }
    call.args(arguments).run()
}

fn server(profile: &str, features: &[&str]) -> Result<()> {
    Cargo::new(["build", "--quiet", "--profile", profile, "-p", "madang-server", "--bin", "madang"])
        .args(features)
        .run()
}

/// A server whose guards can be taken out, beside the other: nobody else is to find it under the server's name.
fn sabotaged(profile: &str, built: &Path) -> Result<String> {
    server(profile, &["--features", "sabotage"])?;
    let (made, apart) = (built.join("madang"), built.join("madang-sabotage"));
    // One that runs keeps its own file.
    std::fs::remove_file(&apart).ok();
    std::fs::copy(&made, &apart)?;
    server(profile, &[])?;
    Ok(apart.display().to_string())
}

/// The fixed seeds.
pub(crate) fn fixed() -> Result<bool> {
    torture(&FIXED.map(str::to_owned))?;
    Ok(true)
}
