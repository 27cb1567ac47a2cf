//! A database with all migrations applied, for as long as standard input stays open.
//!
//! `cargo xtask sqlx` checks the queries against it; a developer gets a place to try one:
//! `cargo run -p madang-devstack --bin madang-scratch-db` prints the address, and Ctrl-D or Ctrl-C ends it.
#![expect(clippy::print_stdout, reason = "the address is this program's answer")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use madang_devstack::postgres::Cluster;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::io::AsyncReadExt;

#[derive(Parser)]
#[command(about = "A database with all migrations applied, until standard input closes")]
struct Arguments {
    /// The folder of the migrations, applied in the order of their names.
    #[arg(long, default_value = "migrations")]
    migrations: PathBuf,
    /// Make nothing; stop the machine's test cluster, if nobody uses it.
    #[arg(long)]
    stop: bool,
    /// Make nothing; print the folder with PostgreSQL's programs and libraries.
    #[arg(long)]
    binaries: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.stop {
        Cluster::join().await?.leave().await?;
        return Ok(());
    }
    if arguments.binaries {
        println!("{}", Cluster::fetch().await?.display());
        return Ok(());
    }
    let migrations = read(&arguments.migrations)?;
    let cluster = Cluster::join().await?;
    let template = cluster.template(&digest(&migrations), async |url| apply(&url, &migrations).await).await?;
    let database = cluster.database_from(&template, "scratch").await?;
    println!("{}", database.url);
    tokio::select! {
        () = closed() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

/// Name and text of every migration, in order.
fn read(folder: &Path) -> Result<Vec<(String, String)>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "sql"));
    paths.sort();
    let text = |path: PathBuf| Ok((path.display().to_string(), fs::read_to_string(&path)?));
    paths.into_iter().map(text).collect()
}

fn digest(migrations: &[(String, String)]) -> String {
    let mut hash = Sha256::new();
    for (name, text) in migrations {
        hash.update(name);
        hash.update([0]);
        hash.update(text);
        hash.update([0]);
    }
    format!("scratch_{:.16x}", hash.finalize())
}

async fn apply(url: &str, migrations: &[(String, String)]) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for (name, text) in migrations {
        let done = sqlx::raw_sql(AssertSqlSafe(text.as_str())).execute(&mut connection).await;
        done.with_context(|| format!("apply {name}"))?;
    }
    connection.close().await?;
    Ok(())
}

async fn closed() {
    let mut input = tokio::io::stdin();
    let mut rest = [0; 256];
    while input.read(&mut rest).await.is_ok_and(|n| n > 0) {}
}
