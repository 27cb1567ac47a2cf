//! Guards under chance: each is taken out, and seeds run until the oracle notices.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::{
    Options, generate, locked,
    plan::Plan,
    run::{Conditions, run},
    say, settings,
    stage::Ground,
};

/// A world whose guard is out is given less than another, but more than silence needs to be noticed.
const PATIENCE: Duration = Duration::from_mins(1);

/// What became of a guard.
struct Row {
    caught_by: Option<u64>,
    said: String,
    tried: u64,
}

/// Takes each guard out and prints by which seed that is noticed. Always true: what chance cannot show is no failure.
pub async fn guards(options: &Options, grounds: &[Arc<Ground>], names: &str) -> Result<bool> {
    let known = madang_tests::world::guards();
    let wanted: Vec<&str> = if names == "all" { known.clone() } else { names.split(',').collect() };
    for name in &wanted {
        ensure!(known.contains(name), "no guard is called {name}; known: {}", known.join(", "));
    }
    say(format!("{:<28} {:>9} {:>6}  what the oracle said", "guard", "caught by", "tried"));
    let queue = Mutex::new(wanted.into_iter());
    let rows = Mutex::new(BTreeMap::new());
    // The lock is let go of before anything is waited for.
    let next = || locked(&queue).next();
    let work = async |ground: &Arc<Ground>| {
        while let Some(name) = next() {
            let row = guard(options, ground, name).await?;
            let by = row.caught_by.map_or_else(|| "-".to_owned(), |seed| seed.to_string());
            say(format!("{name:<28} {by:>9} {:>6}  {}", row.tried, row.said));
            locked(&rows).insert(name, row);
        }
        anyhow::Ok(())
    };
    try_join_all(grounds.iter().map(work)).await?;
    let rows = locked(&rows);
    let unseen: Vec<&str> = rows.iter().filter(|(_, row)| row.caught_by.is_none()).map(|(name, _)| *name).collect();
    say(format!(
        "{} of {} noticed; only forced timing shows: {}",
        rows.len() - unseen.len(),
        rows.len(),
        unseen.join(", ")
    ));
    Ok(true)
}

async fn guard(options: &Options, ground: &Arc<Ground>, name: &str) -> Result<Row> {
    let mut row = Row { caught_by: None, said: String::new(), tried: 0 };
    for seed in 1..=options.upto {
        row.tried += 1;
        let without = said(options, ground, seed, name, true).await?;
        // What fails with the guard as well says nothing about it.
        if let Some(said_without) = without
            && said(options, ground, seed, name, false).await?.is_none()
        {
            (row.said, row.caught_by) = (said_without, Some(seed));
            return Ok(row);
        }
    }
    Ok(row)
}

/// What the oracle says of a seed first, without a guard or with it.
async fn said(options: &Options, ground: &Arc<Ground>, seed: u64, name: &str, out: bool) -> Result<Option<String>> {
    let plan: Plan = generate(seed, &settings(options, seed)?);
    let folder = options.keep.join(format!("{}-{name}", if out { "without" } else { "with" }));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    plan.save(&folder.join("plan.json"))?;
    let folder = std::path::absolute(folder)?;
    let conditions = Conditions { patience: PATIENCE, without: out.then(|| name.to_owned()) };
    let outcome = run(ground, &plan, &folder, &conditions).await;
    if !outcome.failed() {
        std::fs::remove_dir_all(&folder)?;
        return Ok(None);
    }
    let first = outcome.findings.first().map(ToString::to_string).or(outcome.broken).unwrap_or_default();
    Ok(Some(first.lines().next().unwrap_or_default().to_owned()))
}
