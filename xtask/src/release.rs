//! `cargo xtask release`: the server as it is handed out, with the web app in it.

use anyhow::Result;

use crate::{
    run::{Cargo, target},
    web,
};

pub(crate) fn release() -> Result<()> {
    web::build()?;
    Cargo::new(["build", "--release", "-p", "madang-server", "--bin", "madang", "--features", web::EMBEDDED]).run()?;
    let program = target().join("release").join("madang");
    let megabytes = std::fs::metadata(&program)?.len() / 1_000_000;
    println!("{}: {megabytes} MB, with the web app", program.display());
    Ok(())
}
