//! The contract under `buf`: every item has a comment, and nothing that a client relies on goes away.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::packages;
use crate::run::{Cargo, root, target, tools};

/// The version of buf: pinned, as another one may know other rules.
const BUF: &str = "@bufbuild/buf@1.75.0";

/// A contract that is as it should be; the tests of the tool break it.
const SAMPLE: &str = "\
// A package of samples.
syntax = \"proto3\";

package sample.v1;

// Somebody.
message Person {
  // The name to sign in with.
  string login = 1;
  // The name others see.
  string name = 2;
}
";

pub(super) fn check() -> Result<()> {
    let buf = install()?;
    let config = root().join("buf.yaml");
    refuses_what_is_broken(&buf, &config)?;
    if !has_proto(&root().join("proto")) {
        println!("no contract yet: buf has nothing to look at");
        return Ok(());
    }
    Cargo::program(&buf).args(["lint"]).run()?;
    breaking(&buf, &config)
}

fn install() -> Result<PathBuf> {
    let folder = tools().join("buf");
    let program = folder.join("node_modules/.bin/buf");
    let version = BUF.rsplit('@').next().unwrap_or_default();
    let right =
        |program: &Path| Cargo::program(program).args(["--version"]).output().is_ok_and(|v| v.trim() == version);
    if right(&program) {
        return Ok(program);
    }
    packages::need("npm", &["nodejs", "npm"])?;
    println!("installing buf {version}");
    let install = ["install", "--no-save", "--no-audit", "--no-fund", "--no-package-lock", "--prefix"];
    Cargo::program("npm").args(install).args([folder.as_os_str(), BUF.as_ref()]).output()?;
    ensure!(right(&program), "npm has not installed buf {version}");
    Ok(program)
}

/// Compares with what clients may have: the last release, or, before the first one, what main had before.
fn breaking(buf: &Path, config: &Path) -> Result<()> {
    let Some(before) = earlier() else {
        println!("no earlier contract to compare with: this is the first commit, or a clone without history");
        return Ok(());
    };
    let folder = target().join("xtask").join("proto-before");
    clear(&folder)?;
    let archive = folder.join("proto.tar");
    let tar = archive.to_str().context("the target folder's name is text")?;
    if !Cargo::program("git").args(["archive", "-o", tar, &before, "proto"]).succeeds() {
        println!("{before} has no contract to compare with");
        return Ok(());
    }
    Cargo::program("tar").args(["-xf", tar, "-C"]).args([&folder]).output()?;
    if !has_proto(&folder.join("proto")) {
        println!("{before} has no contract to compare with");
        return Ok(());
    }
    fs::copy(config, folder.join("buf.yaml"))?;
    println!("comparing the contract with {before}");
    Cargo::program(buf).args(["breaking", "--against"]).args([&folder]).run()
}

/// The commit to compare with.
fn earlier() -> Option<String> {
    let git =
        |arguments: &[&str]| Cargo::program("git").args(arguments).output().ok().map(|text| text.trim().to_owned());
    if let Some(tag) = git(&["describe", "--tags", "--abbrev=0", "--match", "v*"]) {
        return Some(tag);
    }
    let head = git(&["rev-parse", "HEAD"])?;
    let base = git(&["merge-base", "HEAD", "main"]).or_else(|| git(&["merge-base", "HEAD", "origin/main"]));
    let fork = base.filter(|base| *base != head);
    fork.or_else(|| git(&["rev-parse", "--verify", "--quiet", "HEAD^"]))
}

fn has_proto(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|end| end == "proto") || (path.is_dir() && has_proto(&path))
    })
}

/// Sees the tool say no, with this project's own settings: a check that cannot fail is none.
fn refuses_what_is_broken(buf: &Path, config: &Path) -> Result<()> {
    let folder = target().join("xtask").join("proto-sample");
    let good = sample(&folder.join("good"), config, SAMPLE)?;
    let bare = sample(&folder.join("bare"), config, &SAMPLE.replace("  // The name others see.\n", ""))?;
    let field = "  // The name others see.\n  string name = 2;\n";
    let shorter = sample(&folder.join("shorter"), config, &SAMPLE.replace(field, ""))?;
    let lint = |place: &Path| Cargo::program(buf).args(["lint"]).args([place]).output();
    let breaking =
        |place: &Path| Cargo::program(buf).args(["breaking"]).args([place, "--against".as_ref(), &good]).output();
    lint(&good).context("buf refuses a good contract")?;
    breaking(&good).context("buf refuses a contract that has not changed")?;
    ensure!(lint(&bare).is_err(), "buf lint lets a field without a comment pass");
    ensure!(breaking(&shorter).is_err(), "buf breaking lets a removed field pass");
    Ok(())
}

fn sample(folder: &Path, config: &Path, text: &str) -> Result<PathBuf> {
    clear(folder)?;
    let place = folder.join("proto/sample/v1");
    fs::create_dir_all(&place)?;
    fs::write(place.join("person.proto"), text)?;
    fs::copy(config, folder.join("buf.yaml"))?;
    Ok(folder.to_owned())
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("clear {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}
