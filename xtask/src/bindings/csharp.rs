//! C#: a generator of our own, compiled by mcs and run by mono.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{
    CALLS, built, check_quotes, check_same,
    scenarios::{Scenarios, converse},
};
use crate::{
    packages,
    run::{Cargo, root, target},
};

/// What C# is compiled and run by, and the libraries of the base that programs use.
const MONO: [&str; 4] = ["mono-mcs", "mono-runtime", "libmono-system-core4.0-cil", "libmono-system4.0-cil"];

/// A program of C#, and the files that it is made of.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("Boundary", &["tests/Process.cs", "tests/Boundary.cs"]),
    ("Scenarios", &["tests/Process.cs", "tests/Json.cs", "tests/Ground.cs", "tests/Host.cs", "tests/Scenarios.cs"]),
    ("Torture", &["tests/Process.cs", "tests/Torture.cs"]),
    ("Api", &["tests/Api.cs"]),
    ("Rooms", &["example/Rooms.cs"]),
];

/// What this language has beside the scenarios, then its transcript.
pub(super) fn test(scenarios: &Scenarios) -> Result<()> {
    build()?;
    Cargo::new(["test", "--quiet", "-p", "madang-csharp-generator", "-p", "madang-sdk-ffi"]).run()?;
    let golden = root().join("bindings/csharp/generator/tests/shapes.cs");
    compile("Shapes.dll", &["-target:library"], &[golden])?;
    check_api()?;
    check_quotes("docs/csharp.md", "csharp", "bindings/csharp/example/Rooms.cs")?;
    mono("Boundary", &[])?;
    without_library()?;
    mono("Torture", &[CALLS, "1"])?;
    scenarios.play("csharp", |arguments| mono("Scenarios", &arguments.each_ref().map(String::as_str)))?;
    let store = csharp().join("example.db");
    converse(Cargo::program("mono").arg(csharp().join("Rooms.exe")), &store)
}

/// Writes the dump of the surface anew.
pub(super) fn write_api() -> Result<()> {
    build()?;
    mono("Api", &["Madang.Client.dll", &api().display().to_string()])
}

/// A million calls.
pub(super) fn torture() -> Result<()> {
    build()?;
    mono("Torture", &["1000000", "1"])
}

fn csharp() -> PathBuf {
    target().join("bindings").join("csharp")
}

fn api() -> PathBuf {
    root().join("bindings/csharp/api.txt")
}

/// Generates the code, and compiles it with all programs.
pub(super) fn build() -> Result<()> {
    for program in ["mcs", "mono"] {
        packages::need(program, &MONO)?;
    }
    Cargo::new(["build", "--quiet", "-p", "madang-sdk-ffi", "-p", "madang-csharp-generator"]).run()?;
    let (place, library) = (csharp(), built("libmadang_sdk_ffi.so"));
    fs::create_dir_all(&place)?;
    fs::copy(&library, place.join("libmadang_sdk_ffi.so"))?;
    let code = place.join("Madang.cs");
    Cargo::program(built("madang-csharp-generator"))
        .arg(&library)
        .args(["--namespace", "Madang", "--out"])
        .arg(&code)
        .run()?;
    let client = root().join("bindings/csharp/client");
    let mut files = vec![code];
    for entry in fs::read_dir(&client)? {
        files.push(entry?.path());
    }
    files.sort();
    let doc = format!("-doc:{}", place.join("Madang.Client.xml").display());
    compile("Madang.Client.dll", &["-target:library", &doc], &files)?;
    for (program, files) in PROGRAMS {
        let files: Vec<PathBuf> = files.iter().map(|file| root().join("bindings/csharp").join(file)).collect();
        let reference = format!("-r:{}", place.join("Madang.Client.dll").display());
        compile(&format!("{program}.exe"), &[&reference], &files)?;
    }
    Ok(())
}

/// What mcs knows as 7.2 is all of 7.3 that is used.
fn compile(name: &str, options: &[&str], files: &[PathBuf]) -> Result<()> {
    let out = format!("-out:{}", csharp().join(name).display());
    let mut call = Cargo::program("mcs").args(["-langversion:7.2", "-warnaserror", "-debug", &out]).args(options);
    for file in files {
        call = call.arg(file);
    }
    call.run()
}

fn mono(program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Cargo::program("mono")
        .args(["--debug"])
        .arg(csharp().join(program).with_extension("exe"))
        .args(arguments)
        .into_command();
    let status = command.current_dir(csharp()).status().context("mono")?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}

/// Without the native library a program says which file it looked for.
fn without_library() -> Result<()> {
    let place = csharp().join("without");
    fs::create_dir_all(&place)?;
    for file in ["Torture.exe", "Madang.Client.dll"] {
        fs::copy(csharp().join(file), place.join(file))?;
    }
    let mut mono = Cargo::program("mono").arg(place.join("Torture.exe")).args(["1", "1"]).into_command();
    // Cargo lets what it runs find the libraries that it built.
    let run = mono.env_remove("LD_LIBRARY_PATH").output()?;
    ensure!(!run.status.success(), "it ran without its library");
    let said = String::from_utf8_lossy(&run.stderr);
    let wanted = "the native library was not found: libmadang_sdk_ffi.so";
    ensure!(said.contains(wanted), "without its library it says: {said}");
    Ok(())
}

/// The committed dump says what the surface is.
fn check_api() -> Result<()> {
    let now = csharp().join("api.txt");
    mono("Api", &["Madang.Client.dll", &now.display().to_string()])?;
    check_same(&now, &api())
}
