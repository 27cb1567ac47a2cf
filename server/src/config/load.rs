//! Reading the file and the environment.

use std::{fmt, path::Path};

use super::Config;

/// Begins the name of each variable of the environment.
const PREFIX: &str = "MADANG_";

/// Variables with the prefix that are no settings: the path of the file, what tests are told, and what a cluster says about a
/// service that is called madang.
const OTHERS: [&str; 4] = ["CONFIG", "TEST_", "SERVICE_", "PORT"];

/// All that is wrong with the settings.
#[derive(Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "settings are wrong: {}", self.0.join("; "))
    }
}

impl Config {
    /// Reads the file, then the environment, which wins, and checks the whole.
    pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Mistakes> {
        let mut config = Self::default();
        let mut mistakes = Vec::new();
        if let Some(path) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => config.take_file(&text, &mut mistakes),
                Err(error) => mistakes.push(format!("{}: {error}", path.display())),
            }
        }
        config.take_environment(environment, &mut mistakes);
        config.find_mistakes(&mut mistakes);
        if mistakes.is_empty() { Ok(config) } else { Err(Mistakes(mistakes)) }
    }

    /// Checks what was built in code.
    pub fn check(&self) -> Result<(), Mistakes> {
        let mut mistakes = Vec::new();
        self.find_mistakes(&mut mistakes);
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }

    fn take_file(&mut self, text: &str, mistakes: &mut Vec<String>) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            // The parser's own words quote the line, which may hold a password.
            Err(error) => return mistakes.push(format!("the file is not TOML: {}", error.message())),
        };
        for (name, value) in table {
            match self.set(&name, &value) {
                Some(Ok(())) => {}
                Some(Err(wrong)) => mistakes.push(format!("{name}: {wrong}")),
                None => mistakes.push(format!("{name}: there is no such setting")),
            }
        }
    }

    fn take_environment(&mut self, environment: impl Iterator<Item = (String, String)>, mistakes: &mut Vec<String>) {
        for (variable, value) in environment {
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            match self.set(&name.to_lowercase(), &toml::Value::String(value)) {
                Some(Ok(())) => {}
                Some(Err(wrong)) => mistakes.push(format!("{variable}: {wrong}")),
                None if OTHERS.iter().any(|other| name.starts_with(other)) => {}
                None => mistakes.push(format!("{variable}: there is no such setting")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let needed = [("MADANG_DATABASE_URL", "postgres://h/d"), ("MADANG_ISSUER", "http://127.0.0.1:1/realms/x")];
        needed.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn load(pairs: &[(&str, &str)]) -> Result<Config, Mistakes> {
        Config::load(None, environment(pairs).into_iter())
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let path = std::env::temp_dir().join(format!("madang-config-{}.toml", std::process::id()));
        std::fs::write(&path, "audience = \"file\"\nheartbeat = \"5s\"\n").expect("a file");
        let config = Config::load(Some(&path), environment(&[("MADANG_AUDIENCE", "environment")]).into_iter());
        std::fs::remove_file(&path).expect("it was there");
        let config = config.expect("right");
        assert_eq!((config.audience.as_str(), config.heartbeat.as_secs()), ("environment", 5));
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let mut config = Config::default();
        let mut mistakes = Vec::new();
        config.take_file("nonsense = 1\nreflection = \"perhaps\"\nheartbeat = [1]\n", &mut mistakes);
        config.take_environment([("MADANG_LISTEM".to_owned(), "x".to_owned())].into_iter(), &mut mistakes);
        config.find_mistakes(&mut mistakes);
        for name in ["nonsense", "reflection", "heartbeat", "MADANG_LISTEM", "database_url", "issuer"] {
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(name)), "{name}: {mistakes:?}");
        }
    }

    #[test]
    fn a_cluster_may_say_where_a_service_called_madang_is() {
        assert!(load(&[("MADANG_SERVICE_HOST", "10.0.0.1"), ("MADANG_PORT_7080_TCP", "tcp://10.0.0.1")]).is_ok());
        assert!(load(&[("MADANG_HEARTBEET", "1s")]).is_err());
    }
}
