//! The native library for each platform, as packages carry it: without what is for debuggers, looked at from outside.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::{LIBRARY, place};
use crate::{
    packages,
    run::{Cargo, root, target},
};

/// A platform that libraries can be built for here.
struct Platform {
    /// As Rust calls it; `None`: the one that this runs on.
    target: Option<&'static str>,
    /// As `NuGet` calls it, and as JNA does.
    rid: &'static str,
    jna: &'static str,
    file: &'static str,
    /// Of the compiler and binutils for it, and the packages that have them.
    prefix: &'static str,
    packages: &'static [&'static str],
}

const X64: Platform = Platform {
    target: Some("x86_64-unknown-linux-gnu"),
    rid: "linux-x64",
    jna: "linux-x86-64",
    file: LIBRARY,
    prefix: "x86_64-linux-gnu-",
    packages: &["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
};

const ARM64: Platform = Platform {
    target: Some("aarch64-unknown-linux-gnu"),
    rid: "linux-arm64",
    jna: "linux-aarch64",
    file: LIBRARY,
    prefix: "aarch64-linux-gnu-",
    packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
};

const WINDOWS: Platform = Platform {
    target: Some("x86_64-pc-windows-gnu"),
    rid: "win-x64",
    jna: "win32-x86-64",
    file: "madang_sdk_ffi.dll",
    prefix: "x86_64-w64-mingw32-",
    packages: &["gcc-mingw-w64-x86-64"],
};

#[cfg(target_arch = "x86_64")]
const HERE: Platform = Platform { target: None, prefix: "", ..X64 };
#[cfg(target_arch = "x86_64")]
const ELSEWHERE: [Platform; 2] = [ARM64, WINDOWS];
#[cfg(target_arch = "aarch64")]
const HERE: Platform = Platform { target: None, prefix: "", ..ARM64 };
#[cfg(target_arch = "aarch64")]
const ELSEWHERE: [Platform; 2] = [X64, WINDOWS];

/// Where JNA looks for the library of this platform, and where `NuGet` has it.
pub(super) const JNA: &str = HERE.jna;
#[cfg(target_arch = "x86_64")]
pub(super) const IN_NUGET: &str = "runtimes/linux-x64/native";
#[cfg(target_arch = "aarch64")]
pub(super) const IN_NUGET: &str = "runtimes/linux-arm64/native";

/// The profile of what is handed out.
pub(super) const PROFILE: &str = "library";

/// Most bytes that an app carries for a platform: 5 MB as systems show the size of a file.
const MOST: u64 = 5 * 1024 * 1024;

/// Of the library's functions the one that must be there; beside such there may be none.
const WANTED: &str = "uniffi_madang_sdk_ffi_fn_method_client_send";
const PREFIXES: [&str; 3] = ["uniffi_", "ffi_madang_sdk_ffi_", "UNIFFI_META_"];

/// Lays the library as tests have built it where packages take theirs from; those of other platforms go.
pub(super) fn stage_tested() -> Result<()> {
    packages::need("strip", &["binutils"])?;
    clear()?;
    HERE.stage(&target().join("debug").join(LIBRARY)).map(drop)
}

/// Builds the library as it is handed out, for each platform that can be built for here.
pub(super) fn stage_released() -> Result<()> {
    clear()?;
    for platform in [&HERE].into_iter().chain(&ELSEWHERE) {
        let size = platform.stage(&platform.release()?)?;
        println!("{}: {}.{:02} MB", platform.rid, size / 1_000_000, size / 10_000 % 100);
        ensure!(size < MOST, "the library for {} has {size} bytes, and {MOST} are the limit", platform.rid);
    }
    Ok(())
}

/// Builds the library for this system as it is handed out; where it lies.
pub(super) fn release() -> Result<PathBuf> {
    HERE.release()
}

/// `NuGet`'s folder of libraries, and JNA's.
fn folders() -> [PathBuf; 2] {
    [place("csharp").join("runtimes"), place("natives")]
}

fn clear() -> Result<()> {
    for folder in folders() {
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder)?;
    }
    Ok(())
}

impl Platform {
    /// Builds the library as it is handed out; where it lies. Of one kind alone: beside another cargo would optimise nothing
    /// across crates, and say nothing of it.
    fn release(&self) -> Result<PathBuf> {
        if let Some(target) = self.target {
            packages::need(&format!("{}gcc", self.prefix), self.packages)?;
            Cargo::program("rustup").args(["target", "add", target]).output()?;
        }
        let build =
            ["rustc", "--quiet", "-p", "madang-sdk-ffi", "--lib", "--crate-type", "cdylib", "--profile", PROFILE];
        let mut call = Cargo::new(build).args(self.target.map(|name| format!("--target={name}")));
        call = call.env("CARGO_ENCODED_RUSTFLAGS", self.flags()?);
        if !self.is_windows() {
            // No panic goes through C: SQLite's callbacks end theirs. On Windows debuggers and crash reports read these tables.
            call = call.env("CFLAGS", "-fno-asynchronous-unwind-tables -fno-unwind-tables");
        }
        call.run()?;
        let folder = self.target.map_or_else(target, |name| target().join(name));
        Ok(folder.join(PROFILE).join(self.file))
    }

