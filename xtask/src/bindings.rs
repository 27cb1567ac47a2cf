//! The client in other languages: generated, compiled, and played against a real server.
//!
//! Everything lands in `target/bindings`; nothing generated is in git.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    packages,
    run::{Cargo, root, target},
};

/// What C# is compiled and run by, and the libraries of the base that programs use.
const MONO: [&str; 4] = ["mono-mcs", "mono-runtime", "libmono-system-core4.0-cil", "libmono-system4.0-cil"];
/// Calls of the torture in tests; `cargo xtask bindings torture` makes a million.
const CALLS: &str = "20000";
/// Longest wait for a line of the example.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program of C#, and the files that it is made of.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("Boundary", &["tests/Process.cs", "tests/Boundary.cs"]),
    ("Scenarios", &["tests/Process.cs", "tests/Json.cs", "tests/Ground.cs", "tests/Scenarios.cs"]),
    ("Torture", &["tests/Process.cs", "tests/Torture.cs"]),
    ("Api", &["tests/Api.cs"]),
    ("Rooms", &["example/Rooms.cs"]),
];

pub(crate) fn bindings(arguments: &[String]) -> Result<()> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["csharp"] => build_csharp(),
        ["api"] => {
            build_csharp()?;
            mono("Api", &["Madang.Client.dll", &api().display().to_string()])
        }
        ["torture"] => {
            build_csharp()?;
            mono("Torture", &["1000000", "1"])
        }
        _ => bail!("csharp: generate and compile; api: write the dump of the surface anew; torture: a million calls"),
    }
}

/// The part of the tests.
pub(crate) fn test() -> Result<bool> {
    build_csharp()?;
    Cargo::new(["test", "--quiet", "-p", "madang-csharp-generator", "-p", "madang-sdk-ffi"]).run()?;
    let golden = root().join("bindings/csharp/generator/tests/shapes.cs");
    compile("Shapes.dll", &["-target:library"], &[golden])?;
    check_api()?;
    check_quotes()?;
    mono("Boundary", &[])?;
    without_library()?;
    mono("Torture", &[CALLS, "1"])?;
    Cargo::new(["build", "--quiet", "-p", "madang-tests", "--bin", "ground", "--bin", "scenarios"]).run()?;
    transcripts()?;
    example()?;
    println!("Kotlin, Java and Swift: nothing there yet");
    Ok(true)
}

fn csharp() -> PathBuf {
    target().join("bindings").join("csharp")
}

pub(crate) fn built(program: &str) -> PathBuf {
    target().join("debug").join(program)
}

fn api() -> PathBuf {
    root().join("bindings/csharp/api.txt")
}

/// Generates the code, and compiles it with all programs.
fn build_csharp() -> Result<()> {
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
    let same = fs::read(&now)? == fs::read(api()).unwrap_or_default();
    ensure!(
        same,
        "the surface of C# is another than bindings/csharp/api.txt: cargo xtask bindings api, and say in CHANGELOG what breaks"
    );
    Ok(())
}

/// The page quotes the example as it is.
fn check_quotes() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/csharp.md"))?;
    let example = fs::read_to_string(root().join("bindings/csharp/example/Rooms.cs"))?;
    let quoted = page
        .split("```csharp\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .context("docs/csharp.md quotes nothing")?;
    let lost = quoted.lines().find(|line| !example.lines().any(|held| held.trim() == line.trim()));
    ensure!(lost.is_none(), "docs/csharp.md quotes what the example does not say: {lost:?}");
    Ok(())
}

/// Rust and C# play the scenarios, and have seen the same.
fn transcripts() -> Result<()> {
    let scenarios = root().join("bindings/scenario.json").display().to_string();
    let ground = built("ground").display().to_string();
    let [rust, csharp] =
        ["rust", "csharp"].map(|language| target().join("bindings").join(format!("{language}.transcript")));
    Cargo::program(built("scenarios")).args([&ground, &scenarios]).arg(&rust).run()?;
    mono("Scenarios", &[&ground, &scenarios, &csharp.display().to_string()])?;
    compare(&rust, &csharp)
}

pub(crate) fn compare(one: &Path, other: &Path) -> Result<()> {
    let (one, other) = (fs::read_to_string(one)?, fs::read_to_string(other)?);
    let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    ensure!(one == other, "the transcripts differ: {differs:?}");
    println!("{} lines of transcript are equal", one.lines().count());
    Ok(())
}

/// A program that is talked to.
struct Spoken {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Spoken {
    fn start(program: Cargo) -> Result<Self> {
        let mut child = program.into_command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("a pipe")?);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let input = child.stdin.take();
        Ok(Self { child, input, lines })
    }

    fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input.as_mut().context("a pipe")?, "{line}")?)
    }

    /// Reads up to a line with these words.
    fn until(&self, words: &str) -> Result<String> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).with_context(|| format!("it never says {words}"))?;
            if line.contains(words) {
                return Ok(line);
            }
        }
    }
}

/// The text behind a name, in a line of JSON that holds one.
fn value(line: &str) -> Result<&str> {
    line.split('"').nth(3).with_context(|| format!("{line} says nothing"))
}

/// The example is used as its page shows it.
fn example() -> Result<()> {
    let mut ground = Spoken::start(Cargo::program(built("ground")))?;
    let server = ground.until("server")?;
    ground.say("token ann")?;
    let token = ground.until("token")?;
    let store = csharp().join("example.db");
    let _ = fs::remove_file(&store);
    let run = Cargo::program("mono").arg(csharp().join("Rooms.exe")).args([value(&server)?]).arg(&store);
    let mut rooms = Spoken::start(run.env("MADANG_TOKEN", value(&token)?))?;
    rooms.until("-- Live")?;
    rooms.say("new lunch")?;
    rooms.until("1. lunch")?;
    rooms.say("1 who comes?")?;
    rooms.until("Ann Kim: who comes?")?;
    rooms.say("")?;
    rooms.until("-- Ended")?;
    let status = rooms.child.wait()?;
    ensure!(status.success(), "the example: {status}");
    ground.input = None;
    ground.child.wait()?;
    Ok(())
}
