//! `cargo xtask simulate`: builds the simulated world and plays schedules of it.

use anyhow::Result;

use crate::{
    instructions::instructions,
    run::{Cargo, target},
};

/// The program with the guards that it takes out; nothing else is built with them by this.
const PROGRAM: [&str; 4] = ["-p", "madang-simulation", "--features", "sabotage"];

/// Built like what the benches measure: many times the schedules, after minutes of building.
const FAST: &str = "--fast";

pub(crate) fn simulate(arguments: &[String]) -> Result<()> {
    let (profile, folder) =
        if arguments.iter().any(|one| one == FAST) { ("bench-run", "bench-run") } else { ("dev", "debug") };
    let arguments = arguments.iter().filter(|one| *one != FAST);
    Cargo::new(["build", "--quiet", "--profile", profile]).args(PROGRAM).run()?;
    Cargo::program(target().join(folder).join("madang-simulation")).args(arguments).run()
}

/// What is a part of every test run: the core's tests of what happens without a rule, its own tests, schedules for 20
/// seconds, every guard, and what a message costs in instructions.
pub(crate) fn fixed() -> Result<bool> {
    let without = ["small_worlds::a_rule", "story::without"];
    Cargo::new(["test", "--quiet", "-p", "madang-sdk-core", "--features", "simulation", "--lib", "--"])
        .args(without)
        .run()?;
    Cargo::new(["test", "--quiet"]).args(PROGRAM).run()?;
    simulate(&["--seconds".to_owned(), "20".to_owned()])?;
    simulate(&["--guards".to_owned()])?;
    instructions()?;
    Ok(true)
}
