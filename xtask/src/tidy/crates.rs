//! Which crates of this project may name which.

use super::Violation;
use super::source::Source;

/// A crate and the crates of ours that it may use. What only its tests use is free, except that server and client never
/// name each other.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("madang-proto", &[]),
    ("madang-server", &["madang-proto"]),
    ("madang-sdk-core", &["madang-proto"]),
    ("madang-sdk-ffi", &["madang-sdk-core"]),
    ("madang-fuzz", &["madang-proto", "madang-sdk-core"]),
    // They read what uniffi left in a library, and know no crate of ours.
    ("madang-csharp-generator", &[]),
    ("madang-bindings-generate", &[]),
    ("madang-terminal", &["madang-sdk-core"]),
    ("madang-devstack", &[]),
    ("madang-tests", &["madang-proto", "madang-server", "madang-sdk-core", "madang-devstack"]),
    ("madang-simulation", &["madang-proto", "madang-server", "madang-sdk-core", "madang-tests"]),
    ("madang-torture", &["madang-proto", "madang-server", "madang-sdk-core", "madang-devstack", "madang-tests"]),
    ("xtask", &[]),
];

/// The two sides of the wire: the contract is all they share.
const SIDES: [&str; 2] = ["madang-server", "madang-sdk-core"];

pub(super) fn dependencies(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with("/Cargo.toml")) {
        let Some(name) = package(&source.text) else { continue };
        let violation = |line, what| Violation { path: source.path.clone(), line, what };
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            let what = format!("crate {name} has no row in xtask/src/tidy/crates.rs");
            found.push(violation(0, what));
            continue;
        };
        for (line, section, used) in ours(&source.text) {
            let across = SIDES.contains(&name) && SIDES.contains(&used);
            if across || (section != "dev-dependencies" && !allowed.contains(&used)) {
                found.push(violation(line, format!("{name} must not use {used}")));
            }
        }
    }
    found
}

fn package(text: &str) -> Option<&str> {
    let after = text.split("[package]").nth(1)?;
    let line = after.lines().find(|line| line.starts_with("name"))?;
    line.split('"').nth(1)
}

/// Line, section and name of every dependency on a crate of this project.
fn ours(text: &str) -> Vec<(usize, &str, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(name) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.rsplit('.').next().unwrap_or_default();
        } else if section.ends_with("dependencies") {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if name.starts_with("madang-") {
                found.push((number + 1, section, name));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, rest: &str) -> usize {
        let text = format!("[package]\nname = \"{name}\"\n\n{rest}");
        dependencies(&[Source::new("x/Cargo.toml", &text)]).len()
    }

    #[test]
    fn server_and_client_never_name_each_other() {
        assert_eq!(check("madang-server", "[dependencies]\nmadang-proto.workspace = true\nserde = \"1\"\n"), 0);
        assert_eq!(check("madang-server", "[dependencies]\nmadang-sdk-core = { path = \"../sdk-core\" }\n"), 1);
        assert_eq!(check("madang-sdk-core", "[dev-dependencies]\nmadang-server.workspace = true\n"), 1);
        assert_eq!(check("madang-server", "[dev-dependencies]\nmadang-devstack.workspace = true\n"), 0);
        assert_eq!(check("madang-server", "[target.'cfg(unix)'.dependencies]\nmadang-devstack.workspace = true\n"), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(check("madang-extra", ""), 1);
    }
}
