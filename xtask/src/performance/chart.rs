//! A graph of a group of figures: bars of each value, its ceilings and peers, as SVG. Text stays text, and the colours
//! follow the reader's scheme. What stands beside a value without a ratio to it may be of another unit: no bar.

use std::fmt::Write as _;

use super::figure::{Figure, VALUE, grouped};

/// Start of the names of the files.
const PREFIX: &str = "performance-";

/// Width of the picture, and of the space between words and bars, in pixels.
const WIDTH: f64 = 760.0;
const GAP: f64 = 10.0;

/// Space for the numbers, which stand in a column on the right: behind the bars they would meet the marks of goals.
const NUMBER: f64 = 96.0;

/// Height of the lines.
const BAR: f64 = 20.0;
const HEADING: f64 = 26.0;
const MARGIN: f64 = 12.0;

/// Width of a letter of the words beside the bars, a little more than it is.
const LETTER: f64 = 7.6;

const STYLE: &str = "\
text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #57606a }
.figure { font-weight: 600; fill: #1f2328 }
.number { font-variant-numeric: tabular-nums }
.value { fill: #2f6db5 }
.beside { fill: #b6bfc9 }
.goal { stroke: #b4540a; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #9aa4af }
  .figure { fill: #e6edf3 }
  .value { fill: #5b9ee6 }
  .beside { fill: #4d5763 }
  .goal { stroke: #e0a458 }
}
";

/// Name of the file of a group.
pub(super) fn file_name(group: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    format!("{PREFIX}{}.svg", group.chars().map(letter).collect::<String>())
}

/// Whether a file of this name is a graph of a group.
pub(super) fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.strip_suffix(".svg").is_some())
}

/// Draws the figures of a group. Bars of one unit are on one scale.
pub(super) fn draw(group: &str, figures: &[&Figure]) -> String {
    let names = figures.iter().flat_map(|figure| others(figure)).map(|(name, _)| name.chars().count());
    let words = LETTER * real(names.max().unwrap_or_default().max("Madang".len())).min(40.0);
    let mut canvas = Canvas { body: String::new(), y: MARGIN, left: MARGIN + words + GAP };
    for figure in figures {
        canvas.figure(figure, scale(figures, &figure.unit));
    }
    if figures.iter().any(|figure| marks(figure).next().is_some()) {
        canvas.legend();
    }
    let (height, label) = (canvas.y + MARGIN, escaped(group));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{label}: values beside their ceilings and peers\">\n\
         <style>\n{STYLE}</style>\n{}</svg>\n",
        canvas.body
    )
}

/// The greatest of all that is drawn in a unit.
fn scale(figures: &[&Figure], unit: &str) -> f64 {
    let same = figures.iter().filter(|figure| figure.unit == unit);
    let values =
        same.flat_map(|figure| others(figure).map(|(_, value)| value).chain([figure.value]).chain(marks(figure)));
    values.fold(0.0, f64::max)
}

/// Ceilings and peers, which are what a figure has a ratio to.
fn others(figure: &Figure) -> impl Iterator<Item = (&str, f64)> {
    let others = figure.ceilings.iter().filter(|(name, _)| figure.ratios.contains_key(*name));
    others.map(|(name, value)| (name.as_str(), *value))
}

/// Values at which the goals of a figure are reached.
fn marks(figure: &Figure) -> impl Iterator<Item = f64> {
    figure.goals.iter().filter_map(|(name, goal)| {
        if name == VALUE {
            return Some(*goal);
        }
        // Of a ratio that falls as the value grows (a time against a ceiling), the mark lies at the other side.
        let (ceiling, ratio) = (figure.ceilings.get(name)?, figure.ratios.get(name)?);
        let grows = (figure.value / ceiling - ratio).abs() <= (ceiling / figure.value - ratio).abs();
        Some(if grows { ceiling * goal } else { ceiling / goal })
    })
}

/// A picture that grows downwards.
struct Canvas {
    body: String,
    y: f64,
    /// Where bars begin.
    left: f64,
}

impl Canvas {
    fn figure(&mut self, figure: &Figure, scale: f64) {
        let (name, unit) = (escaped(&figure.bench), escaped(&figure.unit));
        self.y += HEADING;
        _ = writeln!(self.body, "<text x=\"{MARGIN}\" y=\"{}\" class=\"figure\">{name}</text>", self.y - 8.0);
        let right = WIDTH - MARGIN;
        _ = writeln!(self.body, "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{unit}</text>", self.y - 8.0);
        let top = self.y;
        self.bar("Madang", figure.value, "value", scale);
        for mark in marks(figure) {
            let x = self.left + self.length(mark, scale);
            let (from, to) = (top - 1.0, top + BAR - 3.0);
            _ = writeln!(self.body, "<line x1=\"{x:.1}\" y1=\"{from}\" x2=\"{x:.1}\" y2=\"{to}\" class=\"goal\"/>");
        }
        for (name, value) in others(figure) {
            self.bar(name, value, "beside", scale);
        }
    }

    fn bar(&mut self, name: &str, value: f64, class: &str, scale: f64) {
        // What is too short to be seen is seen as something.
        let length = self.length(value, scale).max(1.0);
        let (words, text, right) = (self.left - GAP, self.y + 12.0, WIDTH - MARGIN);
        let (name, number) = (escaped(name), grouped(value));
        _ = writeln!(self.body, "<text x=\"{words:.1}\" y=\"{text}\" text-anchor=\"end\">{name}</text>");
        _ = writeln!(
            self.body,
            "<rect x=\"{:.1}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\" class=\"{class}\"/>",
            self.left,
            self.y,
            BAR - 4.0
        );
        _ = writeln!(
            self.body,
            "<text x=\"{right}\" y=\"{text}\" text-anchor=\"end\" class=\"number\">{number}</text>"
        );
        self.y += BAR;
    }

    fn length(&self, value: f64, scale: f64) -> f64 {
        if scale > 0.0 { (WIDTH - NUMBER - self.left) * (value / scale).max(0.0) } else { 0.0 }
    }

    fn legend(&mut self) {
        self.y += HEADING;
        let (x, from, to) = (MARGIN + 4.0, self.y - 18.0, self.y - 6.0);
        _ = writeln!(self.body, "<line x1=\"{x}\" y1=\"{from}\" x2=\"{x}\" y2=\"{to}\" class=\"goal\"/>");
        _ = writeln!(self.body, "<text x=\"{}\" y=\"{}\">goal</text>", MARGIN + GAP, self.y - 8.0);
    }
}

/// A count as a number to calculate with.
fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(text: &str) -> Figure {
        serde_json::from_str(text).expect("a figure")
    }

    /// Widths of the bars of a class.
    fn widths(svg: &str, class: &str) -> Vec<f64> {
        let bars = svg.lines().filter(|line| line.contains(&format!("class=\"{class}\"/>")));
        let width = |line: &str| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok();
        bars.filter_map(width).collect()
    }

    #[test]
    fn bars_of_one_unit_are_on_one_scale() {
        let one = figure(r#"{"bench":"a","value":50,"unit":"s","ceilings":{"x":200.0,"y":9e9},"ratios":{"x":0.25}}"#);
        let two = figure(r#"{"bench":"a b","value":100,"unit":"s"}"#);
        let other = figure(r#"{"bench":"a c","value":7,"unit":"MB"}"#);
        let svg = draw("a", &[&one, &two, &other]);
        let (ours, theirs) = (widths(&svg, "value"), widths(&svg, "beside"));
        assert!(
            (theirs[0] - 4.0 * ours[0]).abs() < 1.0 && (theirs[0] - 2.0 * ours[1]).abs() < 1.0,
            "{ours:?} {theirs:?}"
        );
        assert!((theirs[0] - ours[2]).abs() < 0.1, "another unit has a scale of its own");
        assert!(!svg.contains("goal</text>") && !svg.contains(">y<"));
    }

    #[test]
    fn a_goal_is_marked_where_it_is_reached() {
        let send = figure(
            r#"{"bench":"a","value":50,"ceilings":{"x":100.0},"ratios":{"x":0.5},"goals":{"x":0.75,"value":80.0}}"#,
        );
        assert_eq!(marks(&send).collect::<Vec<_>>(), [80.0, 75.0]);
        let time = figure(r#"{"bench":"a","value":50,"ceilings":{"x":20.0},"ratios":{"x":0.4},"goals":{"x":0.5}}"#);
        assert_eq!(marks(&time).collect::<Vec<_>>(), [40.0]);
        assert!(draw("a", &[&send]).contains("goal</text>"));
    }

    #[test]
    fn nothing_leaves_the_picture_and_nothing_breaks_it() {
        let odd = figure(
            r#"{"bench":"a <b> & \"c\"","value":0,"ceilings":{"x":0.0,"y":1e9},
            "ratios":{"x":0,"y":0},"goals":{"value":2e9}}"#,
        );
        let svg = draw("a", &[&odd]);
        assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;") && !svg.contains("NaN"));
        assert!(widths(&svg, "beside").iter().all(|width| *width < WIDTH));
        assert!(!draw("a", &[&figure(r#"{"bench":"a","value":0}"#)]).contains("NaN"));
    }

    #[test]
    fn a_file_is_named_by_its_group() {
        assert_eq!(file_name("Send/2"), "performance-send-2.svg");
        assert!(is_ours("performance-send.svg") && !is_ours("web-chat.png") && !is_ours("performance-send.png"));
    }
}
