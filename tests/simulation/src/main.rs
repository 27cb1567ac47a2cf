//! What wall time cannot show: the hubs, queues and sessions of real nodes and the engine of real client cores on one
//! thread, with simulated time, a simulated network and a model of the database. `cargo xtask simulate`.
//!
//! Always true: a seed decides everything, so that it plays the same twice; nothing here waits for the clock on the wall.

mod check;
mod dice;
mod guards;
mod model;
mod plan;
mod run;
mod world;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;

use self::{
    guards::{Place, find, show_all},
    run::{Until, campaign, show},
    world::Without,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays schedules of a simulated world, seed by seed.
#[derive(Parser)]
struct Options {
    /// Plays for so many seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Plays so many schedules, however long it takes.
    #[arg(long)]
    schedules: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Plays one seed, and if it fails makes it smaller.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints the steps of that seed.
    #[arg(long)]
    trace: bool,
    /// Takes a guard out.
    #[arg(long, value_name = "GUARD")]
    without: Option<String>,
    /// Takes out each guard in turn, and shows the schedule that notices.
    #[arg(long)]
    guards: bool,
    /// Threads; else as many as there are processors.
    #[arg(long)]
    threads: Option<usize>,
}

#[expect(clippy::print_stderr, reason = "it talks to the person who started it")]
fn main() -> ExitCode {
    match simulate(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(options: &Options) -> Result<bool> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = options.threads.unwrap_or(processors);
    if options.guards {
        return Ok(show_all(threads));
    }
    let without = match &options.without {
        Some(name) => find(name).map(Place::without).with_context(|| format!("no such guard: {name}"))?,
        None => Without::default(),
    };
    if let Some(seed) = options.seed {
        return Ok(show(seed, without, options.trace));
    }
    let until = match options.schedules {
        Some(schedules) => Until::Schedules(schedules),
        None => Until::Time(Instant::now() + Duration::from_secs(options.seconds)),
    };
    Ok(campaign(options.from, until, without, threads))
}
