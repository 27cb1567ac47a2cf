//! The peer: 64 clients that each insert one row into a copy of the table of messages and commit, by PostgreSQL's own
//! pgbench. Debian's package is unpacked beside the benches, not installed: no cluster of its own is made or started.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::process::Command;

use super::ROOMS;
use crate::Plan;
use crate::crowd;
use crate::figure::float;
use crate::ground::Ground;

/// Clients, as in the comparison with other messengers.
const CLIENTS: usize = 64;

/// The package that holds pgbench.
const PACKAGE: &str = "postgresql-15";

/// Where Debian's packages put versions of PostgreSQL.
const INSTALLED: &str = "/usr/lib/postgresql";

/// Inserts one row a transaction.
pub struct Single {
    database_url: String,
    program: Option<Pgbench>,
    statement: String,
    hot: String,
}

struct Pgbench {
    path: PathBuf,
    /// Where the scripts lie.
    scripts: PathBuf,
    /// The client library that came with the server, for a pgbench that was not installed with its own.
    libraries: PathBuf,
}

impl Single {
    /// Makes the table, and finds or fetches pgbench.
    pub async fn prepare(plan: &Plan, ground: &Ground, database_url: &str) -> Result<Self> {
        let mut connection = PgConnection::connect(database_url).await?;
        connection.execute("create table messages_single (like messages including all)").await?;
        connection.execute("create sequence single_seq cache 100").await?;
        // Its numbers are none that a row of all rooms may have had there by chance.
        let hot_room = "create table rooms_single as select id, 1::int8 << 40 as seq from rooms order by id limit 1";
        connection.execute(hot_room).await?;
        connection.close().await?;
        let (statement, hot) = (statement(ALL), statement(HOT));
        let program = match pgbench(plan, ground).await {
            Ok(path) => Some(Pgbench::of(plan, ground, path, &[("single", &statement), ("hot", &hot)])?),
            Err(e) => {
                plan.say(&format!("send: no pgbench ({e:#}), so 64 connections of this process take its place"));
                None
            }
        };
        let single = Self { database_url: database_url.to_owned(), program, statement, hot };
        single.run(Duration::from_secs(1)).await?;
        Ok(single)
    }

    /// What was measured.
    pub fn how(&self) -> &'static str {
        if self.program.is_some() {
            "64 clients, one row into the same shape each transaction, prepared"
        } else {
            "not there; 64 connections of this process, one row into the same shape each transaction, prepared"
        }
    }

    /// Rows a second, over all rooms.
    pub async fn run(&self, span: Duration) -> Result<f64> {
        match &self.program {
            Some(program) => program.run("single", &self.database_url, span).await,
            None => self.run_here(&self.statement, span).await,
        }
    }

    /// Rows a second in one room, each with the room's next number.
    pub async fn run_hot(&self, span: Duration) -> Result<f64> {
        match &self.program {
            Some(program) => program.run("hot", &self.database_url, span).await,
            None => self.run_here(&self.hot, span).await,
        }
    }

    async fn run_here(&self, statement: &str, span: Duration) -> Result<f64> {
        let (ends, rows) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut connection = PgConnection::connect(&self.database_url).await?;
            let (ends, rows) = (Arc::clone(&ends), Arc::clone(&rows));
            let statement = statement.replace(":room", "$1");
            clients.push(tokio::spawn(async move {
                while !ends.load(Ordering::Relaxed) {
                    let room = i32::try_from(rand::random_range(0..ROOMS))?;
                    sqlx::query(AssertSqlSafe(statement.clone())).bind(room).execute(&mut connection).await?;
                    rows.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            }));
        }
        let began = Instant::now();
        rows.store(0, Ordering::Relaxed);
        tokio::time::sleep(span).await;
        let rate = float(rows.load(Ordering::Relaxed)) / began.elapsed().as_secs_f64();
        ends.store(true, Ordering::Relaxed);
        for client in clients {
            client.await??;
        }
        Ok(rate)
    }
}

/// Where a row goes to: a random room, with ids as `crowd` makes them, and a number of all rooms.
const ALL: (&str, &str) =
    ("nextval('single_seq') s", "('00000000-0000-7000-8000-' || lpad(to_hex(:room::int), 12, '0'))::uuid");

/// The one room, whose row gives the number and is locked until the commit. The random number is of no use.
const HOT: (&str, &str) = ("(select seq from moved where :room::int >= 0) m (s)", "(select id from rooms_single)");

