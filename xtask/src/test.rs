//! `cargo xtask test`: everything, in order, with the time each part took.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::run::{Cargo, root, target};
use crate::{bindings, clippy, keycloak, packages, simulation, tidy, torture, web};

/// A part: its name, and what it runs. `Ok(false)` means that there is nothing to run yet.
type Part = (&'static str, fn() -> Result<bool>);

const PARTS: [Part; 14] = [
    ("tidy", || tidy::tidy(&[]).map(|()| true)),
    ("clippy", || clippy().map(|()| true)),
    ("unit", unit),
    ("simulation", simulation::fixed),
    ("e2e", e2e),
    ("security", || suite("security")),
    ("terminal", || suite("terminal")),
    ("keycloak", keycloak::test),
    ("kills", kills),
    ("guards", guards),
    ("torture", torture::fixed),
    ("bindings", bindings::test),
    ("web", web::test),
    ("docs", docs),
];

/// How a part ended.
enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Nothing,
    NotReached,
}

pub(crate) fn test(wanted: &[String]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|name| !PARTS.iter().any(|(known, _)| known == name)) {
        bail!("no such part: {unknown}");
    }
    // SQLite is compiled from C.
    packages::need("cc", &["gcc", "libc6-dev"])?;
    // What servers hear each other by.
    packages::need_nats()?;
    let parts = PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|one| one == name));
    let mut failure = None;
    let mut table = Vec::new();
    for (name, part) in parts {
        if failure.is_some() {
            table.push((*name, Outcome::NotReached));
            continue;
        }
        println!("\n--- {name}");
        let began = Instant::now();
        let outcome = match part() {
            Ok(true) => Outcome::Passed(began.elapsed()),
            Ok(false) => Outcome::Nothing,
            Err(e) => {
                println!("\n{e:#}");
                failure = Some(*name);
                Outcome::Failed(began.elapsed())
            }
        };
        table.push((*name, outcome));
    }
    stop_test_cluster();
    print(&table);
    match failure {
        Some(name) => bail!("{name} failed"),
        None => Ok(()),
    }
}

/// The tests share one database server and leave it up for the next process; after the last one it goes.
fn stop_test_cluster() {
    let program = target().join("debug").join("madang-scratch-db");
    if program.exists() && Cargo::program(program).args(["--stop"]).output().is_err() {
        println!("the test database server could not be stopped");
    }
}

fn print(table: &[(&str, Outcome)]) {
    println!("\n{:<10} {:>8}  result", "part", "seconds");
    for (name, outcome) in table {
        let (time, word) = match outcome {
            Outcome::Passed(time) => (format!("{:.1}", time.as_secs_f64()), "passed"),
            Outcome::Failed(time) => (format!("{:.1}", time.as_secs_f64()), "FAILED"),
            Outcome::Nothing => ("-".to_owned(), "nothing there yet"),
            Outcome::NotReached => ("-".to_owned(), "not reached"),
        };
        println!("{name:<10} {time:>8}  {word}");
    }
}

fn unit() -> Result<bool> {
    Cargo::new(["test", "--quiet", "--workspace", "--lib", "--bins"]).run()?;
    // The client core as its hosts see it, and as it is released.
    Cargo::new(["test", "--quiet", "-p", "madang-sdk-core", "--test", "*"]).run()?;
    // The dev stack is tested from outside, over HTTP and by signals.
    Cargo::new(["test", "--quiet", "-p", "madang-devstack", "--test", "*"]).run()?;
    Ok(true)
}

fn e2e() -> Result<bool> {
    packages::need_nginx()?;
    packages::need_caddy()?;
    suite("e2e")
}

/// A test target of the test crate.
fn suite(name: &str) -> Result<bool> {
    let tests = root().join("tests");
    let text = std::fs::read_to_string(tests.join("Cargo.toml")).unwrap_or_default();
    let places = [tests.join(format!("tests/{name}.rs")), tests.join("tests").join(name).join("main.rs")];
    let there = text.contains(&format!("name = \"{name}\"")) || places.iter().any(|place| place.exists());
    if !there {
        println!("madang-tests has no test target {name} yet");
        return Ok(false);
    }
    // The suites run the real binaries, which building a test does not build.
    Cargo::new(["build", "--quiet", "-p", "madang-server", "-p", "madang-terminal"]).run()?;
    Cargo::new(["test", "--quiet", "-p", "madang-tests", "--features", "sabotage", "--test", name]).run()?;
    Ok(true)
}

/// The rules of sync, each with the test that fails without it.
///
/// False when there is no such program yet. The one place to change when the program that runs them has another name.
pub(crate) fn guards() -> Result<bool> {
    if !root().join("tests/src/bin/guards.rs").exists() && !root().join("tests/src/bin/guards").exists() {
        println!("madang-tests has no program guards yet");
        return Ok(false);
    }
    Cargo::new(["run", "--quiet", "-p", "madang-tests", "--features", "sabotage", "--bin", "guards"]).run()?;
    Ok(true)
}

/// Clients killed at every point of a change's way.
pub(crate) fn kill(arguments: &[String]) -> Result<()> {
    Cargo::new(["run", "--quiet", "-p", "madang-tests", "--features", "sabotage", "--bin", "kills", "--"])
        .args(arguments)
        .run()
}

fn kills() -> Result<bool> {
    kill(&[])?;
    Ok(true)
}

fn docs() -> Result<bool> {
    Cargo::new(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()?;
    Cargo::new(["test", "--quiet", "--doc", "-p", "madang-sdk-core"]).run()?;
    Ok(true)
}
