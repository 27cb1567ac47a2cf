//! `cargo xtask dev`: builds the server and the dev stack, and becomes the latter.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{
    packages,
    run::{Cargo, target},
};

pub(crate) fn dev(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument.starts_with("--nodes")) {
        packages::need_nats()?;
    }
    println!("building the server and what it needs");
    Cargo::new(["build", "--quiet", "-p", "madang-server", "-p", "madang-devstack"]).run()?;
    let built = target().join("debug");
    let mut command = Cargo::program(built.join("madang-dev")).into_command();
    command.arg("--server-binary").arg(built.join("madang")).args(arguments);
    // Becoming it, rather than waiting for it: Ctrl-C and its exit code are its own.
    Err(command.exec()).context("run madang-dev")
}