/// One message.
fn statement((source, room): (&str, &str)) -> String {
    let moved =
        if source == HOT.0 { "with moved as (update rooms_single set seq = seq + 1 returning seq) " } else { "" };
    format!(
        "{moved}insert into messages_single (room_id, seq, rev, count, sender_id, client_message_id, payload_hash, created_at, kind, text)
         select {room}, s, s, s,
             '00000000-0000-7000-9000-000000000001', gen_random_uuid(), decode(repeat('5a', 32), 'hex'), now(), 1, '{}'
         from {source}",
        crowd::text()
    )
}

impl Pgbench {
    fn of(plan: &Plan, ground: &Ground, path: PathBuf, scripts: &[(&str, &String)]) -> Result<Self> {
        let last = ROOMS - 1;
        for (name, statement) in scripts {
            // A script's statement is one line, or ends with a semicolon.
            let script = format!("\\set room random(0, {last})\n{statement};\n");
            fs::write(plan.folder.join(name).with_extension("sql"), script)?;
        }
        Ok(Self { path, scripts: plan.folder.clone(), libraries: libraries(ground)? })
    }

    async fn run(&self, script: &str, database_url: &str, span: Duration) -> Result<f64> {
        let (password, address) = parts(database_url).context("the address of the database")?;
        let clients = CLIENTS.to_string();
        let mut command = Command::new(&self.path);
        command.args(["-n", "-M", "prepared", "-j", "2", "-c", &clients, "-T", &span.as_secs().to_string(), "-f"]);
        command
            .arg(self.scripts.join(script).with_extension("sql"))
            .arg(address)
            .env("PGPASSWORD", password)
            .env("LD_LIBRARY_PATH", &self.libraries);
        let output = command.output().await.context("run pgbench")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench: {}\n{said}", output.status);
        rate.with_context(|| format!("pgbench told no rate\n{text}{said}"))
    }
}

/// The password, and the address without it: an argument can be read by everybody on the machine.
fn parts(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let (person, place) = rest.split_once('@')?;
    let (user, password) = person.split_once(':')?;
    Some((password.to_owned(), format!("{scheme}://{user}@{place}")))
}

/// The libraries that came with the running server's binary.
fn libraries(ground: &Ground) -> Result<PathBuf> {
    let pid = ground.pid().context("the database server runs")?;
    let binary = fs::read_link(format!("/proc/{pid}/exe")).context("find the database server's binary")?;
    Ok(binary.ancestors().nth(2).context("the binary lies in bin")?.join("lib"))
}

/// A pgbench that runs: an installed one, one fetched before, or one fetched now.
async fn pgbench(plan: &Plan, ground: &Ground) -> Result<PathBuf> {
    let libraries = libraries(ground)?;
    let unpacked = plan.folder.join("pgbench");
    let versions = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().join("bin/pgbench")).filter(|path| path.is_file()).collect()
    };
    let inside = unpacked.join(INSTALLED.trim_start_matches('/'));
    for path in versions(Path::new(INSTALLED)).into_iter().chain(versions(&inside)) {
        if runs(&path, &libraries).await {
            return Ok(path);
        }
    }
    plan.say("send: fetching pgbench");
    fetch(&unpacked).await?;
    for path in versions(&inside) {
        if runs(&path, &libraries).await {
            return Ok(path);
        }
    }
    bail!("the one in {PACKAGE} does not run")
}

async fn runs(path: &Path, libraries: &Path) -> bool {
    let mut command = Command::new(path);
    command.arg("--version").env("LD_LIBRARY_PATH", libraries);
    command.output().await.is_ok_and(|output| output.status.success())
}

async fn fetch(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    run(Command::new("apt-get").args(["download", PACKAGE]).current_dir(folder)).await?;
    let package = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = package.with_context(|| format!("apt-get brought no {PACKAGE}"))?;
    run(Command::new("dpkg").arg("-x").arg(&package).arg(folder)).await?;
    Ok(fs::remove_file(package)?)
}

async fn run(command: &mut Command) -> Result<()> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.output().await.with_context(|| format!("run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", said.lines().last().unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_an_address() {
        let (password, address) = parts("postgres://postgres:secret@127.0.0.1:7/bench").expect("all parts");
        assert_eq!((password.as_str(), address.as_str()), ("secret", "postgres://postgres@127.0.0.1:7/bench"));
    }
}
