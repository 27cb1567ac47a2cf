//! Packages in the hands of somebody else: an app of each language that knows a package and nothing of where that comes from.
//! Built outside of the sources, so that nothing of theirs is found, and run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::{dotnet::Dotnet, pack, place};
use crate::run::{Cargo, root};

/// What each of them says: of the room that it made, and of the server that is not there.
const SAYS: &str = "lunch\nThe server is not running.\n";

/// The app of C#, with the package from a folder.
pub(super) fn csharp(dotnet: &Dotnet, packages: &Path) -> Result<()> {
    let app = copy("csharp")?;
    let version = format!("-p:MadangVersion={}", pack::version());
    says("csharp", dotnet.build(&app.join("Consumer.csproj"), packages, &version)?)
}

/// The app of Kotlin or Java, with the artifact from the local repository.
pub(super) fn maven(language: &str, class: &str) -> Result<()> {
    let app = copy(language)?;
    Cargo::program("mvn")
        .args(["--quiet", "--batch-mode", "--no-transfer-progress", "-f"])
        .arg(app.join("pom.xml"))
        .arg(format!("-Dmadang.version={}", pack::version()))
        .args(["compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath"])
        .run()?;
    let classes = app.join("target/classes");
    let classpath = format!("{}:{}", classes.display(), fs::read_to_string(app.join("classpath"))?);
    // Cargo lets what it runs find the libraries that it built: the one of the package is what is tested.
    says(language, Cargo::program("java").args(["-cp", &classpath, class]).env("LD_LIBRARY_PATH", ""))
}

/// A fresh copy of an app.
fn copy(language: &str) -> Result<PathBuf> {
    let from = root().join("bindings").join(language).join("consumer");
    let to = place("consumer").join(language);
    fs::remove_dir_all(&to).ok();
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(&from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(to)
}

fn says(language: &str, app: Cargo) -> Result<()> {
    let said = app.output()?;
    ensure!(said == SAYS, "an app of {language} with the package says: {said}");
    println!("{language}: an app that knows the package alone runs");
    Ok(())
}
