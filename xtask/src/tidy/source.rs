//! The files that rules look at.

use std::path::Path;

use anyhow::{Context, Result};

use crate::run::Cargo;

/// A text file of the project.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// From the root, with slashes.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    #[cfg(test)]
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether it holds tests only.
    pub(super) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/") || self.path.contains("/tests/") || name == "tests.rs"
    }

    pub(super) fn is_rust(&self) -> bool {
        has_end(&self.path, "rs")
    }

    /// Rust code without line comments and without its test module, line for line: a comment becomes an empty line.
    pub(super) fn code(&self) -> String {
        let mut lines = Vec::new();
        let mut rest = self.text.lines().peekable();
        while let Some(line) = rest.next() {
            let tests = line.trim() == "#[cfg(test)]" && rest.peek().is_some_and(|next| next.contains("mod tests"));
            if tests {
                break; // by custom they are last
            }
            lines.push(line.find("//").filter(|at| !line[..*at].ends_with(':')).map_or(line, |at| &line[..at]));
        }
        lines.join("\n")
    }
}

/// Everything git would keep, of the kinds people write.
pub(super) fn all(root: &Path) -> Result<Vec<Source>> {
    let list = Cargo::program("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output()?;
    let mut found = Vec::new();
    for path in list.split('\0').filter(|path| is_written_by_people(path)) {
        let place = root.join(path);
        if !place.is_file() {
            continue; // removed, but not yet committed
        }
        let text = std::fs::read(&place).with_context(|| format!("read {path}"))?;
        found.push(Source { path: path.to_owned(), text: String::from_utf8_lossy(&text).into_owned() });
    }
    Ok(found)
}

fn is_written_by_people(path: &str) -> bool {
    const ENDS: [&str; 12] = ["rs", "toml", "proto", "sql", "md", "yaml", "yml", "json", "sh", "kt", "cs", "swift"];
    let generated = path.starts_with(".sqlx/");
    !generated && (ENDS.iter().any(|end| has_end(path, end)) || path.starts_with(".ci/"))
}

pub(super) fn has_end(path: &str, end: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_test_modules_are_no_code() {
        let text = "use a; // crate::b\n//! crate::c\nlet u = \"http://x\";\n#[cfg(test)]\nmod tests {\n crate::d\n}\n";
        assert_eq!(Source::new("a.rs", text).code(), "use a; \n\nlet u = \"http://x\";");
    }
}
