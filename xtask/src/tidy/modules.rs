//! The one-way order of the server's modules: a module uses only what stands to its left.

use std::collections::BTreeMap;

use super::Violation;
use super::source::Source;

/// The order, from what uses nothing to what uses everything. Modules of one row may use each other one way round.
const ORDER: [&[&str]; 13] = [
    &["ids", "clock", "page", "error", "config", "database", "telemetry", "sabotage", "limits", "together"],
    &["identity", "sessions", "access", "jobs"],
    &["realtime"],
    &["users", "directory", "friends"],
    &["timeline"],
    &["rooms"],
    &["files"],
    &["messages"],
    &[
        "reads",
        "schedules",
        "previews",
        "polls",
        "surveys",
        "guests",
        "bots",
        "search",
        "notifications",
        "push",
        "audit",
    ],
    &["sync", "admin"],
    &["rpc"],
    &["app"],
    &["main", "lib"],
];

/// Where the server's modules lie.
const FOLDER: &str = "server/src/";

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|row| row.contains(&module))
}

/// A use of one module by another.
struct Use {
    from: String,
    to: String,
    path: String,
    line: usize,
}

pub(super) fn order(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut same_row: BTreeMap<(String, String), Violation> = BTreeMap::new();
    let places = sources.iter().filter_map(|source| Some((source, source.path.strip_prefix(FOLDER)?)));
    for (source, inside) in places.filter(|(source, _)| source.is_rust()) {
        let from = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        if inside.starts_with("bin/") {
            continue; // programs stand right of everything
        }
        if rank(&from).is_none() {
            let what = format!("module {from} has no place in the order: give it one in xtask/src/tidy/modules.rs");
            found.push(Violation { path: source.path.clone(), line: 0, what });
            continue;
        }
        for one in uses(source, inside, &from) {
            // Items of the root itself are re-exports; they are no modules.
            let Some(to) = rank(&one.to) else { continue };
            let own = rank(&one.from).unwrap_or_default();
            let violation = |what| Violation { path: one.path.clone(), line: one.line, what };
            if to > own {
                found.push(violation(format!("{} uses {}, which stands to its right", one.from, one.to)));
            } else if to == own && one.from != one.to {
                let what = format!("{} and {} use each other", one.from, one.to);
                same_row.insert((one.from.clone(), one.to.clone()), violation(what));
            }
        }
    }
    let mutual =
        same_row.iter().filter(|((from, to), _)| from < to && same_row.contains_key(&(to.clone(), from.clone())));
    found.extend(mutual.map(|(_, violation)| violation.clone()));
    found
}

fn uses(source: &Source, inside: &str, from: &str) -> Vec<Use> {
    let code = source.code();
    // How many `super` lead to the root of the crate.
    let folders = inside.matches('/').count();
    let depth = if inside.ends_with("/mod.rs") { folders } else { folders + 1 };
    let to_root = "super::".repeat(depth);
    let mut found = Vec::new();
    for start in ["crate::", &to_root] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue; // `my_crate::`, or a longer chain of `super`
            }
            let after = &code[at + start.len()..];
            if start != "crate::" && after.starts_with("super::") {
                continue;
            }
            for (offset, to) in heads(after) {
                let line = code[..at + start.len() + offset].matches('\n').count() + 1;
                found.push(Use { from: from.to_owned(), to, path: source.path.clone(), line });
            }
        }
    }
    found
}

/// The first names after `crate::`: one, or those of the outer level of a list in braces; with where they stand.
fn heads(text: &str) -> Vec<(usize, String)> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if !text.starts_with('{') {
        return vec![(0, name(text))];
    }
    let mut found = Vec::new();
    let (mut depth, mut expected) = (0, true);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expected = true,
            letter if depth == 1 && expected && (letter.is_alphabetic() || letter == '_') => {
                found.push((at, name(&text[at..])));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<(usize, String)> {
        order(&[Source::new(path, text)]).into_iter().map(|violation| (violation.line, violation.what)).collect()
    }

    #[test]
    fn a_use_to_the_right_is_found_and_to_the_left_is_not() {
        assert_eq!(check("server/src/rooms/store.rs", "use crate::ids::RoomId;\nuse crate::users::User;\n"), []);
        let found = check("server/src/rooms/store.rs", "\nuse crate::messages::Draft;\n");
        assert_eq!(found, [(2, "rooms uses messages, which stands to its right".to_owned())]);
        assert_eq!(check("server/src/error.rs", "fn a() { crate::rpc::b() }").len(), 1);
    }

    #[test]
    fn lists_are_looked_into_and_their_inner_names_are_not() {
        let text = "use crate::{\n    error::{Error, messages},\n    app::App,\n};\n";
        assert_eq!(
            check("server/src/users/mod.rs", text),
            [(3, "users uses app, which stands to its right".to_owned())]
        );
    }

    #[test]
    fn ways_around_by_super_are_found() {
        assert_eq!(check("server/src/users/store.rs", "use super::super::app::App;").len(), 1);
        assert_eq!(check("server/src/users/mod.rs", "use super::app::App;").len(), 1);
        assert_eq!(check("server/src/users/store.rs", "use super::app::App;"), []);
    }

    #[test]
    fn comments_and_tests_may_name_anything() {
        assert_eq!(
            check("server/src/ids.rs", "/// See crate::rpc::a.\n#[cfg(test)]\nmod tests {\nuse crate::app::App;}"),
            []
        );
    }

    #[test]
    fn a_module_without_a_place_is_found() {
        assert_eq!(check("server/src/sundries/mod.rs", "").len(), 1);
    }

    #[test]
    fn neighbours_that_use_each_other_are_found() {
        let one = Source::new("server/src/sessions/mod.rs", "use crate::access::A;");
        let two = Source::new("server/src/access/mod.rs", "use crate::sessions::S;");
        assert_eq!(order(std::slice::from_ref(&one)), []);
        assert_eq!(order(&[one, two]).len(), 1);
    }
}
