//! The programs that `cargo xtask bench ffi` runs: a folder a language, with the library as it is handed out.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{csharp, dotnet, jvm, natives, place};
use crate::run::{Cargo, target};

/// Builds them; the folder that they lie in. The library's own side is a program of the profile that is named.
pub(crate) fn prepare(profile: &str) -> Result<PathBuf> {
    let folder = place("bench");
    Cargo::new(["build", "--quiet", "--profile", profile, "-p", "madang-sdk-ffi", "--example", "boundary"]).run()?;
    start(&folder, "rust", "bench", Cargo::program(target().join(profile).join("examples/boundary")))?;
    let library = natives::release()?;
    csharp::build()?;
    for (program, call) in [("bench", "Bench"), ("torture", "Torture")] {
        start(&folder, "csharp", program, csharp::on_mono(&library, &folder.join("csharp"), call)?)?;
    }
    if dotnet::EXISTS {
        let core = csharp::Core::build()?;
        for (program, call) in [("bench", "Bench"), ("torture", "Torture")] {
            start(&folder, "csharp-core", program, core.with(&library, &folder.join("csharp-core"), call)?)?;
        }
    }
    jvm::build()?;
    for (language, program, call) in jvm::measured(&library) {
        start(&folder, language, program, call)?;
    }
    Ok(folder)
}

/// Writes down how a program is started, as a program.
fn start(folder: &Path, language: &str, program: &str, call: Cargo) -> Result<()> {
    let call: Command = call.into_command();
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy());
    let settings =
        call.get_envs().filter_map(|(name, value)| Some(format!("export {}={}\n", name.to_str()?, quoted(value?))));
    let words = std::iter::once(call.get_program()).chain(call.get_args()).map(quoted);
    let text =
        format!("#!/bin/sh\n{}exec {} \"$@\"\n", settings.collect::<String>(), words.collect::<Vec<_>>().join(" "));
    let path = folder.join(language).join(program);
    fs::create_dir_all(folder.join(language))?;
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
