//! The seeded machine that tries to break the promise: no message lost, repeated or reordered, and no badge wrong.
//!
//! A seed becomes a plan, the plan is carried out on real servers, a real PostgreSQL and real client cores with faults
//! among them, and at quiet points an oracle compares everything with everything. `cargo xtask torture --seed N`.

mod device;
#[cfg(feature = "sabotage")]
mod guards;
mod history;
mod look;
mod oracle;
mod plan;
mod proxy;
mod report;
mod run;
mod stage;
mod world;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use futures_util::future::try_join_all;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    plan::{Fault, NEIGHBOURS, Plan, Settings, Shrink, generate},
    report::{Report, describe},
    run::{Conditions, Outcome, run, run_together},
    stage::Ground,
};

/// Tries to break the promise, seed by seed.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Hidden>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Hidden {
    /// Is a client that may be killed.
    #[command(hide = true)]
    Client,
}

#[derive(clap::Args)]
struct Options {
    /// One seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Many seeds: from A to before B.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<(u64, u64)>,
    /// Servers on the database; else by the seed, 1 to 3.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    nodes: Option<u8>,
    /// Devices.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(2..=60))]
    clients: u8,
    /// Rooms.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=60))]
    rooms: u8,
    /// Steps.
    #[arg(long, default_value_t = 200)]
    steps: usize,
    /// Names of faults with commas, `all` or `none`.
    #[arg(long, default_value = "all")]
    faults: String,
    /// One line of JSON at the end, and nothing else.
    #[arg(long)]
    json: bool,
    /// Where failures are kept.
    #[arg(long, default_value = "target/torture")]
    keep: PathBuf,
    /// Runs a plan that was saved, instead of a seed's.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Makes a plan that fails smaller.
    #[arg(long)]
    shrink: bool,
    /// Takes a guard of the servers or a rule of the client out, where the feature `sabotage` is compiled in.
    #[arg(long)]
    without: Option<String>,
    /// Seconds that a world may take to settle: silence alone needs 45 to be noticed.
    #[arg(long, default_value_t = 100)]
    patience: u64,
    /// The server's binary; else the one beside this program.
    #[arg(long)]
    server_binary: Option<PathBuf>,
    /// Seeds that run at once, each on grounds of its own, or all within this process.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=240))]
    jobs: u8,
    /// Servers and devices share this process, and neighbours share servers: many small seeds in little time, with the faults
    /// that need no processes.
    #[arg(long)]
    in_process: bool,
    /// Takes each guard out, or those that are named with commas, and tells by which seed that is noticed.
    #[arg(long, value_name = "NAMES", num_args = 0..=1, default_missing_value = "all")]
    guards: Option<String>,
    /// Seeds that are tried for a guard.
    #[arg(long, default_value_t = 50)]
    upto: u64,
}

fn seeds(text: &str) -> Result<(u64, u64)> {
    let (from, to) = text.split_once("..").context("must be A..B")?;
    let (from, to) = (from.parse()?, to.parse()?);
    ensure!(from < to, "there is no seed in {text}");
    Ok((from, to))
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "it talks to the person who started it")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Hidden::Client) => device::be_a_child().await.map(|()| true),
        None => torture(&arguments.options).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all seeds; tells whether nothing was wrong.
