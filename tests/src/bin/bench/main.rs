//! What Madang reaches on this machine, beside what the machine could at best: `cargo xtask bench
//! send|fanout|idle|storm|reads|day|recovery|core|ffi`.
//!
//! Always true: a figure is a median over rounds; its ceiling and its peers are measured in the same rounds, one after
//! the other, because the disk and the neighbours of a machine change within minutes; commits are durable. The ratios are
//! what a goal is set on. Not here: latencies under a chosen load, and long runs.
#![expect(clippy::print_stdout, reason = "the figures are what was asked for")]

mod bare;
mod core;
mod crowd;
mod day;
mod fanout;
mod ffi;
mod figure;
mod ground;
mod idle;
mod peers;
mod process;
mod reads;
mod recovery;
mod send;
mod storm;
mod streams;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use figure::Figure;

/// Measures durable sends, fan-out to live streams, the memory of idle ones, times of recovery, the client core, and the boundary.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// What to measure; without a name, all but `ffi`.
    #[arg(value_enum)]
    names: Vec<Name>,
    /// One JSON object a line instead of tables.
    #[arg(long)]
    json: bool,
    /// One short round of everything: whether it runs, and no more than that.
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "day_seconds"])]
    quick: bool,
    /// How often each measurement is repeated; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that one measurement takes.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Where the database lies; a disk, for commits are to be durable. `target/bench` unless told otherwise.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The server's binary; the one beside this program unless told otherwise.
    #[arg(long)]
    server: Option<PathBuf>,
    /// How many people are online in `day`, one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000, 20_000])]
    people: Vec<usize>,
    /// Seconds that each of these takes.
    #[arg(long, default_value_t = 60)]
    day_seconds: u64,
    /// Programs of other languages, in a folder each; `cargo xtask bench` names it.
    #[arg(long, hide = true)]
    bindings: Option<PathBuf>,
    /// Idle connections to open.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
    /// Serves streams without anything behind them: the ceiling of the others. For this program itself.
    #[arg(long, hide = true)]
    bare: bool,
    #[command(flatten)]
    resident: core::Resident,
}

/// Seconds of a quick day.
const QUICK_DAY: u64 = 10;

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
enum Name {
    /// Durable sends over 10,000 rooms.
    Send,
    /// One room, 1,000 live streams.
    Fanout,
    /// Memory of an idle connection.
    Idle,
    /// A crowd that comes back with a gap, and what others notice of it.
    Storm,
    /// Calls that read, one by one and many at once.
    Reads,
    /// People as they are, all online: sends, reads, typing, reconnects.
    Day,
    /// Times until all is well again.
    Recovery,
    /// What the client core costs its host.
    Core,
    /// What the boundary to other languages costs.
    Ffi,
}

/// How the benches are run.
struct Plan {
    folder: PathBuf,
    server: PathBuf,
    bindings: Option<PathBuf>,
    rounds: usize,
    span: Duration,
    connections: usize,
    people: Vec<usize>,
    day: Duration,
    json: bool,
}

impl Plan {
    fn of(arguments: &Arguments) -> Result<Self> {
        // This program lies in target/PROFILE.
        let here = process::this_program()?;
        let beside = here.parent().context("this program lies in a folder")?;
        let target = beside.parent().context("this program lies in a target folder")?;
        let plan = Self {
            folder: arguments.folder.clone().unwrap_or_else(|| target.join("bench")),
            server: arguments.server.clone().unwrap_or_else(|| beside.join("madang")),
            bindings: arguments.bindings.clone(),
            rounds: if arguments.quick { 1 } else { arguments.rounds },
            span: Duration::from_secs(if arguments.quick { 1 } else { arguments.seconds }),
            connections: arguments.connections,
            people: arguments.people.clone(),
            day: Duration::from_secs(if arguments.quick { QUICK_DAY } else { arguments.day_seconds }),
            json: arguments.json,
        };
        ensure!(plan.rounds > 0 && arguments.seconds > 0, "a measurement takes at least a second and a round");
        Ok(plan)
    }

    /// What is being done, for whoever waits; only figures are printed with `--json`.
    fn say(&self, what: &str) {
        if !self.json {
            println!("{what}");
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            if !arguments.json {
                println!("\nA goal was missed.");
            }
            ExitCode::FAILURE
        }
        Err(e) => {
            println!("bench: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every goal was reached.
async fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.bare {
        bare::serve().await?;
        return Ok(true);
    }
    if let Some(store) = &arguments.resident.store {
        arguments.resident.stay(store).await?;
        return Ok(true);
    }
    process::raise_file_limit();
    let plan = Plan::of(arguments)?;
    // Without a server, and without what servers stand on.
    if arguments.names == [Name::Ffi] {
        let figures = ffi::measure(&plan).await.context("ffi")?;
        print(&plan, &figures)?;
        return Ok(figures.iter().all(Figure::met));
    }
    ensure!(plan.server.is_file(), "{} is not there: call `cargo xtask bench`", plan.server.display());
    // The boundary is measured by name alone: it needs what other languages are built with.
    let wanted = |name| arguments.names.contains(&name) || arguments.names.is_empty() && name != Name::Ffi;
    let ground = ground::Ground::prepare(&plan).await?;
    if plan.json {
        let (redis, nats) = (peers::Kind::Redis.version().await?, peers::Kind::Nats.version().await?);
        let (postgresql, rounds) = (ground.version().await?, plan.rounds);
        println!(
            r#"{{"bench":"machine","postgresql":"{postgresql}","redis":"{redis}","nats":"{nats}","rounds":{rounds}}}"#
        );
    }
    let measured = measure(&plan, &ground, wanted).await;
    ground.stop().await?;
    let figures = measured?;
    Ok(figures.iter().all(Figure::met))
}

async fn measure(plan: &Plan, ground: &ground::Ground, wanted: impl Fn(Name) -> bool) -> Result<Vec<Figure>> {
    let mut all = Vec::new();
    for name in Name::value_variants().iter().filter(|name| wanted(**name)) {
        let figures = match name {
            Name::Send => send::measure(plan, ground).await.context("send"),
            Name::Fanout => fanout::measure(plan, ground).await.context("fanout"),
            Name::Idle => idle::measure(plan, ground).await.context("idle"),
            Name::Storm => storm::measure(plan, ground).await.context("storm"),
            Name::Reads => reads::measure(plan, ground).await.context("reads"),
            Name::Day => day::measure(plan, ground).await.context("day"),
            Name::Recovery => recovery::measure(plan, ground).await.context("recovery"),
            Name::Core => core::measure(plan, ground).await.context("core"),
            Name::Ffi => ffi::measure(plan).await.context("ffi"),
        }?;
        print(plan, &figures)?;
        all.extend(figures);
    }
    Ok(all)
}

fn print(plan: &Plan, figures: &[Figure]) -> Result<()> {
    for figure in figures {
        println!("{}", if plan.json { figure.json()? } else { figure.table() });
    }
    Ok(())
}
