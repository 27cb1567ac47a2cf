//! The client in other languages: generated, compiled, and played against a real server.
//!
//! Everything lands in `target/bindings`; nothing generated is in git.

mod bench;
mod consumer;
mod csharp;
mod dotnet;
mod jvm;
mod natives;
mod pack;
mod scenarios;
mod swift;
mod window;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

pub(crate) use self::{
    bench::prepare,
    scenarios::{Part, Scenarios},
};
use crate::run::{Cargo, root, target};

/// The library for whoever runs on this system.
const LIBRARY: &str = "libmadang_sdk_ffi.so";

/// Calls of the torture in tests; `cargo xtask bindings torture` makes a million.
const CALLS: &str = "20000";
const MILLION: &str = "1000000";

pub(crate) fn bindings(arguments: &[String]) -> Result<()> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["csharp"] => csharp::build_all(),
        ["jvm"] => jvm::build(),
        ["swift"] => swift::build().map(drop),
        ["pack"] => pack::pack(),
        ["api"] => {
            csharp::write_api()?;
            jvm::write_api()
        }
        ["docs"] => {
            Scenarios::build()?;
            csharp::write_docs()?;
            jvm::write_docs()
        }
        ["torture"] => {
            csharp::torture()?;
            jvm::torture()
        }
        _ => bail!(
            "csharp, jvm, swift: generate and compile; pack: packages as they are handed out; api: write the dumps of the surface \
             anew; docs: write down what the examples say; torture: a million calls"
        ),
    }
}

/// The part of the tests.
pub(crate) fn test() -> Result<bool> {
    let scenarios = Scenarios::play_rust(Part::All)?;
    csharp::test(&scenarios)?;
    jvm::test(&scenarios)?;
    swift::test()?;
    Ok(true)
}

/// Where everything lands.
fn place(name: &str) -> PathBuf {
    target().join("bindings").join(name)
}

pub(crate) fn built(program: &str) -> PathBuf {
    target().join("debug").join(program)
}

/// Has uniffi write a language.
fn generate(language: &str) -> Result<()> {
    Cargo::new(["build", "--quiet", "-p", "madang-sdk-ffi", "-p", "madang-bindings-generate"]).run()?;
    let out = place(language).join("generated");
    Cargo::program(built("madang-bindings-generate"))
        .arg(language)
        .arg(built(LIBRARY))
        .arg("--config")
        .arg(root().join("bindings/uniffi.toml"))
        .arg("--out")
        .arg(out)
        .run()
}

/// The committed dump says what the surface is.
fn check_same(now: &Path, committed: &Path) -> Result<()> {
    let same = fs::read(now)? == fs::read(committed).unwrap_or_default();
    let name = committed.strip_prefix(root()).unwrap_or(committed).display();
    ensure!(same, "the surface is another than {name}: cargo xtask bindings api, and say in CHANGELOG what breaks");
    Ok(())
}

/// A page quotes the example as it is.
fn check_quotes(page: &str, language: &str, example: &str) -> Result<()> {
    let text = fs::read_to_string(root().join(page))?;
    let held = fs::read_to_string(root().join(example))?;
    let quoted = text
        .split(&format!("```{language}\n"))
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .with_context(|| format!("{page} quotes nothing"))?;
    let lost = quoted.lines().find(|line| !held.lines().any(|held| held.trim() == line.trim()));
    ensure!(lost.is_none(), "{page} quotes what the example does not say: {lost:?}");
    Ok(())
}
