//! The page `docs/configuration.md`.

use std::fmt::Write as _;

use super::SETTINGS;

const HEAD: &str = "<!-- Made by `madang docs configuration`; do not edit. -->
# Configuration

Settings come from a TOML file (`madang serve --config FILE`, or the path in `MADANG_CONFIG`) and from the environment, which
wins: `heartbeat = \"20s\"` in the file is `MADANG_HEARTBEAT=20s` there; lists are separated by commas. `madang check-config`
names all mistakes at once; a setting that does not exist is one.

`database_url` and `issuer` are required. TLS is spoken by the node itself (`tls_certificate`, `tls_key`) or by a proxy in front
of it on an isolated network (`plaintext_network`); otherwise plaintext is served on loopback only.
";

/// The page, made from the table of settings.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for setting in SETTINGS {
        let default = (setting.default)();
        let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
        let doc: Vec<&str> = setting.doc.iter().map(|line| line.trim()).collect();
        let _ =
            write!(page, "\n## {}\n{}\n\nDefault: {default}; {}.\n", setting.name, doc.join("\n"), (setting.kind)());
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_page_is_what_the_table_says() {
        let committed = include_str!("../../../docs/configuration.md");
        assert!(committed == super::page(), "run: cargo xtask docs");
    }
}
