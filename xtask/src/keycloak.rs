//! `cargo xtask test keycloak`: fetches a Keycloak, once, and tells stories with it.

use std::{fs, path::PathBuf};

use anyhow::Result;

use crate::{
    packages,
    run::{Cargo, target},
    web,
};

/// What companies run, and what was tested.
const VERSION: &str = "26.4.5";

/// What fetches it.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";

/// Stories share one Keycloak and the address that it was told: one after the other.
const ONE_BY_ONE: [&str; 2] = ["--", "--test-threads=1"];

pub(crate) fn test() -> Result<bool> {
    let folder = fetch("test")?;
    packages::need("chromium", &["chromium"])?;
    let page = web::build()?;
    Cargo::new(["build", "--quiet", "-p", "madang-devstack", "--bin", "madang-keycloak"]).run()?;
    Cargo::new(["test", "--quiet", "-p", "madang-tests", "--features", "sabotage", "--test", "keycloak"])
        .args(ONE_BY_ONE)
        .env("MADANG_KEYCLOAK", folder)
        .env("MADANG_WEB", page)
        .run()?;
    Ok(true)
}

/// The folder of a Keycloak that is run for this alone: its data is in it.
pub(crate) fn fetch(what_for: &str) -> Result<PathBuf> {
    packages::need("mvn", &["maven"])?;
    packages::need("java", &["openjdk-17-jre-headless"])?;
    packages::need_unzip()?;
    let place = target().join("keycloak").join(what_for);
    let folder = place.join(format!("keycloak-{VERSION}"));
    if folder.join("bin").join("kc.sh").exists() {
        return Ok(folder);
    }
    println!("fetching Keycloak {VERSION}");
    fs::create_dir_all(&place)?;
    let artifact = format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip");
    let into = format!("-DoutputDirectory={}", place.display());
    Cargo::program("mvn").args(["-B", "-q", COPY, &artifact, &into]).run()?;
    let zip = place.join(format!("keycloak-quarkus-dist-{VERSION}.zip"));
    // Unpacked beside its place, so that half of one is not taken for a whole one.
    let half = place.join("half");
    fs::remove_dir_all(&half).ok();
    Cargo::program("unzip").args(["-q", &zip.display().to_string(), "-d", &half.display().to_string()]).run()?;
    fs::rename(half.join(format!("keycloak-{VERSION}")), &folder)?;
    fs::remove_dir_all(&half)?;
    fs::remove_file(zip)?;
    Ok(folder)
}