async fn torture(options: &Options) -> Result<bool> {
    let wanted = options.without.is_some() || options.guards.is_some();
    ensure!(!wanted || cfg!(feature = "sabotage"), "--without and --guards need the feature sabotage");
    std::fs::create_dir_all(&options.keep).with_context(|| format!("create {}", options.keep.display()))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut grounds = grounds(options).await?;
    let done = tokio::select! {
        done = all(options, &grounds) => done,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    grounds.dedup_by(|one, other| Arc::ptr_eq(one, other));
    for ground in grounds {
        alone(ground).await?.stop().await?;
    }
    done
}

/// A ground for each seed that runs at once; within this process all have the same.
async fn grounds(options: &Options) -> Result<Vec<Arc<Ground>>> {
    let saved = options.plan.as_deref().map(Plan::read).transpose()?;
    if saved.map_or(options.in_process, |plan| plan.settings.in_process) {
        let ground = Arc::new(Ground::start(None, &options.keep, 0).await?);
        return Ok(vec![ground; usize::from(options.jobs).div_ceil(usize::try_from(NEIGHBOURS)?)]);
    }
    let binary = server_binary(options)?;
    let starts = (0..options.jobs).map(|job| Ground::start(Some(&binary), &options.keep, job));
    Ok(try_join_all(starts).await?.into_iter().map(Arc::new).collect())
}

/// Waits until nothing uses the ground any more: tasks that were given up take a moment to go.
async fn alone(mut ground: Arc<Ground>) -> Result<Ground> {
    for _ in 0..500 {
        match Arc::try_unwrap(ground) {
            Ok(ground) => return Ok(ground),
            Err(shared) => ground = shared,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("something still uses the database server")
}

fn server_binary(options: &Options) -> Result<PathBuf> {
    if let Some(binary) = &options.server_binary {
        return Ok(binary.clone());
    }
    let beside = std::env::current_exe()?.with_file_name("madang");
    ensure!(beside.exists(), "there is no {}: build madang-server", beside.display());
    Ok(beside)
}

async fn all(options: &Options, grounds: &[Arc<Ground>]) -> Result<bool> {
    let ground = grounds.first().context("a ground")?;
    #[cfg(feature = "sabotage")]
    if let Some(names) = &options.guards {
        return guards::guards(options, grounds, names).await;
    }
    let mut report = Report::default();
    if let Some(path) = &options.plan {
        let plan = Plan::read(path)?;
        let plan = if options.shrink { shrink(options, ground, plan).await? } else { plan };
        for outcome in many(options, ground, std::slice::from_ref(&plan)).await? {
            report.add(plan.seed, &outcome);
        }
    } else {
        let (from, to) = options.seeds.unwrap_or((options.seed, options.seed + 1));
        let together = if options.in_process { NEIGHBOURS } else { 1 };
        let groups = Mutex::new(from / together..to.div_ceil(together));
        let reports = Mutex::new(&mut report);
        // The lock is let go of before anything is waited for.
        let next = || locked(&groups).next();
        let work = async |ground: &Arc<Ground>| {
            while let Some(group) = next() {
                let seeds = (group * together).max(from)..((group + 1) * together).min(to);
                let plans = seeds.map(|seed| Ok(generate(seed, &settings(options, seed)?)));
                let plans = plans.collect::<Result<Vec<Plan>>>()?;
                for (plan, outcome) in plans.iter().zip(many(options, ground, &plans).await?) {
                    locked(&reports).add(plan.seed, &outcome);
                }
            }
            anyhow::Ok(())
        };
        try_join_all(grounds.iter().map(work)).await?;
    }
    say(if options.json { report.json() } else { report.text() });
    Ok(report.good())
}

/// What is behind the lock is whole after every statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn settings(options: &Options, seed: u64) -> Result<Settings> {
    // Neighbours have the same servers.
    let place = if options.in_process { seed / NEIGHBOURS } else { seed };
    Ok(Settings {
        nodes: options.nodes.map_or(usize::try_from(place % 3)? + 1, usize::from),
        clients: options.clients.into(),
        rooms: options.rooms.into(),
        steps: options.steps,
        faults: Fault::read_list(&options.faults)?,
        in_process: options.in_process,
    })
}

/// Runs plans beside each other, and tells how they went.
async fn many(options: &Options, ground: &Arc<Ground>, plans: &[Plan]) -> Result<Vec<Outcome>> {
    let folders = plans.iter().map(|plan| folder(options, plan)).collect::<Result<Vec<_>>>()?;
    let placed: Vec<_> = plans.iter().zip(folders.iter().map(PathBuf::as_path)).collect();
    let outcomes = run_together(ground, &placed, &conditions(options)).await;
    for ((plan, folder), outcome) in placed.iter().zip(&outcomes) {
        tell(options, plan, folder, outcome)?;
    }
    Ok(outcomes)
}

/// Tells how a plan went, and keeps what is needed to see why it failed.
fn tell(options: &Options, plan: &Plan, folder: &Path, outcome: &Outcome) -> Result<()> {
    if !options.json {
        say(describe(plan.seed, outcome));
    }
    if !outcome.failed() {
        return std::fs::remove_dir_all(folder).context("remove what a good seed leaves");
    }
    std::fs::write(folder.join("outcome.txt"), describe(plan.seed, outcome))?;
    if !options.json {
        say(format!("  again: cargo xtask torture --plan {}", folder.join("plan.json").display()));
    }
    Ok(())
}

fn conditions(options: &Options) -> Conditions {
    Conditions { patience: Duration::from_secs(options.patience), without: options.without.clone() }
}

/// Where a run's logs and stores go: a plan that is replayed may lie where the seed's were kept.
fn folder(options: &Options, plan: &Plan) -> Result<PathBuf> {
    let name = if options.plan.is_some() { "replay" } else { "seed" };
    let folder = options.keep.join(format!("{name}-{}", plan.seed));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("clear {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)?;
    plan.save(&folder.join("plan.json"))?;
    std::path::absolute(folder).context("a folder's place")
}

/// Leaves steps out for as long as it still fails.
async fn shrink(options: &Options, ground: &Arc<Ground>, plan: Plan) -> Result<Plan> {
    let mut search = Shrink::new(plan);
    while let Some(candidate) = search.candidate() {
        let folder = folder(options, &candidate)?;
        let failed = run(ground, &candidate, &folder, &conditions(options)).await.failed();
        say(format!("{} steps: {}", candidate.steps.len(), if failed { "fails" } else { "good" }));
        search.tried(candidate, failed);
    }
    Ok(search.best().clone())
}

#[expect(clippy::print_stdout, reason = "it talks to the person who started it")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}
