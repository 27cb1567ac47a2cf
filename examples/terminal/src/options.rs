//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::words::Language;

/// Where the development stack says what it runs.
const DEV_FILE: &str = "target/devstack/current.json";

/// A messenger in a terminal.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Signs in at the development stack as one of its people.
    #[arg(long = "as", value_name = "LOGIN", conflicts_with = "server", required_unless_present = "server")]
    pub(crate) login: Option<String>,
    /// What the development stack wrote when it was ready.
    #[arg(long, value_name = "FILE", default_value = DEV_FILE)]
    pub(crate) dev_file: PathBuf,
    /// With --as: which of the stack's servers, from 1.
    #[arg(long, value_name = "NUMBER", requires = "login", default_value_t = 1)]
    pub(crate) node: usize,
    /// Signs in at this server, `http://host:port` or `https://host`.
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// With --server: signs in in a browser on this machine, instead of by a code.
    #[arg(long, requires = "server")]
    pub(crate) browser: bool,
    /// With --server: which of several accounts.
    #[arg(long, value_name = "NAME", requires = "server", default_value = "default")]
    pub(crate) account: String,
    /// Folder of stores and tokens; else ~/.local/share/madang.
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Language: ko or en; else from LANG.
    #[arg(long, value_name = "LANG")]
    lang: Option<String>,
}

impl Options {
    /// The language to speak.
    pub(crate) fn language(&self) -> Language {
        let system = || ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok());
        let name = self.lang.clone().or_else(system).unwrap_or_default();
        if name.starts_with("ko") { Language::Korean } else { Language::English }
    }

    /// Where stores and tokens lie.
    pub(crate) fn store_folder(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.store {
            return Ok(folder.clone());
        }
        if let Some(shared) = std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty()) {
            return Ok(PathBuf::from(shared).join("madang"));
        }
        let home = std::env::var_os("HOME").context("no HOME: say --store DIR")?;
        Ok(PathBuf::from(home).join(".local/share/madang"))
    }
}
