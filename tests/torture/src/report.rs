//! What a run says at its end: a line of JSON for programs, a few lines for people.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    oracle::{Wrong, counts},
    run::Outcome,
};

/// Findings that are told one by one; a failure of one kind makes many.
const TOLD: usize = 12;

/// The result of all seeds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    seeds: usize,
    acknowledged: usize,
    lost: usize,
    repeated: usize,
    reordered: usize,
    stores_different: usize,
    badges_wrong: usize,
    leaks: usize,
    faults: BTreeMap<String, usize>,
    kinds: BTreeMap<String, usize>,
    failed_seeds: Vec<u64>,
}

impl Report {
    /// Takes a seed in.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.acknowledged += outcome.acknowledged;
        for (wrong, count) in counts(&outcome.findings) {
            *match wrong {
                Wrong::Lost => &mut self.lost,
                Wrong::Repeated => &mut self.repeated,
                Wrong::Reordered => &mut self.reordered,
                Wrong::Store => &mut self.stores_different,
                Wrong::Badge => &mut self.badges_wrong,
                Wrong::Leak => &mut self.leaks,
            } += count;
        }
        for (fault, count) in &outcome.tally.faults {
            *self.faults.entry(fault.name()).or_default() += count;
        }
        for (kind, count) in &outcome.tally.kinds {
            *self.kinds.entry(kind.clone()).or_default() += count;
        }
        if outcome.failed() {
            self.failed_seeds.push(seed);
        }
    }

    /// Whether nothing was wrong.
    pub fn good(&self) -> bool {
        self.failed_seeds.is_empty()
    }

    /// The line for programs.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The line for people.
    pub fn text(&self) -> String {
        let list = |counts: &BTreeMap<String, usize>| {
            let all: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        format!(
            "{} seeds, {} acknowledged sends: {} lost, {} repeated, {} reordered, {} differences, {} badges wrong, {} leaks\n\
             faults: {}\nin these ways: {}\nfailed seeds: {:?}",
            self.seeds,
            self.acknowledged,
            self.lost,
            self.repeated,
            self.reordered,
            self.stores_different,
            self.badges_wrong,
            self.leaks,
            list(&self.faults),
            list(&self.kinds),
            self.failed_seeds
        )
    }
}

/// What one seed did, for people.
pub fn describe(seed: u64, outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let mut lines = vec![format!(
        "seed {seed}: {} in {:.1} s; {} acknowledged, {} steps done, {} skipped, {} given up, refused {:?}, faults {}",
        if outcome.failed() { "FAILED" } else { "good" },
        outcome.took.as_secs_f64(),
        outcome.acknowledged,
        tally.done,
        tally.skipped,
        tally.given_up,
        tally.refused,
        tally.faults.values().sum::<usize>(),
    )];
    lines.extend(tally.failed.iter().map(|(failure, count)| format!("{count} times a client failed: {failure}")));
    lines.extend(outcome.broken.clone());
    lines.extend(outcome.findings.iter().take(TOLD).map(ToString::to_string));
    if outcome.findings.len() > TOLD {
        lines.push(format!("and {} more", outcome.findings.len() - TOLD));
    }
    lines.join("\n  ")
}
