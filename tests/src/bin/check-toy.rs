//! How many files a new RPC touches: applies `tests/toy/toy.patch` to a copy of what is committed, counts the files that were
//! written by hand, and runs the test among them. `cargo xtask check-toy` calls it.
//!
//! It fails when the patch no longer fits, when more files were needed than the design promises, and when the test fails.
//! The patch is made anew in any checkout: write the toy, `cargo xtask sqlx`, `git add -A`, `git diff --cached -U2`.
#![expect(clippy::print_stdout, reason = "the table is this program's answer")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// The toy, within the checkout.
const PATCH: &str = "tests/toy/toy.patch";

/// Its test.
const TEST: &str = "toy";

/// What programs write: nobody's work.
const GENERATED: [&str; 5] = [".sqlx/", "docs/access.md", "docs/configuration.md", "docs/errors.md", "Cargo.lock"];

/// What a new RPC may touch, by the end of the path, and a test beside.
const HAND: [&str; 3] = [".proto", "/service.rs", "/store.rs"];

fn main() -> Result<ExitCode> {
    let began = Instant::now();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this crate lies in the workspace")?;
    let target = target(root);
    let copy = Copy::make(root, &target.join("check-toy"))?;
    let patch = copy.folder.join(PATCH);
    succeed(copy.git(&["apply", "--index"]).arg(&patch)).context("the toy no longer fits: make its patch anew")?;
    let files = copy.files()?;
    println!("{:<44} {:>6}  written", "file", "lines");
    for file in &files {
        println!("{:<44} {:>6}  {}", shortened(&file.path), file.lines, file.kind.word());
    }
    check(&files)?;
    println!("\nrunning the test");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut test = copy.command(&cargo);
    // The same target folder: what is not ours is built already.
    test.args(["test", "--quiet", "-p", "madang-tests", "--test", TEST]).env("CARGO_TARGET_DIR", &target);
    succeed(&mut test)?;
    println!("three files by hand and a test, {:.0} s", began.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// Where cargo builds to.
fn target(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from))
}

/// A worktree of what is committed; it goes with the value.
struct Copy {
    root: PathBuf,
    folder: PathBuf,
}

/// A file of the toy.
struct File {
    path: String,
    lines: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hand,
    Test,
    Generated,
}

impl Kind {
    fn of(path: &str) -> Self {
        if GENERATED.iter().any(|generated| path.starts_with(generated)) {
            Self::Generated
        } else if path.starts_with("tests/") {
            Self::Test
        } else {
            Self::Hand
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hand => "by hand",
            Self::Test => "by hand, the test",
            Self::Generated => "by a program",
        }
    }
}

/// Exactly one of each kind of file that the design names, and one test.
fn check(files: &[File]) -> Result<()> {
    let of = |kind| files.iter().filter(move |file| file.kind == kind).map(|file| file.path.as_str());
    let hand: Vec<&str> = of(Kind::Hand).collect();
    let promised = HAND.iter().all(|end| hand.iter().filter(|path| path.ends_with(end)).count() == 1);
    ensure!(
        promised && hand.len() == HAND.len(),
        "a new RPC is to touch one file each of {HAND:?}, and it touched {hand:?}"
    );
    ensure!(of(Kind::Test).count() == 1, "a new RPC comes with one test, not {:?}", of(Kind::Test).collect::<Vec<_>>());
    Ok(())
}

impl Copy {
    fn make(root: &Path, folder: &Path) -> Result<Self> {
        let copy = Self { root: root.to_owned(), folder: folder.to_owned() };
        copy.remove();
        let mut add = program("git", root);
        succeed(add.args(["worktree", "add", "--quiet", "--detach"]).arg(folder).arg("HEAD"))?;
        Ok(copy)
    }

    /// One that was left behind goes the same way; where there is none, nothing happens.
    fn remove(&self) {
        _ = program("git", &self.root).args(["worktree", "remove", "--force"]).arg(&self.folder).output();
        _ = std::fs::remove_dir_all(&self.folder);
        _ = program("git", &self.root).args(["worktree", "prune"]).output();
    }

    fn command(&self, name: impl AsRef<std::ffi::OsStr>) -> Command {
        program(name, &self.folder)
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut git = self.command("git");
        git.args(arguments);
        git
    }

    /// What the patch changed, with the lines it added.
    fn files(&self) -> Result<Vec<File>> {
        let output = self.git(&["diff", "--cached", "--numstat", "HEAD"]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let file = |line: &str| {
            let mut fields = line.split('\t');
            let lines = fields.next()?.parse().ok()?;
            let path = fields.nth(1)?.to_owned();
            Some(File { kind: Kind::of(&path), path, lines })
        };
        text.lines().map(|line| file(line).with_context(|| format!("not a line of numstat: {line}"))).collect()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}

fn program(name: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder);
    // What cargo says about this program must not reach the cargo that it starts: it would build things twice.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs it with its output shown; an error when it fails.
fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("run {name}"))?;
    ensure!(status.success(), "{name}: {status}");
    Ok(())
}

/// Names of described queries are long.
fn shortened(path: &str) -> String {
    if path.len() <= 44 { path.to_owned() } else { format!("{}…", &path[..43]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<File> {
        paths.iter().map(|path| File { path: (*path).to_owned(), lines: 1, kind: Kind::of(path) }).collect()
    }

    const TOY: [&str; 5] = [
        "proto/madang/v1/message_service.proto",
        "server/src/messages/service.rs",
        "server/src/messages/store.rs",
        "tests/tests/toy.rs",
        ".sqlx/query-1.json",
    ];

    #[test]
    fn three_files_and_a_test_are_what_a_new_rpc_touches() {
        assert!(check(&files(&TOY)).is_ok());
    }

    #[test]
    fn one_file_more_is_too_many_and_one_less_is_no_rpc() {
        assert!(check(&files(&[&TOY[..], &["server/src/rpc/mod.rs"]].concat())).is_err());
        assert!(check(&files(&[&TOY[..], &["server/src/rooms/store.rs"]].concat())).is_err());
        assert!(check(&files(&[&TOY[..], &["tests/src/world.rs"]].concat())).is_err());
        assert!(check(&files(&TOY[1..])).is_err());
        assert!(check(&files(&TOY[..3])).is_err());
    }
}
