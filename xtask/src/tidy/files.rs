//! Rules about files as such: how long, how named, and free of traces of the machine they were written on.

use super::Violation;
use super::source::{Source, has_end};

/// Longest file, in lines: beyond it a reader does not see it as one thing.
const LINES: usize = 600;

/// Longest file of tests, in lines: they are read one at a time.
const TEST_LINES: usize = 1000;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] = ["util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "stuff"];

pub(super) fn lengths(sources: &[Source]) -> Vec<Violation> {
    let counted = sources.iter().filter(|source| ["rs", "proto", "sql"].iter().any(|end| has_end(&source.path, end)));
    let mut found = Vec::new();
    for source in counted {
        let limit = if source.is_test() { TEST_LINES } else { LINES };
        let lines = source.text.lines().count();
        if lines > limit {
            found.push(Violation {
                path: source.path.clone(),
                line: 0,
                what: format!("{lines} lines, and {limit} are the limit: split it by what its parts are about"),
            });
        }
    }
    found
}

pub(super) fn names(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        for part in source.path.split('/') {
            let name = part.split('.').next().unwrap_or_default();
            if EMPTY_NAMES.contains(&name) {
                let what = format!("\"{name}\" does not say what is inside: name the noun");
                found.push(Violation { path: source.path.clone(), line: 0, what });
            }
        }
    }
    found
}

/// Paths of one machine and hosts of package registries work for nobody else. `root` is this checkout.
pub(super) fn traces(sources: &[Source], root: &str) -> Vec<Violation> {
    // Put together here, so that this file passes its own rule.
    let mut traces: Vec<String> =
        ["/ro ot/", "/Us ers/", "index.cra tes.io", "static.cra tes.io", "registry.np mjs.org", "repo1.ma ven.org"]
            .iter()
            .map(|trace| trace.replace(' ', ""))
            .collect();
    // A checkout in `/` or `/src` would be found everywhere.
    if root.len() > 6 {
        traces.push(root.to_owned());
    }
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path != "Cargo.lock") {
        for (number, line) in source.text.lines().enumerate() {
            for trace in traces.iter().filter(|trace| line.contains(*trace)) {
                let what = format!("{trace} means nothing on another machine");
                found.push(Violation { path: source.path.clone(), line: number + 1, what });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_found() {
        let long = "\n".repeat(LINES + 1);
        let sources = [
            Source::new("server/src/a.rs", &long),
            Source::new("server/src/b.rs", &long[1..]),
            Source::new("tests/tests/a.rs", &long),
            Source::new("README.md", &long),
        ];
        assert_eq!(lengths(&sources).len(), 1);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        let sources = ["a/utils/b.rs", "a/helpers.rs", "a/manager.proto", "a/commonwealth.rs"];
        assert_eq!(names(&sources.map(|path| Source::new(path, ""))).len(), 3);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let text = format!("fine\nsee {}x\nand /srv/elsewhere/proto\n", ["/ro", "ot/"].concat());
        let found = traces(&[Source::new("docs/a.md", &text)], "/srv/elsewhere");
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [2, 3]);
    }
}
