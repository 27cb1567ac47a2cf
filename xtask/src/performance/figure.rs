//! A figure as the benches print it (`tests/src/bin/bench/figure.rs`), and what it says of its goals.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The goal that is about the value itself and not about a ratio.
pub(super) const VALUE: &str = "value";

/// One measured value, with what was measured beside it in the same rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) bench: String,
    pub(super) value: f64,
    #[serde(default)]
    pub(super) unit: String,
    /// Ceilings and peers by name, in the unit of the value.
    #[serde(default)]
    pub(super) ceilings: BTreeMap<String, f64>,
    /// The value's ratio to those of the same names.
    #[serde(default)]
    pub(super) ratios: BTreeMap<String, f64>,
    /// Least ratios by name; under [`VALUE`] the greatest value.
    #[serde(default)]
    pub(super) goals: BTreeMap<String, f64>,
    /// Whether all goals were reached.
    #[serde(default)]
    pub(super) met: bool,
    /// Lines for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
    /// Day of the measurement; the benches do not say it.
    #[serde(default)]
    pub(super) date: String,
}

impl Figure {
    /// The bench that it belongs to: the first word of its name.
    pub(super) fn group(&self) -> &str {
        self.bench.split([',', ' ']).next().unwrap_or_default()
    }

    /// Names of what stands beside it, and of goals about nothing that does.
    pub(super) fn beside(&self) -> BTreeSet<&str> {
        let goals = self.goals.keys().filter(|name| *name != VALUE);
        self.ceilings.keys().chain(goals).map(String::as_str).collect()
    }

    /// Whether a goal was reached; `None` where there is none of this name.
    pub(super) fn is_met(&self, goal: &str) -> Option<bool> {
        let wanted = self.goals.get(goal)?;
        Some(match self.ratios.get(goal) {
            Some(ratio) => ratio >= wanted,
            None if goal == VALUE => self.value <= *wanted,
            // Of another kind than is known here: the bench has looked at all of them.
            None => self.met,
        })
    }

    /// Goals that were not reached, as the words name them: `send / copy`.
    pub(super) fn missed(&self) -> Vec<String> {
        let missed = self.goals.keys().filter(|goal| self.is_met(goal) == Some(false));
        missed.map(|goal| format!("{} / {goal}", self.bench)).collect()
    }
}

/// With a comma between thousands.
pub(super) fn grouped(value: f64) -> String {
    if value.abs() < 1_000.0 {
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

    fn figure(text: &str) -> Figure {
        serde_json::from_str(text).expect("a figure")
    }

    #[test]
    fn a_goal_is_met_by_the_ratio_of_its_name_or_by_the_value() {
        let send = figure(
            r#"{"bench":"send","value":10.0,"ceilings":{"copy":100.0},"ratios":{"copy":0.1},"goals":{"copy":0.2,"value":9.0}}"#,
        );
        assert_eq!((send.is_met("copy"), send.is_met(VALUE), send.is_met("other")), (Some(false), Some(false), None));
        assert_eq!(send.missed(), ["send / copy", "send / value"]);
        let idle = figure(r#"{"bench":"idle","value":9.0,"goals":{"value":9.0,"of its own":3.0},"met":true}"#);
        assert_eq!((idle.is_met(VALUE), idle.is_met("of its own")), (Some(true), Some(true)));
        assert!(idle.missed().is_empty());
    }

    #[test]
    fn a_figure_belongs_to_the_first_word_of_its_name() {
        let group = |name: &str| figure(&format!(r#"{{"bench":"{name}","value":1}}"#)).group().to_owned();
        assert_eq!([group("send"), group("send over gRPC"), group("fanout, 1 in flight")], ["send", "send", "fanout"]);
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!([0.153, 999.0, 1_000.0, 1_234_567.0].map(grouped).join(" "), "0.153 999 1,000 1,234,567");
    }
}
