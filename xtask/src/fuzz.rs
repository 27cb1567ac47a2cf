//! `cargo xtask fuzz`: bytes of all kinds against the client core's engine, steered by what they reach in it.

use anyhow::{Result, ensure};

use crate::{
    packages,
    run::{Cargo, target},
};

/// The version of cargo-fuzz.
const VERSION: &str = "0.13.2";

/// The crate of the targets.
const CRATE: &str = "sdk-core/fuzz";

/// What reads its input as a stream of frames.
const TARGET: &str = "frames";

/// A minute finds what is near; nights find the rest.
const SECONDS: u32 = 60;

pub(crate) fn fuzz(arguments: &[String]) -> Result<()> {
    let seconds = arguments.first().map(|seconds| seconds.parse::<u32>()).transpose()?.unwrap_or(SECONDS);
    let nightly = || Cargo::program("cargo").env("RUSTUP_TOOLCHAIN", "nightly");
    ensure!(
        nightly().args(["--version"]).succeeds(),
        "the instrumentation needs a nightly compiler: rustup toolchain install nightly --profile minimal"
    );
    let program = packages::tool("cargo-fuzz", VERSION)?;
    let folder = target().join("fuzz");
    let (corpus, found) = (folder.join("corpus").join(TARGET), folder.join("found"));
    std::fs::create_dir_all(&found)?;
    let manifest = format!("{CRATE}/Cargo.toml");
    let seeds = ["run", "--quiet", "--manifest-path", &manifest, "--bin", "seeds", "--target-dir"];
    nightly().args(seeds).arg(&folder).arg("--").arg(&corpus).run()?;
    let run = ["fuzz", "run", TARGET, "--fuzz-dir", CRATE, "--target-dir"];
    Cargo::program(program)
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .args(run)
        .arg(&folder)
        .arg(&corpus)
        .args(["--", &format!("-max_total_time={seconds}"), "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", found.display()))
        .run()
}
