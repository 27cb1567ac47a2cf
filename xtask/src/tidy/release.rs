//! What must not be in a release.

use anyhow::{Context, Result, ensure};

use crate::run::{Cargo, root, target};

/// The feature that lets a test take out one of the guards.
const SABOTAGE: &str = "sabotage";

/// What a server that has it says at its start.
const MARK: &str = "this server was built with sabotage";

/// A release is built with default features, so they must not hold it, directly or by another feature; and the release that lies
/// here, if one does, was not built with it.
pub(super) fn check() -> Result<()> {
    let released = ["-p", "madang-server", "-p", "madang-terminal"];
    let tree = ["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p};{f}"];
    let features = Cargo::new(tree).args(released).output()?;
    let with = sabotaged(&features);
    ensure!(with.is_none(), "a release would hold the feature {SABOTAGE}: {}", with.unwrap_or_default());
    let guards = root().join("server/src/sabotage.rs");
    let guards = std::fs::read(&guards).with_context(|| format!("read {}", guards.display()))?;
    ensure!(is_marked(&guards), "server/src/sabotage.rs does not say: {MARK}");
    let release = target().join("release").join("madang");
    let is_clean = !release.exists() || !is_marked(&std::fs::read(&release)?);
    ensure!(is_clean, "{} was built with the feature {SABOTAGE}", release.display());
    Ok(())
}

/// The first package with the feature, of lines as in `package;feature,feature`.
fn sabotaged(features: &str) -> Option<&str> {
    let has = |line: &&str| line.rsplit(';').next().unwrap_or_default().split([',', ' ']).any(|one| one == SABOTAGE);
    features.lines().find(has)
}

fn is_marked(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_is_found_among_others() {
        assert_eq!(sabotaged("madang-server v0.1.0 (/madang/server);default\nmadang-proto v0.1.0;\n"), None);
        assert_eq!(sabotaged(""), None);
        // A package that was listed before has a mark behind it.
        let second = "madang-server v0.1.0;\nmadang-sdk-core v0.1.0;default,sabotage (*)\n";
        assert_eq!(sabotaged(second), Some("madang-sdk-core v0.1.0;default,sabotage (*)"));
        assert!(sabotaged("madang-server v0.1.0;sabotage").is_some());
    }

    #[test]
    fn the_mark_is_found_in_a_program() {
        assert!(is_marked(&[&[0, 159], MARK.as_bytes(), &[7]].concat()));
        assert!(!is_marked(&MARK.as_bytes()[1..]));
    }
}
