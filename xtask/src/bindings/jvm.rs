//! Kotlin and Java: uniffi's generator for Kotlin, a layer of Java over that, built by Maven and run by a JVM.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{
    CALLS, MILLION, check_quotes, check_same, consumer, generate, natives, pack, place,
    scenarios::{Scenarios, Show, converse, show},
};
use crate::{
    packages,
    run::{Cargo, root},
};

/// What builds; the JDK comes along.
const MAVEN: [&str; 2] = ["maven", "openjdk-17-jdk-headless"];
/// A heap that is there from the beginning and does not grow: what grows then is a leak outside of it, or ends the program.
const FIXED_HEAP: [&str; 4] = ["-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC"];

/// A language of the two: the artifact, where it lies, and its programs.
struct Language {
    name: &'static str,
    artifact: &'static str,
    example: &'static str,
    consumer: &'static str,
    rooms: &'static str,
    scenarios: &'static str,
    torture: &'static str,
}

const LANGUAGES: [Language; 2] = [
    Language {
        name: "kotlin",
        artifact: "madang-client",
        example: "Rooms.kt",
        consumer: "ConsumerKt",
        rooms: "RoomsKt",
        scenarios: "madang.ScenariosKt",
        torture: "madang.TortureKt",
    },
    Language {
        name: "java",
        artifact: "madang-client-java",
        example: "Rooms.java",
        consumer: "Consumer",
        rooms: "Rooms",
        scenarios: "madang.java.Scenarios",
        torture: "madang.java.Torture",
    },
];

/// Generates the code, and compiles it with all tests and programs.
pub(super) fn build() -> Result<()> {
    stage()?;
    maven("test-compile", &[])
}

/// Makes the jars with the libraries that are staged; the tests of them are in `test`.
pub(super) fn package() -> Result<()> {
    hand_out(&["-DskipTests"])
}

/// Makes the artifacts and lays them into a repository of their own, as they are handed out; on the way they come into the
/// local one.
fn hand_out(options: &[&str]) -> Result<()> {
    let repository = format!("-DaltDeploymentRepository=packages::file://{}", pack::repository().display());
    maven("deploy", &[options, &[&repository]].concat())
}

/// The library as tests have built it.
fn stage() -> Result<()> {
    Cargo::new(["build", "--quiet", "-p", "madang-sdk-ffi"]).run()?;
    natives::stage_tested()
}

/// What both languages have beside the scenarios, then their transcripts.
pub(super) fn test(scenarios: &Scenarios) -> Result<()> {
    stage()?;
    hand_out(&[])?;
    pack::jar()?;
    pack::aar()?;
    without_library()?;
    for language in &LANGUAGES {
        let now = place(&format!("{}.api.txt", language.name));
        dump(language, &now)?;
        check_same(&now, &language.api())?;
        check_quotes(
            &language.page(),
            language.name,
            &format!("bindings/{}/example/{}", language.name, language.example),
        )?;
        consumer::maven(language.name, language.consumer)?;
        language.torture(CALLS)?;
        scenarios.play(language.name, |arguments| java(&[], language.scenarios).args(arguments).run())?;
        language.example(Show::Check)?;
    }
    Ok(())
}

/// Writes down what the examples say.
pub(super) fn write_docs() -> Result<()> {
    build()?;
    LANGUAGES.iter().try_for_each(|language| language.example(Show::Write))
}

/// Writes the dumps of the surface anew.
pub(super) fn write_api() -> Result<()> {
    build()?;
    LANGUAGES.iter().try_for_each(|language| dump(language, &language.api()))
}

/// A million calls of each.
pub(super) fn torture() -> Result<()> {
    build()?;
    LANGUAGES.iter().try_for_each(|language| language.torture(MILLION))
}

/// Programs that are measured, with another native library: language, name, call.
pub(super) fn measured(library: &Path) -> Vec<(&'static str, &'static str, Cargo)> {
    let option = format!("-Duniffi.component.madang.libraryOverride={}", library.display());
    let options = |heap: &[&'static str]| [heap, &[&option]].concat();
    let mut all = vec![("kotlin", "bench", java(&options(&[]), "madang.BenchKt"))];
    all.extend(
        LANGUAGES.iter().map(|language| (language.name, "torture", java(&options(&FIXED_HEAP), language.torture))),
    );
    all
}

impl Language {
    fn api(&self) -> PathBuf {
        root().join("bindings").join(self.name).join("api.txt")
    }

    fn page(&self) -> String {
        format!("docs/{}.md", self.name)
    }

    fn example(&self, how: Show) -> Result<()> {
        let said = converse(java(&[], self.rooms), &place(&format!("{}.example.db", self.name)))?;
        show(&self.page(), &said, how)
    }

    fn torture(&self, calls: &str) -> Result<()> {
        java(&FIXED_HEAP, self.torture).args([calls, "1"]).run()
    }
}

fn maven(goal: &str, options: &[&str]) -> Result<()> {
    packages::need("mvn", &MAVEN)?;
    packages::need("javac", &MAVEN)?;
    generate("kotlin")?;
    Cargo::program("mvn")
        .args(["--quiet", "--batch-mode", "--no-transfer-progress", "-f"])
        .arg(root().join("bindings/pom.xml"))
        .arg(format!("-Dbindings={}", place("").display()))
        .args(options)
        .arg(goal)
        .env("LD_LIBRARY_PATH", "")
        .run()
}

fn classes() -> String {
    let folders = LANGUAGES.iter().flat_map(|language| ["classes", "test-classes"].map(|folder| (language, folder)));
    let folders = folders.map(|(language, folder)| place(language.artifact).join(folder));
    let all = folders.chain([place("lib").join("*")]).map(|path| path.display().to_string());
    all.collect::<Vec<_>>().join(":")
}

/// A program of one of the two.
fn java(options: &[&str], class: &str) -> Cargo {
    // Cargo lets what it runs find the libraries that it built: the one of the package is what is tested.
    Cargo::program("java").args(options).args(["-cp", &classes(), class]).env("LD_LIBRARY_PATH", "")
}

fn dump(language: &Language, file: &Path) -> Result<()> {
    java(&[], "madang.java.Api").arg(place(language.artifact).join("classes")).arg(file).run()
}

/// Without the native library a program says which file it looked for; it is sent for one of another name.
fn without_library() -> Result<()> {
    let option = "-Duniffi.component.madang.libraryOverride=madang_missing";
    let run = java(&[option], LANGUAGES[0].torture).args(["1", "1"]).into_command().output().context("java")?;
    ensure!(!run.status.success(), "it ran without its library");
    let said = String::from_utf8_lossy(&run.stderr);
    let wanted = format!("{}/libmadang_missing.so", natives::JNA);
    ensure!(said.contains(&wanted), "without its library it says: {said}");
    Ok(())
}
