//! What Madang reaches on this machine, beside what the machine could at best: `cargo xtask bench
//! send|fanout|idle|connections|storm|reads|day|recovery|core|ffi`.
//!
//! Always true: a figure is a median over rounds; its ceiling and its peers are measured in the same rounds, one after
//! the other, because the disk and the neighbours of a machine change within minutes; commits are durable. The ratios are
//! what a goal is set on. A part that fails is told of, and the others go on. Not here: latencies under a chosen load.
#![expect(clippy::print_stdout, reason = "the figures are what was asked for")]

mod bare;
mod connections;
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
mod statements;
mod storm;
mod streams;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Parser, ValueEnum};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use figure::Figure;

/// Measures durable sends, fan-out to live streams, connections, reads, a day, times of recovery, the client core, and the boundary.
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
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000])]
    people: Vec<usize>,
    /// Seconds that each of these takes.
    #[arg(long, default_value_t = 60)]
    day_seconds: u64,
    /// A day of ten minutes with 10,000 people online, and one with 20,000.
    #[arg(long, conflicts_with_all = ["quick", "people", "day_seconds"])]
    long: bool,
    /// Programs of other languages, in a folder each; `cargo xtask bench` names it.
    #[arg(long, hide = true)]
    bindings: Option<PathBuf>,
    /// Idle connections to open.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
    #[command(flatten)]
    layout: bare::Layout,
    #[command(flatten)]
    resident: core::Resident,
}

/// Seconds of a quick day.
const QUICK_DAY: u64 = 10;

/// Seconds of a long day, and how many are online.
const LONG_DAY: u64 = 600;
const LONG_PEOPLE: [usize; 2] = [10_000, 20_000];

/// What takes longer than this, beside its days, stands still: the longest takes five minutes.
const LONGEST: Duration = Duration::from_mins(12);

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
enum Name {
    /// Durable sends over 10,000 rooms.
    Send,
    /// One room, 1,000 live streams.
    Fanout,
    /// Memory of an idle connection, with TLS too.
    Idle,
    /// Streams that are opened a second, and many of them at once.
    Connections,
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
        let day = match arguments {
            Arguments { quick: true, .. } => QUICK_DAY,
            Arguments { long: true, .. } => LONG_DAY,
            Arguments { day_seconds, .. } => *day_seconds,
        };
        let plan = Self {
            folder: arguments.folder.clone().unwrap_or_else(|| target.join("bench")),
            server: arguments.server.clone().unwrap_or_else(|| beside.join("madang")),
            bindings: arguments.bindings.clone(),
            rounds: if arguments.quick { 1 } else { arguments.rounds },
            span: Duration::from_secs(if arguments.quick { 1 } else { arguments.seconds }),
            connections: arguments.connections,
            people: if arguments.long { LONG_PEOPLE.to_vec() } else { arguments.people.clone() },
            day: Duration::from_secs(day),
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
                println!("\nA goal was missed, or a part failed.");
            }
            ExitCode::FAILURE
        }
        Err(e) => {
            println!("bench: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every goal was reached, and nothing failed.
async fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.layout.bare {
        bare::serve(arguments.layout.clone()).await?;
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
        return part(&plan, Name::Ffi, ffi::measure(&plan).boxed_local()).await;
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
    measured
}

/// One part after the other; one that fails is told of and the others go on.
async fn measure(plan: &Plan, ground: &ground::Ground, wanted: impl Fn(Name) -> bool) -> Result<bool> {
    let mut well = true;
    for name in Name::value_variants().iter().copied().filter(|name| wanted(*name)) {
        let measuring = match name {
            Name::Send => send::measure(plan, ground).boxed_local(),
            Name::Fanout => fanout::measure(plan, ground).boxed_local(),
            Name::Idle => idle::measure(plan, ground).boxed_local(),
            Name::Connections => connections::measure(plan, ground).boxed_local(),
            Name::Storm => storm::measure(plan, ground).boxed_local(),
            Name::Reads => reads::measure(plan, ground).boxed_local(),
            Name::Day => day::measure(plan, ground).boxed_local(),
            Name::Recovery => recovery::measure(plan, ground).boxed_local(),
            Name::Core => core::measure(plan, ground).boxed_local(),
            Name::Ffi => ffi::measure(plan).boxed_local(),
        };
        well &= part(plan, name, measuring).await?;
        // A part may have failed while the database was away, or while its statements were noted.
        ground.heal().await?;
    }
    Ok(well)
}

/// Whether a part came to its end, in time, and reached its goals. What it holds goes with it.
async fn part(plan: &Plan, name: Name, measuring: LocalBoxFuture<'_, Result<Vec<Figure>>>) -> Result<bool> {
    let began = Instant::now();
    let days = plan.day * u32::try_from(plan.people.len())?;
    let measured = tokio::time::timeout(LONGEST + days, AssertUnwindSafe(measuring).catch_unwind()).await;
    let figures = match measured {
        Ok(Ok(figures)) => figures,
        Ok(Err(_)) => Err(anyhow!("it panicked")),
        Err(_) => Err(anyhow!("it stands still")),
    };
    let name = name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let well = match figures {
        Ok(figures) => {
            print(plan, &figures)?;
            figures.iter().all(Figure::met)
        }
        Err(error) => {
            println!("bench: {name}: {error:#}");
            false
        }
    };
    plan.say(&format!("\n{name} took {:.0} s", began.elapsed().as_secs_f64()));
    Ok(well)
}

fn print(plan: &Plan, figures: &[Figure]) -> Result<()> {
    for figure in figures {
        println!("{}", if plan.json { figure.json()? } else { figure.table() });
    }
    Ok(())
}
