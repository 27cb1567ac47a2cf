//! A server with a database and an issuer of its own, for tests in other languages. Says where both are in one line of JSON,
//! then takes commands, one a line, and answers each with one line of JSON; it ends with its standard input. A folder as argument
//! is the web app that the server serves.
//!
//! `token LOGIN` of a new sign-in, `token LOGIN SIGN_IN` and `fresh LOGIN SIGN_IN` as the host of a client would keep it: the token
//! that it has, and the next one; `revoke LOGIN DEVICE` by another device; `lifetime SECONDS` of the next access tokens, `clock
//! SECONDS` that the issuer's clock is ahead; `stop`, `start`; `fill LOGIN ROOM COUNT`: so many messages, `number 1` and on, the
//! last comes last; `store VERSION PATH`: the store of an earlier version, with its only room in the answer.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use madang_devstack::issuer::Tokens;
use madang_proto::v1;
use madang_server::config::Config;
use madang_tests::{World, WorldConfig, person::Calls};
use rusqlite::Connection;
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
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let mut ground = Ground { world, stopped: None, sign_ins: BTreeMap::new() };
    say(&json!({ "server": ground.world.server(0), "issuer": ground.world.stack.issuer.url() })).await?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match ground.obey(&line).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        say(&answer).await?;
    }
    ground.world.end().await;
    Ok(())
}

/// What there is.
struct Ground {
    world: World,
    /// Where the server is to start again.
    stopped: Option<SocketAddr>,
    /// What hosts have of the issuer, by the names that they give it.
    sign_ins: BTreeMap<String, Tokens>,
}

impl Ground {
    async fn obey(&mut self, line: &str) -> Result<Value> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let stack = self.world.stack;
        let issuer = &stack.issuer;
        match words.as_slice() {
            ["token", login] => return Ok(json!({ "token": issuer.token(login)? })),
            ["token", login, sign_in] => return Ok(json!({ "token": self.sign_in(login, sign_in)?.access_token })),
            ["fresh", login, sign_in] => {
                let held = self.sign_in(login, sign_in)?;
                *held = issuer.refresh(&held.refresh_token)?;
                return Ok(json!({ "token": held.access_token }));
            }
            ["revoke", login, device_id] => revoke(&self.world, login, device_id).await?,
            ["fill", login, room_id, count] => fill(&self.world, login, room_id, count.parse()?).await?,
            ["lifetime", seconds] => issuer.set_access_token_lifetime(Duration::from_secs(seconds.parse()?)),
            ["clock", seconds] => issuer.set_clock_offset(seconds.parse()?),
            ["stop"] if self.stopped.is_none() => self.stopped = Some(self.world.stop_server(0).await),
            ["start"] => self.world.start_server_at(self.stopped.take().context("the server runs")?).await?,
            ["store", version, path] => return Ok(json!({ "room": store(version.parse()?, path)? })),
            _ => bail!("no such command: {line}"),
        }
        Ok(json!({}))
    }

    /// What a host has; it signs in when it has nothing.
    fn sign_in(&mut self, login: &str, name: &str) -> Result<&mut Tokens> {
        Ok(match self.sign_ins.entry(name.to_owned()) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(none) => none.insert(self.world.stack.issuer.session(login)?),
        })
    }
}

/// Ends the session of a device, as the person does on another one.
async fn revoke(world: &World, login: &str, device_id: &str) -> Result<()> {
    let calls = Calls::new(&world.server(0), world.stack.issuer.token(login)?, Uuid::now_v7().to_string())?;
    let request = v1::RevokeDeviceSessionRequest { device_id: device_id.to_owned() };
    calls.identity().revoke_device_session(calls.request(request)).await?;
    Ok(())
}

/// Writes the store that a client of an earlier version left: the core keeps one of each. Tells its room.
fn store(version: u32, path: &str) -> Result<String> {
    let kept = format!("{}/../sdk-core/fixtures/store-{version}.sql", env!("CARGO_MANIFEST_DIR"));
    let conn = Connection::open(path)?;
    conn.execute_batch(&std::fs::read_to_string(kept)?)?;
    Ok(conn.query_row("select room_id from rooms", [], |row| row.get(0))?)
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
