//! `cargo xtask bench`: builds the server and the benches as fast as they should be, and runs the latter; with `--record` what
//! they print becomes part of docs/performance.md.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::run::{Cargo, target};
use crate::{bindings, packages, performance};

/// The profile; the programs find each other in its folder.
const PROFILE: &str = "bench-run";

/// Said to this command alone.
const RECORD: &str = "--record";

/// The bench that needs the clients of other languages.
const BOUNDARY: &str = "ffi";

pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    // One after the other: what the tests ask of the server's library must not get into the server.
    let build = |package, program| {
        Cargo::new(["build", "--quiet", "--profile", PROFILE, "-p", package, "--bin", program]).run()
    };
    if !is_boundary_alone(arguments) {
        packages::need_nats()?;
        packages::need("redis-server", &["redis-server"])?;
        build("madang-server", "madang")?;
    }
    build("madang-tests", "bench")?;
    let mut benches = Cargo::program(target().join(PROFILE).join("bench"));
    if arguments.iter().any(|argument| argument == BOUNDARY) {
        benches = benches.arg("--bindings").arg(bindings::prepare(PROFILE)?);
    }
    if arguments.iter().all(|argument| argument != RECORD) {
        return benches.args(arguments).run();
    }
    let arguments = arguments.iter().filter(|argument| ![RECORD, "--json"].contains(&argument.as_str()));
    record(benches.args(arguments).arg("--json"))
}

/// Whether nothing is measured that needs a server: of all arguments only names are words.
fn is_boundary_alone(arguments: &[String]) -> bool {
    let is_word = |argument: &&String| argument.chars().all(char::is_alphabetic);
    arguments.iter().filter(is_word).eq([BOUNDARY])
}

/// Prints and keeps each line. A missed goal is a failure here as it is without keeping, and what came is kept all the same.
fn record(benches: Cargo) -> Result<()> {
    let mut child = benches.into_command().stdout(Stdio::piped()).spawn().context("run the benches")?;
    let output = BufReader::new(child.stdout.take().context("its output was asked for")?);
    let mut lines = Vec::new();
    for line in output.lines() {
        let line = line?;
        println!("{line}");
        lines.push(line);
    }
    let status = child.wait()?;
    performance::record(&lines)?;
    ensure!(status.success(), "what came is recorded, but a goal was missed or a bench failed");
    Ok(())
}
