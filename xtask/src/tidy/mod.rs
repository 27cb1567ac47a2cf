//! `cargo xtask tidy`: the rules of this project that no compiler knows.
//!
//! Always true: every rule is a function of files to violations, so that its test can see it fail.

mod crates;
mod deny;
mod files;
mod modules;
mod places;
mod proto;
mod release;
mod source;

use std::{
    fmt::{Display, Formatter},
    process::Command,
};

use anyhow::{Result, bail, ensure};

use crate::run::{Cargo, root};

/// A part of tidy: its name, and what it runs.
type Part = (&'static str, fn() -> Result<()>);

const PARTS: [Part; 6] = [
    ("format", format),
    ("rules", rules),
    ("proto", proto::check),
    ("deny", deny::check),
    ("features", release::check),
    ("toy", toy),
];

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Violation {
    path: String,
    /// From 1; 0 when it is about the whole file.
    line: usize,
    what: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { path, line, what } = self;
        if *line == 0 { write!(f, "{path}: {what}") } else { write!(f, "{path}:{line}: {what}") }
    }
}

pub(crate) fn tidy(wanted: &[String]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|name| !PARTS.iter().any(|(known, _)| known == name)) {
        bail!("no such part: {unknown}");
    }
    for (name, part) in PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|one| one == name)) {
        part()?;
        println!("tidy {name}: good");
    }
    Ok(())
}

/// The format of all Rust code.
pub(crate) fn format() -> Result<()> {
    Cargo::new(["fmt", "--all", "--check"]).run()
}

/// The toy of `cargo xtask check-toy` still fits: a look here is cheap, its test is not.
fn toy() -> Result<()> {
    let fits = Command::new("git").args(["apply", "--check", "tests/toy/toy.patch"]).current_dir(root()).status()?;
    ensure!(fits.success(), "tests/toy/toy.patch no longer fits: make it anew, as tests/src/bin/check-toy.rs says");
    Ok(())
}

/// The rules about our own files.
fn rules() -> Result<()> {
    let sources = source::all(&root())?;
    let found = [
        files::lengths(&sources),
        files::names(&sources),
        files::traces(&sources, &root().display().to_string()),
        modules::order(&sources),
        places::sql(&sources),
        places::proto(&sources),
        crates::dependencies(&sources),
    ];
    let found = found.concat();
    for violation in &found {
        println!("{violation}");
    }
    ensure!(found.is_empty(), "{} breaches of the project's rules", found.len());
    Ok(())
}
