//! What every language does alike: the scenarios, and a talk with its example.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{built, place};
use crate::run::{Cargo, root};

/// Longest wait for what an example is to show.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The scenarios, as Rust has played them.
pub(crate) struct Scenarios(String);

/// Which scenarios a language plays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All.
    All,
    /// Those that a page in a browser can play.
    Pages,
}

impl Scenarios {
    /// Builds the server that they are played against.
    pub(super) fn build() -> Result<()> {
        Cargo::new(["build", "--quiet", "-p", "madang-tests", "--bin", "ground", "--bin", "scenarios"]).run()?;
        Ok(fs::create_dir_all(place(""))?)
    }

    /// Plays them by the core itself.
    pub(crate) fn play_rust(part: Part) -> Result<Self> {
        Self::build()?;
        let (arguments, transcript) = arguments("rust");
        let part = (part == Part::Pages).then_some("pages");
        Cargo::program(built("scenarios")).args(arguments).args(part).run()?;
        Ok(Self(fs::read_to_string(transcript)?))
    }

    /// Plays them by a language's runner, which is given its arguments, and sees whether it has seen the same.
    pub(crate) fn play(&self, language: &str, runner: impl FnOnce([String; 3]) -> Result<()>) -> Result<()> {
        let (arguments, transcript) = arguments(language);
        let _ = fs::remove_file(&transcript);
        runner(arguments)?;
        let seen = fs::read_to_string(transcript)?;
        let differs = self.0.lines().zip(seen.lines()).find(|(one, other)| one != other);
        ensure!(self.0 == seen, "the transcripts of Rust and {language} differ: {differs:?}");
        println!("{language}: {} lines of transcript are equal", seen.lines().count());
        Ok(())
    }
}

/// What a runner is given, and where it writes.
fn arguments(language: &str) -> ([String; 3], PathBuf) {
    let transcript = place(&format!("{language}.transcript"));
    let paths = [built("ground"), root().join("bindings/scenario.json"), transcript.clone()];
    (paths.map(|path| path.display().to_string()), transcript)
}

/// A program that is talked to; it ends with this.
pub(super) struct Spoken {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Spoken {
    pub(super) fn start(program: Cargo) -> Result<Self> {
        let mut child = program.into_command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("a pipe")?);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let input = child.stdin.take();
        Ok(Self { child, input, lines })
    }

    fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input.as_mut().context("a pipe")?, "{line}")?)
    }

    /// Reads up to a line with these words.
    pub(super) fn until(&self, words: &str) -> Result<String> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).with_context(|| format!("it never says {words}"))?;
            if line.contains(words) {
                return Ok(line);
            }
        }
    }
}

impl Drop for Spoken {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with the server: see bindings/scenario.md.
pub(super) struct Server {
    ground: Spoken,
    /// Where it listens.
    pub(super) address: String,
}

impl Server {
    pub(super) fn start() -> Result<Self> {
        let ground = Spoken::start(Cargo::program(built("ground")))?;
        let address = value(&ground.until("server")?, "server")?.to_owned();
        Ok(Self { ground, address })
    }

    /// A token for somebody.
    pub(super) fn token(&mut self, login: &str) -> Result<String> {
        self.ground.say(&format!("token {login}"))?;
        Ok(value(&self.ground.until("token")?, "token")?.to_owned())
    }

    /// Ends when nobody talks to it any more.
    pub(super) fn end(mut self) -> Result<()> {
        self.ground.input = None;
        self.ground.child.wait()?;
        Ok(())
    }
}

/// The text behind a name, in a line of JSON.
fn value<'a>(line: &'a str, name: &str) -> Result<&'a str> {
    let after = line.split_once(&format!("\"{name}\":\"")).map(|(_, after)| after);
    let text = after.and_then(|after| after.split('"').next());
    text.with_context(|| format!("{line} says no {name}"))
}

/// Uses an example as its page shows it; it is started with the server and a store. What was typed, and what it said to that:
/// lines that it says on the way there depend on the moment.
pub(super) fn converse(program: Cargo, store: &Path) -> Result<String> {
    let mut server = Server::start()?;
    let _ = fs::remove_file(store);
    let run = program.arg(&server.address).arg(store);
    let mut rooms = Spoken::start(run.env("MADANG_TOKEN", server.token("ann")?))?;
    let mut said = vec![rooms.until("-- Live")?];
    for (typed, answer) in [("new lunch", "1. lunch"), ("1 who comes?", "Ann Kim: who comes?"), ("", "-- Ended")] {
        rooms.say(typed)?;
        said.extend([format!("> {typed}"), rooms.until(answer)?]);
    }
    let status = rooms.child.wait()?;
    ensure!(status.success(), "the example: {status}");
    server.end()?;
    let said: Vec<&str> = said.iter().map(|line| line.trim_end()).collect();
    Ok(said.join("\n") + "\n")
}

/// What an example says is what its page shows, in the first block without a language; or is written there.
pub(super) fn show(page: &str, said: &str, how: Show) -> Result<()> {
    let path = root().join(page);
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once("\n```\n\n").context("the page quotes an example")?;
    let (words, rest) = rest.split_once("```\n").context("the page shows what the example says")?;
    let (shown, after) = rest.split_once("```").context("what it shows has an end")?;
    match how {
        Show::Write => Ok(fs::write(&path, format!("{before}\n```\n\n{words}```\n{said}```{after}"))?),
        Show::Check => {
            ensure!(shown == said, "{page} shows what its example does not say: cargo xtask bindings docs\n{said}");
            Ok(())
        }
    }
}

/// What is done with a page.
#[derive(Clone, Copy)]
pub(super) enum Show {
    /// It is right, or this fails.
    Check,
    /// It becomes right.
    Write,
}
