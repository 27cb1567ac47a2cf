//! `docs/performance.md`: the words of `docs/performance.in.md`, with figures where these ask for them.
//!
//! The words ask by lines of their own: `<!-- machine -->`, `<!-- goals -->`, `<!-- figures: GROUP -->`, `<!-- other figures -->`
//! for groups that are asked for nowhere, and `<!-- missed: FIGURE / GOAL -->` to `<!-- end -->` around what is true only as long
//! as that goal is missed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, bail, ensure};

use super::chart;
use super::figure::{Figure, VALUE, grouped};
use super::record::Record;

/// First line of the page, in place of the first line of the words.
const HEADER: &str = "<!-- Made by `cargo xtask docs` of performance.in.md and performance.json; do not edit. -->";

/// A line of the words.
enum Part<'w> {
    Text(&'w str),
    Machine,
    Goals,
    Figures(&'w str),
    OtherFigures,
    Missed(&'w str),
    End,
}

/// Puts the figures into the words.
pub(super) fn render(words: &str, record: &Record) -> Result<String> {
    let parts = words.lines().skip(1).map(read).collect::<Result<Vec<_>>>()?;
    let missed: Vec<String> = record.figures.iter().flat_map(Figure::missed).collect();
    let (mut placed, mut explained) = (BTreeSet::new(), BTreeSet::new());
    for part in &parts {
        match part {
            Part::Figures(group) => _ = placed.insert(*group),
            Part::Missed(goal) => _ = explained.insert(*goal),
            _ => {}
        }
    }
    let groups = record.groups();
    let (mut page, mut inside) = (format!("{HEADER}\n"), None);
    for part in &parts {
        match part {
            Part::Missed(goal) => {
                ensure!(inside.is_none(), "`missed: {goal}` begins before another has ended");
                inside = Some(missed.iter().any(|one| one == goal));
            }
            Part::End => ensure!(inside.take().is_some(), "an `end` of nothing"),
            _ if inside == Some(false) => {}
            Part::Text(line) => _ = writeln!(page, "{line}"),
            Part::Machine => page += &machine(record),
            Part::Goals => page += &goals(record, &missed),
            Part::Figures(name) => match groups.iter().find(|(known, _)| known == name) {
                Some((_, figures)) => page += &figures_of(name, figures, &explained),
                None => page += "Not recorded yet: `cargo xtask bench --record`.\n",
            },
            Part::OtherFigures => {
                for (name, figures) in groups.iter().filter(|(name, _)| !placed.contains(name)) {
                    _ = write!(page, "## {name}\n\n{}\n", figures_of(name, figures, &explained));
                }
            }
        }
    }
    ensure!(inside.is_none(), "a `missed` without its `end`");
    Ok(tidied(&page))
}

fn read(line: &str) -> Result<Part<'_>> {
    let Some(mark) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) else {
        return Ok(Part::Text(line));
    };
    Ok(match mark.split_once(": ").unwrap_or((mark, "")) {
        ("machine", "") => Part::Machine,
        ("goals", "") => Part::Goals,
        ("other figures", "") => Part::OtherFigures,
        ("end", "") => Part::End,
        ("figures", group) => Part::Figures(group),
        ("missed", goal) => Part::Missed(goal),
        _ => bail!("no such mark: {line}"),
    })
}

fn machine(record: &Record) -> String {
    let mut text: String = record.machine.iter().fold(String::new(), |mut text, (name, value)| {
        _ = writeln!(text, "- {name}: {value}");
        text
    });
    if !record.lines.is_empty() {
        _ = write!(text, "\nThe last run also said:\n\n```\n{}\n```\n", record.lines.join("\n"));
    }
    text
}

fn goals(record: &Record, missed: &[String]) -> String {
    let all: usize = record.figures.iter().map(|figure| figure.goals.len()).sum();
    if missed.is_empty() {
        return format!("All {all} goals are met.\n");
    }
    let mut text = format!("{} of {all} goals are met. Not met:\n\n", all - missed.len());
    for goal in missed {
        _ = writeln!(text, "- {goal}");
    }
    text
}

fn figures_of(group: &str, figures: &[&Figure], explained: &BTreeSet<&str>) -> String {
    let mut text = format!("![{group}: bars of the values below](images/{})\n\n", chart::file_name(group));
    text += "| figure | value | beside it | ratio | goal | |\n|---|---:|---:|---:|---:|---|\n";
    for figure in figures {
        rows(&mut text, figure);
    }
    text.push('\n');
    for figure in figures {
        for note in &figure.notes {
            _ = writeln!(text, "- {}: {}", figure.bench, note.trim());
        }
    }
    _ = writeln!(text, "\nMeasured {}.", days(figures));
    for goal in figures.iter().flat_map(|figure| figure.missed()).filter(|goal| !explained.contains(&**goal)) {
        _ = writeln!(text, "\nWhy {goal} is missed is not written down yet.");
    }
    text
}

