//! What must not be in a release.

use anyhow::{Result, ensure};

use crate::run::Cargo;

/// The feature that lets a test take out one of the server's guards.
const SABOTAGE: &str = "sabotage";

/// A release is built with the server's default features, so they must not hold it, directly or by another feature.
pub(super) fn check() -> Result<()> {
    let tree =
        ["tree", "-p", "madang-server", "--edges", "normal", "--depth", "0", "--prefix", "none", "--format", "{f}"];
    let features = Cargo::new(tree).output()?;
    ensure!(is_clean(&features), "a release of the server would hold the feature {SABOTAGE}: {}", features.trim());
    Ok(())
}

fn is_clean(features: &str) -> bool {
    features.trim().split(',').all(|feature| feature != SABOTAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_is_found_among_others() {
        assert!(is_clean("default\n"));
        assert!(is_clean(""));
        assert!(!is_clean("default,sabotage\n"));
        assert!(!is_clean("sabotage"));
    }
}
