//! What is kept of the benches: the newest figure of each name, and the machine.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::figure::Figure;

/// Name of the line that tells versions and settings instead of a figure.
const MACHINE: &str = "machine";

/// What a bench says when it fails.
const FAILURE: &str = "bench: ";

/// Lines of other kinds that are kept of a run: enough for a remark on each bench.
const MOST_LINES: usize = 50;

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Hardware, versions, settings.
    #[serde(default)]
    pub(super) machine: BTreeMap<String, String>,
    /// In the order in which they were first measured.
    #[serde(default)]
    pub(super) figures: Vec<Figure>,
    /// What the last run said beside figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<String>,
}

/// What a line of a bench is.
enum Line {
    Machine(BTreeMap<String, String>),
    Figure(Box<Figure>),
    Other(String),
}

impl Record {
    /// Reads what was kept.
    pub(super) fn of(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }

    /// What is to be kept, one name a line, so that a changed figure is a changed line.
    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Takes in what a run printed; gives the number of its figures. A figure takes the place of the one of its name. Those
    /// that were measured on other processors go: one page tells of one machine.
    pub(super) fn merge(&mut self, lines: &[String], date: &str, hardware: BTreeMap<String, String>) -> usize {
        if ["cpu", "cores"].iter().any(|part| self.machine.get(*part) != hardware.get(*part)) {
            *self = Self::default();
        }
        self.machine.extend(hardware);
        self.lines.clear();
        let mut count = 0;
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            match read(line) {
                Line::Machine(told) => self.machine.extend(told),
                Line::Figure(figure) => {
                    self.put(Figure { date: date.to_owned(), ..*figure });
                    count += 1;
                }
                Line::Other(text) if self.lines.len() < MOST_LINES && is_anybodys(&text) => self.lines.push(text),
                Line::Other(_) => {}
            }
        }
        count
    }

    fn put(&mut self, figure: Figure) {
        match self.figures.iter_mut().find(|known| known.bench == figure.bench) {
            Some(known) => *known = figure,
            None => self.figures.push(figure),
        }
    }

    /// Figures by group, both in the order in which they were first measured.
    pub(super) fn groups(&self) -> Vec<(&str, Vec<&Figure>)> {
        let mut groups: Vec<(&str, Vec<&Figure>)> = Vec::new();
        for figure in &self.figures {
            match groups.iter_mut().find(|(name, _)| *name == figure.group()) {
                Some((_, figures)) => figures.push(figure),
                None => groups.push((figure.group(), vec![figure])),
            }
        }
        groups
    }
}

fn read(line: &str) -> Line {
    let other = || Line::Other(line.trim().to_owned());
    let Ok(value) = serde_json::from_str::<Value>(line) else { return other() };
    if value["bench"] == MACHINE {
        return Line::Machine(told(&value));
    }
    serde_json::from_value(value).map_or_else(|_| other(), |figure| Line::Figure(Box::new(figure)))
}

/// Single values of a line about the machine.
fn told(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten().filter(|(name, _)| *name != "bench");
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    };
    let told = pairs.filter_map(|(name, value)| Some((name.clone(), text(value)?)));
    told.filter(|(name, value)| !name.contains("host") && is_anybodys(value)).collect()
}

/// Whether a text names no place of one machine, and is no failure's.
fn is_anybodys(text: &str) -> bool {
    let is_path = |word: &str| word.trim_start_matches(['"', '\'', '(', '=']).starts_with('/');
    !text.starts_with(FAILURE) && !text.split(' ').any(is_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    fn hardware(cpu: &str) -> BTreeMap<String, String> {
        [("cpu".to_owned(), cpu.to_owned())].into()
    }

    #[test]
    fn a_figure_takes_the_place_of_the_one_of_its_name() {
        let mut record = Record::default();
        let first = lines(&[r#"{"bench":"send","value":1}"#, r#"{"bench":"idle","value":2}"#]);
        assert_eq!(record.merge(&first, "2026-11-01", hardware("a")), 2);
        let second = lines(&[r#"{"bench":"reads","value":4}"#, r#"{"bench":"send","value":3}"#]);
        assert_eq!(record.merge(&second, "2026-11-02", hardware("a")), 2);
        let kept: Vec<_> = record.figures.iter().map(|f| (&*f.bench, f.value, &*f.date)).collect();
        assert_eq!(kept, [("send", 3.0, "2026-11-02"), ("idle", 2.0, "2026-11-01"), ("reads", 4.0, "2026-11-02")]);
    }

    #[test]
    fn figures_of_another_machine_go() {
        let mut record = Record::default();
        record.merge(&lines(&[r#"{"bench":"send","value":1}"#]), "2026-11-01", hardware("a"));
        record.merge(&lines(&[r#"{"bench":"idle","value":2}"#]), "2026-11-02", hardware("b"));
        assert_eq!(record.groups().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["idle"]);
        assert_eq!(record.machine["cpu"], "b");
    }

    #[test]
    fn versions_come_from_the_line_of_the_machine_and_no_names_of_places() {
        let mut record = Record::default();
        let line =
            r#"{"bench":"machine","postgresql":"17.5","rounds":3,"hostname":"ann","data":"/srv/x","of":{"a":1}}"#;
        assert_eq!(record.merge(&lines(&[line]), "2026-11-01", hardware("a")), 0);
        let kept: Vec<_> = record.machine.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(kept, ["cpu a", "postgresql 17.5", "rounds 3"]);
    }

    #[test]
    fn other_lines_are_kept_as_text_but_for_failures_and_places() {
        let mut record = Record::default();
        let said = ["redis is not there", "", r#"{"bench":"odd"}"#, "bench: it broke", "see /srv/x", "[1]"];
        record.merge(&lines(&said), "2026-11-01", hardware("a"));
        assert_eq!(record.lines, ["redis is not there", r#"{"bench":"odd"}"#, "[1]"]);
        record.merge(&vec!["much".to_owned(); MOST_LINES + 1], "2026-11-01", hardware("a"));
        assert_eq!(record.lines.len(), MOST_LINES);
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let mut record = Record::default();
        let line = r#"{"bench":"send","value":12.5,"unit":"messages/s","ceilings":{"copy":100.0},"ratios":{"copy":0.125},"goals":{"copy":0.1},"met":true,"notes":["well"]}"#;
        record.merge(&lines(&[line]), "2026-11-01", hardware("a"));
        assert_eq!(Record::of(&record.json().expect("plain values")).expect("the same"), record);
    }
}
