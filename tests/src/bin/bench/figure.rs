//! A figure: what was measured, what was measured beside it, and what it is to reach.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

/// What a ratio, or the value itself, is to reach.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// The ratio to the ceiling or peer of this name.
    Ratio(&'static str, f64),
    /// The value is at most this.
    AtMost(f64),
}

/// One line of the result.
#[derive(Debug, Serialize)]
pub struct Figure {
    bench: String,
    value: f64,
    unit: &'static str,
    ceilings: BTreeMap<&'static str, f64>,
    ratios: BTreeMap<&'static str, f64>,
    goals: BTreeMap<&'static str, f64>,
    met: bool,
    /// For people.
    notes: Vec<String>,
}

impl Figure {
    /// A value without anything beside it.
    pub fn new(bench: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            bench: bench.into(),
            value: rounded(value),
            unit,
            ceilings: BTreeMap::new(),
            ratios: BTreeMap::new(),
            goals: BTreeMap::new(),
            met: true,
            notes: Vec::new(),
        }
    }

    /// Something else of the same rounds, without a ratio.
    #[must_use]
    pub fn beside(mut self, name: &'static str, value: f64) -> Self {
        self.ceilings.insert(name, rounded(value));
        self
    }

    /// A ceiling or peer of the same rounds, and the value's ratio to it.
    #[must_use]
    pub fn against(mut self, name: &'static str, ceiling: f64, ratio: f64) -> Self {
        self.ceilings.insert(name, rounded(ceiling));
        self.ratios.insert(name, rounded(ratio));
        self
    }

    /// What it is to reach.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        let (name, wanted, reached) = match goal {
            Goal::Ratio(name, least) => (name, least, self.ratios.get(name).is_some_and(|ratio| *ratio >= least)),
            Goal::AtMost(most) => ("value", most, self.value <= most),
        };
        self.goals.insert(name, wanted);
        self.met &= reached;
        self
    }

    /// A line for people.
    #[must_use]
    pub fn note(mut self, line: impl Into<String>) -> Self {
        self.notes.push(line.into());
        self
    }

    /// Whether every goal was reached.
    pub fn met(&self) -> bool {
        self.met
    }

    /// One line for programs.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// Lines for people.
    pub fn table(&self) -> String {
        let mut text = format!("\n{:<34}{:>14} {}", self.bench, grouped(self.value), self.unit);
        for (name, value) in &self.ceilings {
            _ = write!(text, "\n  {name:<32}{:>14}", grouped(*value));
            if let Some(ratio) = self.ratios.get(name) {
                _ = write!(text, "   ratio {ratio}");
            }
            if let Some(goal) = self.goals.get(name) {
                let word = if self.ratios.get(name).is_some_and(|ratio| ratio >= goal) { "met" } else { "MISSED" };
                _ = write!(text, ", goal {goal}: {word}");
            }
        }
        if let Some(most) = self.goals.get("value") {
            let word = if self.value <= *most { "met" } else { "MISSED" };
            _ = write!(text, "\n  at most {}: {word}", grouped(*most));
        }
        for note in &self.notes {
            _ = write!(text, "\n  {note}");
        }
        text
    }
}

/// The middle one; of an even number the lower middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// The time below which so many of a hundred are.
pub fn percentile(mut times: Vec<f64>, of_hundred: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = (times.len() * of_hundred).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// Four digits: nothing here is known better than that.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 3.0 - value.abs().log10().floor();
    let scale = 10_f64.powf(digits.clamp(-12.0, 12.0));
    (value * scale).round() / scale
}

/// With a comma between thousands.
pub fn grouped(value: f64) -> String {
    if value < 1_000.0 {
        return format!("{value}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_by_the_ratio_of_its_name_or_by_the_value() {
        let figure = |ratio| Figure::new("send", 10.0, "messages/s").against("copy", 100.0, ratio);
        assert!(figure(0.15).goal(Goal::Ratio("copy", 0.15)).met());
        assert!(!figure(0.149).goal(Goal::Ratio("copy", 0.15)).met());
        assert!(!figure(9.0).goal(Goal::Ratio("nothing", 0.15)).met());
        assert!(Figure::new("idle", 30.0, "KB").goal(Goal::AtMost(30.0)).met());
        assert!(!figure(0.1).goal(Goal::Ratio("copy", 0.15)).goal(Goal::AtMost(30.0)).met());
    }

    #[test]
    fn one_json_object_has_every_field() {
        let figure = Figure::new("send", 12_345.6, "messages/s").against("copy", 100_000.0, 0.12346);
        let text = figure.goal(Goal::Ratio("copy", 0.15)).note("for people").json().expect("plain values");
        let wanted = r#"{"bench":"send","value":12350.0,"unit":"messages/s","ceilings":{"copy":100000.0},"ratios":{"copy":0.1235},"goals":{"copy":0.15},"met":false,"notes":["for people"]}"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn the_middle_counts() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0]) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn of_a_hundred_the_last_but_one() {
        let times: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!((percentile(times, 99) - 99.0).abs() < f64::EPSILON);
        assert!((percentile(vec![3.0], 99) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!([7.0, 0.153, 999.0, 1_000.0, 1_234_567.0].map(grouped).join(" "), "7 0.153 999 1,000 1,234,567");
    }
}
