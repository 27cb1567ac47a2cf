//! Running other programs from the root of the workspace.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(folder)
}

/// Where tools are installed that no package of the system brings.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// A call of cargo, or of another program, in the root of the workspace.
pub(crate) struct Cargo {
    command: Command,
}

impl Cargo {
    pub(crate) fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        // The cargo that runs xtask, not the first one in the path.
        Self::program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(arguments)
    }

    pub(crate) fn program(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(root());
        // What cargo says about xtask itself must not reach what xtask starts: it would build things twice.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text == "CARGO_MANIFEST_DIR" || text == "CARGO_MANIFEST_PATH" {
                command.env_remove(&name);
            }
        }
        Self { command }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with its output shown; an error when it fails.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self.command.status().with_context(|| format!("run {}", self.line()))?;
        ensure!(status.success(), "{}: {status}", self.line());
        Ok(())
    }

    /// Runs it and gives what it printed; an error with that when it fails.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stdin(Stdio::null()).output().with_context(|| format!("run {}", self.line()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}\n{text}{said}", self.line(), output.status);
        Ok(text)
    }

    /// Whether it runs and succeeds, with its output dropped.
    pub(crate) fn succeeds(self) -> bool {
        self.output().is_ok()
    }

    /// The command itself, for what needs more.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    fn line(&self) -> String {
        let program = Path::new(self.command.get_program()).file_name().unwrap_or_default();
        let words = std::iter::once(program).chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}