    fn flags(&self) -> Result<String> {
        let mut flags = named_without_places()?;
        flags.extend(self.target.map(|_| format!("-Clinker={}gcc", self.prefix)));
        Ok(flags.join("\x1f"))
    }

    /// Strips and checks a library, and lays it where packages take it from; its size.
    fn stage(&self, built: &Path) -> Result<u64> {
        let [nuget, jna] = folders();
        let nuget = nuget.join(self.rid).join("native");
        let jna = jna.join(self.jna);
        fs::create_dir_all(&nuget)?;
        fs::create_dir_all(&jna)?;
        let library = nuget.join(self.file);
        self.tool("strip").arg("-o").arg(&library).arg(built).run()?;
        self.check_exports(&library)?;
        fs::copy(&library, jna.join(self.file))?;
        Ok(fs::metadata(&library)?.len())
    }

    fn check_exports(&self, library: &Path) -> Result<()> {
        let windows = self.is_windows();
        let told = self.tool("objdump").arg(if windows { "-p" } else { "-T" }).arg(library).output()?;
        let exported = if windows { exports_of_dll(&told) } else { exports_of_elf(&told) };
        ensure!(exported.contains(&WANTED), "{} does not export {WANTED}", library.display());
        let other = exported.iter().find(|name| !PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
        ensure!(other.is_none(), "{} exports {other:?}", library.display());
        if windows {
            let foreign =
                told.lines().filter_map(|line| line.trim().strip_prefix("DLL Name: ")).find(|name| !of_windows(name));
            ensure!(foreign.is_none(), "{} needs {foreign:?}, which Windows does not have", library.display());
        }
        Ok(())
    }

    fn is_windows(&self) -> bool {
        self.target.is_some_and(|name| name.contains("windows"))
    }

    fn tool(&self, name: &str) -> Cargo {
        Cargo::program(format!("{}{name}", self.prefix))
    }
}

/// Has panics name their sources from the folder of the crate on: where that lies is nobody's business, and weighs 40 KB.
fn named_without_places() -> Result<Vec<String>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let sources = home.context("no home")?.join("registry/src");
    let mut places = vec![root()];
    for registry in fs::read_dir(&sources).with_context(|| format!("read {}", sources.display()))? {
        places.push(registry?.path());
    }
    Ok(places.iter().map(|place| format!("--remap-path-prefix={}/=", place.display())).collect())
}

/// Names behind `[Ordinal/Name Pointer] Table`.
fn exports_of_dll(told: &str) -> Vec<&str> {
    let table = told.split("[Ordinal/Name Pointer] Table").nth(1).unwrap_or_default();
    let lines = table.lines().skip(1).take_while(|line| line.trim_start().starts_with('['));
    lines.filter_map(|line| line.split_whitespace().last()).collect()
}

/// Functions and data that are defined here.
fn exports_of_elf(told: &str) -> Vec<&str> {
    let defined = told.lines().filter(|line| line.contains(" g ") && !line.contains("*UND*"));
    defined.filter_map(|line| line.split_whitespace().last()).collect()
}

/// What comes with every Windows; whatever a compiler brings does not.
fn of_windows(name: &str) -> bool {
    let name = name.to_lowercase();
    !["libgcc", "libstdc++", "libwinpthread", "vcruntime"].iter().any(|of| name.starts_with(of))
}

/// Sizes of pages, in bytes, that a library's parts lie on, as `readelf -lW` tells them.
pub(super) fn pages(library: &Path) -> Result<Vec<u64>> {
    let told = Cargo::program("readelf").arg("-lW").arg(library).output()?;
    aligned(&told)
}

fn aligned(told: &str) -> Result<Vec<u64>> {
    let parts = told.lines().filter(|line| line.trim_start().starts_with("LOAD"));
    let size = |line: &str| {
        let last = line.split_whitespace().last().and_then(|word| word.strip_prefix("0x")).context("an alignment")?;
        Ok(u64::from_str_radix(last, 16)?)
    };
    parts.map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_those_of_every_part() {
        let told = "  Type  Offset   VirtAddr Align\n  LOAD 0x000000 0x0000 R   0x4000\n  LOAD 0x200 0x200 R E 0x1000\n  NOTE 0x1 0x4\n";
        assert_eq!(aligned(told).unwrap(), [0x4000, 0x1000]);
    }

    #[test]
    fn exports_are_what_is_defined() {
        let elf = "0001 g    DF .text  0010  Base        uniffi_a\n0000      DF *UND*  0000 (GLIBC_2.2.5) free\n";
        assert_eq!(exports_of_elf(elf), ["uniffi_a"]);
        let dll = "[Ordinal/Name Pointer] Table\n\t[   0] +base[   1] 0000 uniffi_a\n\t[   1] +base[   2] 0001 b\n\nThe Function Table\n\t[ no ]";
        assert_eq!(exports_of_dll(dll), ["uniffi_a", "b"]);
    }
}
