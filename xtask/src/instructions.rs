//! `cargo xtask instructions`: what a message costs in instructions, counted by valgrind, so that it is the same on every
//! machine and however busy it is. Of programs that are not optimised, as tests are: a bound against what creeps in.

use anyhow::{Context as _, Result, ensure};

use crate::{
    packages,
    run::{Cargo, target},
};

/// A piece of work, and instructions of one at most: an eighth above what was counted first.
const MOST: [(&str, u64); 2] = [
    // The server encodes a message for all streams of its room.
    ("encode", 90_000),
    // The same, and a client reads it and takes it into its store.
    ("apply", 123_000),
];

/// Two numbers of times: what they differ in is the work, without what a program needs to begin.
const FEW: u64 = 100;
const MANY: u64 = 300;

pub(crate) fn instructions() -> Result<()> {
    packages::need("valgrind", &["valgrind"])?;
    Cargo::new(["build", "--quiet", "-p", "madang-simulation", "--features", "sabotage"]).run()?;
    for (work, most) in MOST {
        let each = (counted(work, MANY)? - counted(work, FEW)?) / (MANY - FEW);
        println!("{work}: {each} instructions a message, at most {most}");
        ensure!(each <= most, "{work} takes {each} instructions a message; {most} are allowed");
    }
    Ok(())
}

fn counted(work: &str, times: u64) -> Result<u64> {
    let program = target().join("debug").join("madang-counts");
    let told = Cargo::program("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--log-fd=1"])
        .arg(program)
        .args([work, &times.to_string()])
        .output()?;
    let line = told.lines().find_map(|line| line.split_once("I   refs:")).context("valgrind tells no number")?;
    line.1.trim().replace(',', "").parse().context("a number of instructions")
}
