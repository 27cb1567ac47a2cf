//! One door to everything a developer runs: `cargo xtask help`.
//!
//! Always true: it builds in seconds, so it uses the standard library and what reads JSON, and calls the others; `cargo
//! xtask test` is all that CI runs.
#![expect(clippy::print_stdout, reason = "it talks to the person who started it")]

mod bench;
mod bindings;
mod dev;
mod fuzz;
mod instructions;
mod keycloak;
mod packages;
mod performance;
mod release;
mod run;
mod simulation;
mod sqlx;
mod test;
mod tidy;
mod torture;
mod web;

use std::process::ExitCode;

use anyhow::{Result, bail};

use run::Cargo;

const HELP: &str = "\
cargo xtask dev [OPTION...]     a whole Madang on this machine, until Ctrl-C (dev --help)
cargo xtask check               format and clippy
cargo xtask tidy [PART...]      the rules no compiler knows: rules, proto, deny, features
cargo xtask test [PART...]      everything: tidy, clippy, unit, simulation, e2e, security, terminal, keycloak, kills, guards,
                                torture, bindings, web, docs
cargo xtask sqlx [--check]      write the queries' metadata anew, or see whether it is right
cargo xtask bench [NAME...]     measure send, fanout, idle, connections, storm, reads, day, recovery, core; by name only ffi
                                [--json] [--quick]; --record: into docs/performance.md
cargo xtask bindings WHAT       the client in other languages: csharp, jvm, swift, pack, api, docs, torture
cargo xtask fuzz [SECONDS]      bytes of all kinds as frames, against the client core
cargo xtask guards              each rule of sync with the test that fails without it
cargo xtask kills [ROUNDS]      clients killed at every point of a change's way
cargo xtask release             the server as it is handed out, with the web app in it
cargo xtask simulate [OPTION..] schedules of a simulated world against the same promise (simulate --help)
cargo xtask instructions        what a message costs in instructions, by valgrind
cargo xtask torture [OPTION...] seeds of faults against the promise (torture --help)
cargo xtask check-toy           how many files a new RPC touches
cargo xtask docs                write the generated pages anew
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match dispatch(&command, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("\nxtask {command}: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, rest: &[String]) -> Result<()> {
    match command {
        "dev" => dev::dev(rest),
        "check" => check(),
        "tidy" => tidy::tidy(rest),
        "test" => test::test(rest),
        "sqlx" => sqlx::sqlx(rest),
        "guards" => test::guards().map(drop),
        "kills" => test::kill(rest),
        "bench" => bench::bench(rest),
        "bindings" => bindings::bindings(rest),
        "simulate" => simulation::simulate(rest),
        "instructions" => instructions::instructions(),
        "fuzz" => fuzz::fuzz(rest),
        "release" => release::release(),
        "torture" => torture::torture(rest),
        // A program of the test crate; the name is its own.
        "check-toy" => Cargo::new(["run", "-p", "madang-tests", "--bin", "check-toy", "--"]).args(rest).run(),
        "docs" => docs(),
        "help" | "--help" | "-h" | "" => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("no such command: {other}\n\n{HELP}"),
    }
}

/// Writes the page of the benches, and those that the server knows.
fn docs() -> Result<()> {
    performance::write()?;
    for page in ["access", "configuration", "errors"] {
        let print = ["run", "--quiet", "-p", "madang-server", "--bin", "madang", "--", "docs", page];
        let text = Cargo::new(print).output()?;
        std::fs::write(run::root().join("docs").join(page).with_extension("md"), text)?;
    }
    Ok(())
}

/// Format and clippy, with warnings as errors.
fn check() -> Result<()> {
    tidy::format()?;
    clippy()
}

fn clippy() -> Result<()> {
    let mut clippy = vec!["clippy", "--quiet", "--workspace", "--all-targets"];
    // The stories and the simulation are compiled only with the guards that they take out.
    clippy.extend([
        "--features",
        "madang-tests/sabotage,madang-simulation/sabotage,madang-torture/sabotage",
        "--",
        "-D",
        "warnings",
    ]);
    Cargo::new(clippy).run()
}
