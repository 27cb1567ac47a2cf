//! A server with a database and an issuer of its own, for tests in other languages. Says where both are in one line of JSON,
//! then takes commands, one a line, and answers each with one line of JSON; it ends with its standard input. A folder as argument
//! is the web app that the server serves.
//!
//! `token LOGIN` of a new sign-in, `token LOGIN SIGN_IN` and `fresh LOGIN SIGN_IN` as the host of a client would keep it: the token
//! that it has, and the next one; `revoke LOGIN DEVICE` by another device; `lifetime SECONDS` of the next access tokens, `clock
//! SECONDS` that the issuer's clock is ahead; `stop`, `start`; `fill LOGIN ROOM COUNT`: so many messages, `number 1` and on, the
//! last comes last; `pour LOGIN ROOM COUNT`: the same by SQL, as if they had always been there, some of several lines; `crowd LOGIN
//! OTHER COUNT`: so many rooms of two by SQL, each with a message of the other, for people who are not connected, with the last of
//! them in the answer; `store VERSION PATH`: the store of an earlier version, with its only room in the answer.

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
use madang_tests::{
    World, WorldConfig,
    person::{Calls, send},
};
use rusqlite::Connection;
use serde_json::{Value, json};
use sqlx::Row as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout};
use uuid::Uuid;

/// Calls in flight while a room is filled: fewer than the 32 that a person may have, whose page calls too.
const IN_FLIGHT: usize = 24;

/// A message that the server cannot take now is said again so often, after so long.
const ATTEMPTS: usize = 20;
const AGAIN: Duration = Duration::from_millis(500);

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
            ["pour", login, room_id, count] => pour(&self.world, login, room_id, count.parse()?).await?,
            ["crowd", login, other, count] => {
                let last = crowd(&self.world, login, other, count.parse()?).await?.context("there is none")?;
                return Ok(json!({ "room": last.to_string() }));
            }
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
    let send = async |number: usize| send_surely(&calls, room_id, &format!("number {number}")).await;
    stream::iter(1..count)
        .map(Ok)
        .try_for_each_concurrent(IN_FLIGHT, |number| async move { send(number).await })
        .await?;
    send(count).await
}

/// Sends, and again when the server says so: on a busy machine it may not get at its database for a while.
async fn send_surely(calls: &Calls, room_id: &str, text: &str) -> Result<()> {
    let request = send(room_id, text);
    for _ in 0..ATTEMPTS {
        match calls.messages().send_message(calls.request(request.clone())).await {
            Err(status) if status.code() == tonic::Code::Unavailable => tokio::time::sleep(AGAIN).await,
            answer => return answer.map(drop).map_err(Into::into),
        }
    }
    bail!("{text}: the server is not to be had")
}

/// Fills a room by SQL. The server hears of it as of what another node has done.
async fn pour(world: &World, login: &str, room_id: &str, count: i64) -> Result<()> {
    let room_id: Uuid = room_id.parse()?;
    let mut tx = world.sql().await.begin().await?;
    let messages = sqlx::query(
        "insert into messages (room_id, seq, rev, count, sender_id, client_message_id, payload_hash, created_at, kind, text)
         select r.id, r.seq + n, r.rev + n, r.count + n, u.id, gen_random_uuid(), '',
                now() - (interval '1 minute' * ($3 - n)), 1,
                'number ' || n || case when n % 7 = 0 then repeat(E'\\nand so on', (n % 5)::int) else '' end
         from rooms r, users u, generate_series(1, $3) n where r.id = $1 and u.login = $2",
    );
    messages.bind(room_id).bind(login).bind(count).execute(&mut *tx).await?;
    let room = sqlx::query(
        "update rooms set seq = seq + $2, rev = rev + $2, count = count + $2, last_countable_seq = seq + $2,
                          last_active_at = now(), changed_xid = pg_current_xact_id()::text::bigint
         where id = $1",
    );
    room.bind(room_id).bind(count).execute(&mut *tx).await?;
    let change = sqlx::query("insert into room_changes select pg_current_xact_id()::text::bigint, $1");
    change.bind(room_id).execute(&mut *tx).await?;
    tx.commit().await?;
    analyze(world).await
}

/// Makes rooms of two by SQL, each with one message; answers with the last of them.
async fn crowd(world: &World, login: &str, other: &str, count: i64) -> Result<Option<Uuid>> {
    let mut tx = world.sql().await.begin().await?;
    let rooms = sqlx::query(
        "insert into rooms (id, kind, name, created_by, payload_hash, member_count, seq, count, last_countable_seq,
                            last_active_at, rev, changed_xid)
         select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 2, 'room ' || n, u.id, '', 2, 1, 1, 1,
                now() - (interval '1 minute' * ($2 - n)), 2, pg_current_xact_id()::text::bigint
         from users u, generate_series(1, $2) n where u.login = $1
         returning id",
    );
    let ids: Vec<Uuid> =
        rooms.bind(other).bind(count).fetch_all(&mut *tx).await?.iter().map(|row| row.get(0)).collect();
    let members = sqlx::query(
        "insert into members (room_id, user_id, state, joined_at, rev, user_rev)
         select r.id, u.id, 1, now() - interval '1 year', 1, c.user_rev + r.n
         from unnest($1::uuid[]) with ordinality r (id, n), users u join user_cursors c on c.user_id = u.id
         where u.login in ($2, $3)",
    );
    members.bind(&ids).bind(login).bind(other).execute(&mut *tx).await?;
    let cursors = sqlx::query(
        "update user_cursors c set user_rev = user_rev + $1 from users u where u.id = c.user_id and u.login in ($2, $3)",
    );
    cursors.bind(count).bind(login).bind(other).execute(&mut *tx).await?;
    let messages = sqlx::query(
        "insert into messages (room_id, seq, rev, count, sender_id, client_message_id, payload_hash, created_at, kind, text)
         select r.id, 1, 2, 1, r.created_by, gen_random_uuid(), '', r.last_active_at, 1, 'hello in ' || r.name
         from rooms r where r.id = any ($1)",
    );
    messages.bind(&ids).execute(&mut *tx).await?;
    tx.commit().await?;
    analyze(world).await?;
    Ok(ids.last().copied())
}

/// What came by SQL at once must be known to the planner, as it is of what came by and by.
async fn analyze(world: &World) -> Result<()> {
    sqlx::query("analyze").execute(&world.sql().await).await?;
    Ok(())
}

async fn say(value: &Value) -> Result<()> {
    let mut out = stdout();
    out.write_all(format!("{value}\n").as_bytes()).await?;
    Ok(out.flush().await?)
}
