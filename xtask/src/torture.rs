//! `cargo xtask torture`: builds the server and the machine that tries to break its promise, and runs the latter.

use anyhow::Result;

use crate::{
    packages,
    run::{Cargo, target},
};

/// What is a part of every test run: few seeds with every kind of fault, about two minutes on two cores.
const FIXED: [&str; 10] = ["--seeds", "1..7", "--clients", "6", "--rooms", "5", "--steps", "200", "--jobs", "4"];

/// All in one process, of which as many as possible are played: built like what the benches measure.
const IN_PROCESS: &str = "--in-process";

pub(crate) fn torture(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == IN_PROCESS) {
        let build = ["build", "--quiet", "--profile", "bench-run", "-p", "madang-torture", "--features", "sabotage"];
        Cargo::new(build).run()?;
        return Cargo::program(target().join("bench-run").join("madang-torture")).args(arguments).run();
    }
    packages::need_nats()?;
    // One after the other: what the tests ask of the server's library must not get into the server.
    Cargo::new(["build", "--quiet", "-p", "madang-server", "--bin", "madang"]).run()?;
    // The clients' guards hold unless one is named; the feature is needed for where their processes die.
    Cargo::new(["build", "--quiet", "-p", "madang-torture", "--features", "sabotage"]).run()?;
    if arguments.iter().any(|argument| argument.starts_with("--guards") || argument.starts_with("--without")) {
        return Cargo::program(target().join("debug").join("madang-torture"))
            .args(["--server-binary"])
            .args([sabotaged()?])
            .args(arguments)
            .run();
    }
    Cargo::program(target().join("debug").join("madang-torture")).args(arguments).run()
}

/// A server whose guards can be taken out, beside the other: nobody else is to find it under the server's name.
fn sabotaged() -> Result<String> {
    let build = ["build", "--quiet", "-p", "madang-server", "--bin", "madang"];
    Cargo::new(build).args(["--features", "sabotage"]).run()?;
    let (made, apart) = (target().join("debug").join("madang"), target().join("debug").join("madang-sabotage"));
    // One that runs keeps its own file.
    std::fs::remove_file(&apart).ok();
    std::fs::copy(&made, &apart)?;
    Cargo::new(build).run()?;
    Ok(apart.display().to_string())
}

/// The fixed seeds.
pub(crate) fn fixed() -> Result<bool> {
    torture(&FIXED.map(str::to_owned))?;
    Ok(true)
}
