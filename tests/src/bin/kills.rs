//! Kills a client at every point of a change's way, many times on one store, and counts what became of what was typed.
//! `cargo xtask kills [ROUNDS]` runs this; it prints point, deaths, typed, and fails on anything lost, repeated or out of
//! order.
#![expect(clippy::print_stdout, reason = "the table is this program's answer, and a child's what it has typed")]

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use madang_proto::v1::{ListMessagesRequest, Message, list_messages_request::Position};
use madang_sdk_core::{Backoff, Client, ClientConfig, ClientError, StoreLocation, TokenProvider, sabotage};
use madang_server::config::Config;
use madang_tests::{Person, World, world::WorldConfig};
use tokio::process::Command;

/// Rounds of an ordinary run.
const ROUNDS: usize = 60;
/// Rounds on one store and one room; then another begins.
const ROUNDS_OF_A_STORE: usize = 50;
/// A child that has not died by then was not on its way to: its point lies behind it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest life of a child, on a machine that has much else to do.
const LIFE: Duration = Duration::from_mins(1);
/// Longest wait for the outbox in the end.
const DRAIN: Duration = Duration::from_mins(1);
/// Waits of the clients, short: nobody else asks this server.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(5), cap: Duration::from_millis(50) };

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child", server, store, token, room, phase, times] => {
            runtime.block_on(type_and_die(server, Path::new(store), token, room, (phase, times.parse()?)))?;
        }
        [] => runtime.block_on(kill(ROUNDS))?,
        [rounds] => runtime.block_on(kill(rounds.parse()?))?,
        _ => anyhow::bail!("usage: kills [ROUNDS]"),
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug)]
struct OneToken(String);

#[async_trait]
impl TokenProvider for OneToken {
    async fn token(&self, _: bool) -> Result<String, ClientError> {
        Ok(self.0.clone())
    }
}

fn config(server: &str, store: &Path) -> ClientConfig {
    ClientConfig { backoff: BACKOFF, ..ClientConfig::new(server, StoreLocation::File(store.to_owned())) }
}

/// The child: types, says what was taken, and dies on the way.
async fn type_and_die(server: &str, store: &Path, token: &str, room: &str, (phase, times): (&str, u32)) -> Result<()> {
    sabotage::die_at(phase, times);
    let client = Client::open(config(server, store), Arc::new(OneToken(token.to_owned()))).await?;
    let timeline = client.timeline(room).await?;
    let first = client.send(room, "as typed").await?;
    say(&format!("sent {first}"));
    let second = client.send(room, "as typed").await?;
    say(&format!("sent {second}"));
    client.edit(room, first.as_str(), "as edited").await?;
    say(&format!("edited {first}"));
    client.settled(&second).await?;
    tokio::time::sleep(PATIENCE).await;
    drop(timeline);
    Ok(())
}

fn say(line: &str) {
    println!("{line}");
    // The parent reads until the end of the pipe, which comes in any case.
    let _ = std::io::stdout().flush();
}

/// What the children said of one room.
#[derive(Default)]
struct Said {
    /// Ids in the order in which they were typed.
    sent: Vec<String>,
    edited: Vec<String>,
}

async fn kill(rounds: usize) -> Result<()> {
    // Each store is an installation of its own, and so is each ann that looks.
    let settings = |config: &mut Config| config.device_sessions_per_person = 10_000;
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let folder = tempfile::tempdir()?;
    let mut deaths: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut typed, mut begun) = (0, 0);
    while begun < rounds {
        let ann = world.person("ann").await;
        let room = ann.room("killed", &[]).await;
        let store = folder.path().join(format!("{begun}.db"));
        let mut said = Said::default();
        for round in begun..rounds.min(begun + ROUNDS_OF_A_STORE) {
            let phase = sabotage::PHASES[round % sabotage::PHASES.len()];
            let times = u32::try_from(round / sabotage::PHASES.len() % 3)? + 1;
            if live_once(&world, &store, &room, (phase, times), &mut said).await? {
                *deaths.entry(phase).or_default() += 1;
            }
        }
        begun += ROUNDS_OF_A_STORE;
        check(&world, &ann, &store, &room, &said).await?;
        typed += said.sent.len() + said.edited.len();
        ann.client.shutdown(Duration::ZERO).await;
    }
    for phase in sabotage::PHASES {
        let died = deaths.get(phase).copied().unwrap_or_default();
        println!("{phase:<10} {died:>5} deaths");
        ensure!(died > 0, "no child died {phase}");
    }
    println!("{typed} changes typed by {rounds} children: 0 lost, 0 repeated, 0 out of order");
    world.end().await;
    Ok(())
}

/// One child's life; tells whether it died where it was to.
async fn live_once(
    world: &World,
    store: &Path,
    room: &str,
    (phase, times): (&str, u32),
    said: &mut Said,
) -> Result<bool> {
    let (server, token) = (world.server(0), world.stack.issuer.token("ann")?);
    let child = Command::new(std::env::current_exe()?)
        .arg("child")
        .arg(server)
        .arg(store)
        .args([&token, room, phase, &times.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(LIFE, child).await.context("a child stands still")??;
    for line in String::from_utf8(ended.stdout)?.lines() {
        match line.split_once(' ') {
            Some(("sent", id)) => said.sent.push(id.to_owned()),
            Some(("edited", id)) => said.edited.push(id.to_owned()),
            _ => {}
        }
    }
    Ok(!ended.status.success())
}

/// Lets the last client empty the outbox, and compares what the server has with what was said.
async fn check(world: &World, ann: &Person, store: &Path, room: &str, said: &Said) -> Result<()> {
    let token = world.stack.issuer.token("ann")?;
    let client = Client::open(config(&world.server(0), store), Arc::new(OneToken(token))).await?;
    ensure!(client.drain(DRAIN).await, "the outbox does not empty");
    client.shutdown(Duration::ZERO).await;
    let messages = all(ann, room).await?;
    let at = |id: &String| messages.iter().filter(|message| message.client_message_id == *id).collect::<Vec<_>>();
    let mut before = 0;
    for id in &said.sent {
        let found = at(id);
        ensure!(found.len() == 1, "a message that was typed is there {} times", found.len());
        ensure!(found[0].seq > before, "a message stands before one that was typed earlier");
        before = found[0].seq;
    }
    for id in &said.edited {
        let text = at(id)[0].body.as_ref().map(|body| body.text.as_str());
        ensure!(text == Some("as edited"), "an edit is lost: {text:?}");
    }
    let mut ids: Vec<&str> = messages.iter().map(|message| message.client_message_id.as_str()).collect();
    ids.retain(|id| !id.is_empty());
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == count, "{} messages are there twice", count - ids.len());
    Ok(())
}

async fn all(ann: &Person, room: &str) -> Result<Vec<Message>> {
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let after = messages.last().map_or(0, |message| message.seq);
        let position = Some(Position::AfterSeq(after));
        let request = ListMessagesRequest { room_id: room.to_owned(), position, page_size: 200 };
        let page = ann.calls.messages().list_messages(ann.calls.request(request)).await?.into_inner();
        if page.messages.is_empty() {
            return Ok(messages);
        }
        messages.extend(page.messages);
    }
}
