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

/// Longest wait for a line of the example.
const PATIENCE: Duration = Duration::from_secs(30);

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
    /// Plays them by the core itself.
    pub(crate) fn play_rust(part: Part) -> Result<Self> {
        Cargo::new(["build", "--quiet", "-p", "madang-tests", "--bin", "ground", "--bin", "scenarios"]).run()?;
        fs::create_dir_all(place(""))?;
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

/// A program that is talked to.
struct Spoken {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Spoken {
    fn start(program: Cargo) -> Result<Self> {
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
    fn until(&self, words: &str) -> Result<String> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).with_context(|| format!("it never says {words}"))?;
            if line.contains(words) {
                return Ok(line);
            }
        }
    }
}

/// The text behind a name, in a line of JSON.
fn value<'a>(line: &'a str, name: &str) -> Result<&'a str> {
    let after = line.split_once(&format!("\"{name}\":\"")).map(|(_, after)| after);
    let text = after.and_then(|after| after.split('"').next());
    text.with_context(|| format!("{line} says no {name}"))
}

/// Uses an example as its page shows it; it is started with the server and a store.
pub(super) fn converse(program: Cargo, store: &Path) -> Result<()> {
    let mut ground = Spoken::start(Cargo::program(built("ground")))?;
    let server = ground.until("server")?;
    ground.say("token ann")?;
    let token = ground.until("token")?;
    let _ = fs::remove_file(store);
    let run = program.args([value(&server, "server")?]).arg(store);
    let mut rooms = Spoken::start(run.env("MADANG_TOKEN", value(&token, "token")?))?;
    rooms.until("-- Live")?;
    rooms.say("new lunch")?;
    rooms.until("1. lunch")?;
    rooms.say("1 who comes?")?;
    rooms.until("Ann Kim: who comes?")?;
    rooms.say("")?;
    rooms.until("-- Ended")?;
    let status = rooms.child.wait()?;
    ensure!(status.success(), "the example: {status}");
    ground.input = None;
    ground.child.wait()?;
    Ok(())
}
