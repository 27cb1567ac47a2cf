//! `cargo xtask dev`: builds the server, the web app and the dev stack, and becomes the latter.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{
    keycloak, packages,
    run::{Cargo, target},
    web,
};

pub(crate) fn dev(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument.starts_with("--nodes")) {
        packages::need_nats()?;
    }
    println!("building the server and what it needs");
    Cargo::new(["build", "--quiet", "-p", "madang-server", "-p", "madang-devstack"]).run()?;
    println!("building the web app");
    let page = web::build();
    if let Err(error) = &page {
        println!("there will be no web app: {error:#}");
    }
    let built = target().join("debug");
    let mut command = Cargo::program(built.join("madang-dev")).into_command();
    // Without its folder the word is ours: whoever types it has none.
    let (ours, arguments): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| *argument == "--keycloak");
    command.arg("--server-binary").arg(built.join("madang")).args(arguments);
    if !ours.is_empty() {
        command.arg("--keycloak").arg(keycloak::fetch("dev")?);
    }
    if let Ok(folder) = page {
        command.arg("--web-root").arg(folder);
    }
    // Becoming it, rather than waiting for it: Ctrl-C and its exit code are its own.
    Err(command.exec()).context("run madang-dev")
}
