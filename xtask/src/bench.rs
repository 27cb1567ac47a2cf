//! `cargo xtask bench`: builds the server and the benches as fast as they should be, and runs the latter.

use anyhow::Result;

use crate::{
    packages,
    run::{Cargo, target},
};

/// The profile; the programs find each other in its folder.
const PROFILE: &str = "bench-run";

pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    // One after the other: what the tests ask of the server's library must not get into the server.
    let build = |package, program| {
        Cargo::new(["build", "--quiet", "--profile", PROFILE, "-p", package, "--bin", program]).run()
    };
    packages::need_nats()?;
    packages::need("redis-server", &["redis-server"])?;
    build("madang-server", "madang")?;
    build("madang-tests", "bench")?;
    Cargo::program(target().join(PROFILE).join("bench")).args(arguments).run()
}
