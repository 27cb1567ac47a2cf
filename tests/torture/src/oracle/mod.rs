//! The oracle: everything that is wrong with a history. Pure, and itself tested by damage (`tests.rs`).

mod database;
mod screens;
mod sends;
mod stores;
mod streams;
#[cfg(test)]
pub mod tests;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::history::History;

/// What kind of wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// A message is not there, or never arrives.
    Lost,
    /// A message is there twice, or was shown twice.
    Repeated,
    /// Messages are in another order, or were shown so.
    Reordered,
    /// A store differs from the database.
    Store,
    /// A number on a screen is wrong.
    Badge,
    /// Somebody holds what they may not see.
    Leak,
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub wrong: Wrong,
    /// What exactly.
    pub what: String,
    /// It has happened, and time mends nothing.
    pub lasting: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.wrong, self.what)
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, wrong: Wrong, what: impl Into<String>) {
        self.0.push(Finding { wrong, what: what.into(), lasting: false });
    }

    /// What has happened, and cannot be mended.
    fn check_for_good(&mut self, holds: bool, wrong: Wrong, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Finding { wrong, what: what(), lasting: true });
        }
    }

    fn check(&mut self, holds: bool, wrong: Wrong, what: impl FnOnce() -> String) {
        if !holds {
            self.add(wrong, what());
        }
    }
}

/// Everything that is wrong.
pub fn judge(history: &History) -> Vec<Finding> {
    let mut found = Findings::default();
    database::check(history, &mut found);
    sends::check(history, &mut found);
    stores::check(history, &mut found);
    screens::check(history, &mut found);
    streams::check(history, &mut found);
    // What will not be mended is told before what may be on its way.
    found.0.sort_by_key(|finding| !finding.lasting);
    found.0
}

/// How many of each kind.
pub fn counts(findings: &[Finding]) -> BTreeMap<Wrong, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.wrong).or_default() += 1;
    }
    counts
}
