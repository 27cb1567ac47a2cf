//! A server with a database and an issuer of its own, for tests in other languages. Says where both are in one line of JSON,
//! then takes commands, one a line, and answers each with one line of JSON; it ends with its standard input.
//!
//! `token LOGIN`, `stop`, `start`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use madang_server::config::Config;
use madang_tests::{World, WorldConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout};

#[tokio::main]
async fn main() -> Result<()> {
    // Every scenario signs its people in on new devices.
    let settings: fn(&mut Config) = |config| config.device_sessions_per_person = 500;
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
        ["stop"] if stopped.is_none() => *stopped = Some(world.stop_server(0).await),
        ["start"] => world.start_server_at(stopped.take().context("the server runs")?).await?,
        _ => bail!("no such command: {line}"),
    }
    Ok(json!({}))
}

async fn say(value: &Value) -> Result<()> {
    let mut out = stdout();
    out.write_all(format!("{value}\n").as_bytes()).await?;
    Ok(out.flush().await?)
}
