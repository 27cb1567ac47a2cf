//! The scenarios of `bindings/scenario.json`, played by the core itself: what it writes is what every language must write.
//!
//! `scenarios GROUND scenario.json TRANSCRIPT [pages]`: with `pages` those that a page in a browser can play.

mod host;
mod scene;

use std::{fmt::Write as _, process::Stdio, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

use self::scene::Scene;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ground, scenarios, transcript, part @ ..] = arguments.as_slice() else {
        bail!("GROUND scenario.json TRANSCRIPT [pages]")
    };
    let for_pages = part == ["pages"];
    let scenarios: Value = serde_json::from_str(&std::fs::read_to_string(scenarios)?)?;
    let ground = Arc::new(Ground::start(ground).await?);
    let mut lines = String::new();
    for scenario in scenarios["scenarios"].as_array().context("scenarios")? {
        if for_pages && scenario["only"] == "native" {
            continue;
        }
        let name = text(scenario, "name")?;
        writeln!(lines, "# {name}")?;
        let mut scene = Scene::new(&ground)?;
        for (at, step) in scenario["steps"].as_array().context("steps")?.iter().enumerate() {
            let seen = scene.play(step).await.with_context(|| format!("{name}, step {}: {step}\n{lines}", at + 1))?;
            writeln!(lines, "{} {seen}", at + 1)?;
        }
        scene.end().await;
    }
    Ok(std::fs::write(transcript, lines)?)
}

fn text<'a>(step: &'a Value, key: &str) -> Result<&'a str> {
    step[key].as_str().with_context(|| format!("{key} is missing"))
}

/// The program with the server.
#[derive(Debug)]
struct Ground {
    server: String,
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _child: Child,
}

impl Ground {
    async fn start(program: &str) -> Result<Self> {
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let input = child.stdin.take().context("a pipe")?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let first: Value = serde_json::from_str(&lines.next_line().await?.context("the ground ended")?)?;
        Ok(Self { server: text(&first, "server")?.to_owned(), pipes: Mutex::new((input, lines)), _child: child })
    }

    async fn say(&self, line: &str) -> Result<Value> {
        let mut pipes = self.pipes.lock().await;
        pipes.0.write_all(format!("{line}\n").as_bytes()).await?;
        let answer: Value = serde_json::from_str(&pipes.1.next_line().await?.context("the ground ended")?)?;
        ensure!(answer["error"].is_null(), "{answer}");
        Ok(answer)
    }
}
