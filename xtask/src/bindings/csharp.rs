//! C#: a generator of our own, compiled by mcs and run by mono; and compiled by Microsoft's compiler and run by .NET Core.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    CALLS, LIBRARY, MILLION, built, check_quotes, check_same, consumer,
    dotnet::{self, Dotnet},
    natives, pack,
    scenarios::{Scenarios, Show, converse, show},
    window,
};
use crate::{
    packages,
    run::{Cargo, root, target},
};

/// What C# is compiled and run by, and the libraries of the base that programs use.
const MONO: [&str; 4] = ["mono-mcs", "mono-runtime", "libmono-system-core4.0-cil", "libmono-system4.0-cil"];

/// A program of C#, and the files that it is made of.
const PROGRAMS: [(&str, &[&str]); 6] = [
    ("Boundary", &["tests/Process.cs", "tests/Boundary.cs"]),
    ("Scenarios", &["tests/Process.cs", "tests/Json.cs", "tests/Ground.cs", "tests/Host.cs", "tests/Scenarios.cs"]),
    ("Torture", &["tests/Process.cs", "tests/Torture.cs"]),
    ("Bench", &["tests/Process.cs", "bench/Bench.cs"]),
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
    boundary(Cargo::program("mono").arg("--debug").arg(csharp().join("Boundary.exe")))?;
    without_library()?;
    mono("Torture", &[CALLS, "1"])?;
    scenarios.play("csharp", |arguments| mono("Scenarios", &arguments.each_ref().map(String::as_str)))?;
    example(Show::Check)?;
    if dotnet::EXISTS {
        return Core::build()?.test(scenarios);
    }
    println!("C#: not built and not run by .NET Core, of which there is none for this machine");
    Ok(())
}

/// A program with another native library, in a folder of its own.
pub(super) fn on_mono(library: &Path, place: &Path, program: &str) -> Result<Cargo> {
    let program = beside(&csharp(), library, place, program)?;
    Ok(Cargo::program("mono").arg(program).env("LD_LIBRARY_PATH", ""))
}

/// Lays a program, what it calls, and a native library beside each other.
fn beside(from: &Path, library: &Path, place: &Path, program: &str) -> Result<PathBuf> {
    fs::create_dir_all(place)?;
    fs::copy(library, place.join(LIBRARY))?;
    let program = Path::new(program).with_extension("exe");
    for file in [Path::new("Madang.Client.dll"), &program] {
        fs::copy(from.join(file), place.join(file))?;
    }
    Ok(place.join(program))
}

/// The package on .NET Core, taken out of what is handed out.
pub(super) struct Core {
    dotnet: Dotnet,
    /// Programs of mcs, with what the package has for netstandard2.0.
    programs: PathBuf,
    /// A program of C# 8, with what it has for netstandard2.1.
    newest: PathBuf,
}

impl Core {
    /// Packs what was generated, and lays programs beside what is in the package for them.
    pub(super) fn build() -> Result<Self> {
        let dotnet = Dotnet::fetch()?;
        natives::stage_tested()?;
        let package = pack::nuget(&dotnet)?;
        let [programs, newest] = ["netstandard2.0", "netstandard2.1"].map(|base| csharp().join("core").join(base));
        for place in [&programs, &newest] {
            fs::create_dir_all(place)?;
            let base = place.file_name().context("it has a name")?;
            fs::copy(package.join("lib").join(base).join("Madang.Client.dll"), place.join("Madang.Client.dll"))?;
            fs::copy(package.join(natives::IN_NUGET).join(LIBRARY), place.join(LIBRARY))?;
        }
        for (program, _) in PROGRAMS {
            let file = format!("{program}.exe");
            fs::copy(csharp().join(&file), programs.join(&file))?;
        }
        let follow = root().join("bindings/csharp/tests/Follow.cs");
        dotnet.compile(&[follow], &newest.join("Madang.Client.dll"), &newest.join("Follow.dll"))?;
        Ok(Self { dotnet, programs, newest })
    }

    fn test(&self, scenarios: &Scenarios) -> Result<()> {
        self.dotnet.program(&self.newest.join("Follow.dll")).run()?;
        boundary(self.program("Boundary"))?;
        consumer::csharp(&self.dotnet, &pack::packages())?;
        self.torture(CALLS)?;
        scenarios.play("csharp-core", |arguments| self.program("Scenarios").args(arguments).run())
    }

    fn program(&self, name: &str) -> Cargo {
        self.dotnet.program(&self.programs.join(name).with_extension("exe"))
    }

    /// A program with another native library, in a folder of its own.
    pub(super) fn with(&self, library: &Path, place: &Path, program: &str) -> Result<Cargo> {
        Ok(self.dotnet.program(&beside(&self.programs, library, place, program)?))
    }

    fn torture(&self, calls: &str) -> Result<()> {
        self.program("Torture").args([calls, "1"]).run()
    }
}

/// Writes down what the example says.
pub(super) fn write_docs() -> Result<()> {
    build()?;
    example(Show::Write)
}

fn example(how: Show) -> Result<()> {
    let store = csharp().join("example.db");
    show("docs/csharp.md", &converse(Cargo::program("mono").arg(csharp().join("Rooms.exe")), &store)?, how)?;
    window::need()?;
    let library = format!("-r:{}", csharp().join("Madang.Client.dll").display());
    let options = [&library, "-r:System.Windows.Forms.dll", "-r:System.Drawing.dll"];
    compile("Window.exe", &options, &[root().join("bindings/csharp/example/Window.cs")])?;
    let picture = window::play(&csharp().join("Window.exe"), &csharp())?;
    match how {
        Show::Check => Ok(()),
        Show::Write => fs::copy(picture, root().join("docs/images/csharp-window.png")).map(drop).context("the picture"),
    }
}

/// Writes the dump of the surface anew.
pub(super) fn write_api() -> Result<()> {
    build()?;
    mono("Api", &["Madang.Client.dll", &api().display().to_string()])
}

/// A million calls, on each runtime.
pub(super) fn torture() -> Result<()> {
    build()?;
    mono("Torture", &[MILLION, "1"])?;
    if dotnet::EXISTS { Core::build()?.torture(MILLION) } else { Ok(()) }
}

fn csharp() -> PathBuf {
    target().join("bindings").join("csharp")
}

fn api() -> PathBuf {
    root().join("bindings/csharp/api.txt")
}

/// Generates the code, and compiles it with all programs, by every compiler that there is.
pub(super) fn build_all() -> Result<()> {
    build()?;
    if dotnet::EXISTS { Core::build().map(drop) } else { Ok(()) }
}

/// Generates the code, and compiles it with all programs by Mono's compiler.
pub(super) fn build() -> Result<()> {
    for program in ["mcs", "mono"] {
        packages::need(program, &MONO)?;
    }
    Cargo::new(["build", "--quiet", "-p", "madang-sdk-ffi", "-p", "madang-csharp-generator"]).run()?;
    let (place, library) = (csharp(), built(LIBRARY));
    fs::create_dir_all(&place)?;
    fs::copy(&library, place.join(LIBRARY))?;
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

/// What crosses the boundary, and what must not. What a host throws is a value on the other side: nothing there panics.
fn boundary(program: Cargo) -> Result<()> {
    let run = program.into_command().stdout(Stdio::inherit()).stderr(Stdio::piped()).output().context("Boundary")?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "Boundary: {}\n{said}", run.status);
    ensure!(!said.contains("panicked at"), "a panic crossed the boundary: {said}");
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