/// A row for the value, and one for each thing beside it; the first of these shares the row of a value that has no goal.
fn rows(text: &mut String, figure: &Figure) {
    let mut own = [figure.bench.clone(), format!("{} {}", grouped(figure.value), figure.unit)];
    let mut row = |beside: String, ratio: String, goal: String, met: &str| {
        let cells = std::mem::take(&mut own).into_iter().chain([beside, ratio, goal, met.to_owned()]);
        let cells = cells.map(|cell| if cell.is_empty() { " |".to_owned() } else { format!(" {} |", escaped(&cell)) });
        _ = writeln!(text, "|{}", cells.collect::<String>());
    };
    let number = |of: Option<&f64>| of.map(|value| grouped(*value)).unwrap_or_default();
    let most = figure.goals.get(VALUE);
    if most.is_some() || figure.beside().is_empty() {
        let goal = most.map(|most| format!("at most {}", grouped(*most))).unwrap_or_default();
        row(String::new(), String::new(), goal, word(figure.is_met(VALUE)));
    }
    for name in figure.beside() {
        let beside = format!("{name} {}", number(figure.ceilings.get(name)));
        let goal = figure.goals.get(name).map(|least| format!("at least {}", grouped(*least))).unwrap_or_default();
        let ratio = number(figure.ratios.get(name));
        row(beside, ratio, goal, word(figure.is_met(name)));
    }
}

fn word(met: Option<bool>) -> &'static str {
    match met {
        None => "",
        Some(true) => "met",
        Some(false) => "**not met**",
    }
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|")
}

fn days(figures: &[&Figure]) -> String {
    let days: BTreeSet<&str> = figures.iter().map(|figure| &*figure.date).collect();
    match (days.first(), days.last()) {
        (Some(first), Some(last)) if first != last => format!("from {first} to {last}"),
        (Some(day), _) => format!("on {day}"),
        (None, _) => "never".to_owned(),
    }
}

/// Without the empty lines that were around what is left out, and one end.
fn tidied(page: &str) -> String {
    let mut text = String::new();
    let mut lines = page.trim_end().lines().peekable();
    while let Some(line) = lines.next() {
        let doubled = line.trim().is_empty() && lines.peek().is_some_and(|next| next.trim().is_empty());
        if !doubled {
            _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: &str = r#"{"bench":"send","value":38250,"unit":"messages/s","ceilings":{"copy":127200.0,"fdatasync":13210.0},
        "ratios":{"copy":0.3007},"goals":{"copy":0.35},"date":"2026-11-02"}"#;
    const IDLE: &str = r#"{"bench":"idle","value":22,"unit":"KB","ceilings":{"bare":18.0},"goals":{"value":23.0},
        "date":"2026-11-03"}"#;

    fn record(figures: &[&str]) -> Record {
        Record::of(&format!(r#"{{"machine":{{"cpu":"A Chip"}},"figures":[{}]}}"#, figures.join(","))).expect("a record")
    }

    fn page(words: &str, figures: &[&str]) -> String {
        render(&format!("<!-- for editors -->\n{words}\n"), &record(figures)).expect("a page")
    }

    #[test]
    fn a_row_has_value_ceiling_ratio_goal_and_verdict() {
        let page = page("<!-- figures: send -->\n<!-- figures: idle -->", &[SEND, IDLE]);
        for wanted in [
            "| send | 38,250 messages/s | copy 127,200 | 0.3007 | at least 0.35 | **not met** |\n| | | fdatasync 13,210 | | | |\n",
            "| idle | 22 KB | | | at most 23 | met |\n| | | bare 18 | | | |\n",
            "](images/performance-send.svg)",
            "Measured on 2026-11-02.",
        ] {
            assert!(page.contains(wanted), "{wanted}\n\n{page}");
        }
    }

    #[test]
    fn words_about_a_missed_goal_are_there_as_long_as_it_is_missed() {
        let words = "a\n\n<!-- missed: send / copy -->\nbecause\n<!-- end -->\n\nb\n<!-- figures: send -->";
        let missed = page(words, &[SEND]);
        assert!(missed.contains("because") && !missed.contains("not written down"));
        let met = SEND.replace("0.3007", "0.4");
        assert_eq!(page(words, &[&met]).lines().skip(1).take(3).collect::<Vec<_>>(), ["a", "", "b"]);
        let silent = page("<!-- figures: send -->", &[SEND]);
        assert!(silent.contains("Why send / copy is missed is not written down yet."));
    }

    #[test]
    fn what_no_words_ask_for_comes_where_the_others_go() {
        let page = page("<!-- machine -->\n<!-- goals -->\n<!-- figures: idle -->\n<!-- other figures -->", &[SEND]);
        let wanted = "- cpu: A Chip\n0 of 1 goals are met. Not met:\n\n- send / copy\nNot recorded yet: `cargo xtask bench --record`.\n## send\n\n![send:";
        assert!(page.contains(wanted), "{page}");
        assert!(page.starts_with(HEADER) && !page.contains("for editors"));
    }

    #[test]
    fn a_mark_that_is_none_is_refused() {
        let refused = |words: &str| render(&format!("first\n{words}\n"), &record(&[SEND])).is_err();
        assert!(
            refused("<!-- figure: send -->") && refused("<!-- end -->") && refused("<!-- missed: send / copy -->\na")
        );
        assert!(refused("<!-- missed: a / b -->\n<!-- missed: c / d -->\n<!-- end -->"));
        assert!(!refused("a <!-- note --> b"));
    }
}
