//! A server with a database and an issuer of its own, for tests in other languages. Says where both are in one line of JSON,
//! then takes commands, one a line, and answers each with one line of JSON; it ends with its standard input. A folder as argument
//! is the web app that the server serves.
//!
//! `token LOGIN`, `lifetime SECONDS` of the next access tokens, `stop`, `start`, `fill LOGIN ROOM COUNT`: so many messages,
//! `number 1` and on; the last comes last.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use madang_server::config::Config;
use madang_tests::{World, WorldConfig, person::Calls};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout};
use uuid::Uuid;

/// Calls in flight while a room is filled: fewer than the 32 that a person may have, whose page calls too.
const IN_FLIGHT: usize = 24;

#[tokio::main]
async fn main() -> Result<()> {
    // Every scenario signs its people in on new devices.
    let settings: fn(&mut Config) = |config| {
        config.device_sessions_per_person = 500;
        config.web_root = std::env::args_os().nth(1).map(Into::into);
    };
    let mut world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let mut stopped = None;
    say(&json!({ "server": world.server(0), "issuer": world.stack.issuer.url() })).await?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match obey(&mut world, &mut stopped, &line).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        say(&answer).await?;
    }
    world.end().await;
    Ok(())
}

async fn obey(world: &mut World, stopped: &mut Option<SocketAddr>, line: &str) -> Result<Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["token", login] => return Ok(json!({ "token": world.stack.issuer.token(login)? })),
        ["fill", login, room_id, count] => fill(world, login, room_id, count.parse()?).await?,
        ["lifetime", seconds] => world.stack.issuer.set_access_token_lifetime(Duration::from_secs(seconds.parse()?)),
        ["stop"] if stopped.is_none() => *stopped = Some(world.stop_server(0).await),
        ["start"] => world.start_server_at(stopped.take().context("the server runs")?).await?,
        _ => bail!("no such command: {line}"),
    }
    Ok(json!({}))
}

/// Fills a room by calls. They are made at once, so only the last has its place for certain.
async fn fill(world: &World, login: &str, room_id: &str, count: usize) -> Result<()> {
    let calls = Calls::new(&world.server(0), world.stack.issuer.token(login)?, Uuid::now_v7().to_string())?;
    let send = async |number: usize| calls.send(room_id, &format!("number {number}")).await;
    stream::iter(1..count)
        .map(Ok)
        .try_for_each_concurrent(IN_FLIGHT, |number| async move { send(number).await.map(drop) })
        .await?;
    send(count).await?;
    Ok(())
}

async fn say(value: &Value) -> Result<()> {
    let mut out = stdout();
    out.write_all(format!("{value}\n").as_bytes()).await?;
    Ok(out.flush().await?)
}
