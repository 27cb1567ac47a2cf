//! Swift: uniffi's generator, and a thin package over it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{LIBRARY, built, check_quotes, generate, place};
use crate::run::{Cargo, root};

/// What of the package is not generated.
const WRITTEN: [&str; 7] = [
    "Package.swift",
    "Sources/Madang/Changes.swift",
    "Sources/Madang/Errors.swift",
    "Sources/Madang/Operation.swift",
    "Sources/Madang/Tokens.swift",
    "example/Rooms.swift",
    "Sources/MadangFFI/module.modulemap",
];
/// What is, and where it belongs.
const GENERATED: [(&str, &str); 2] =
    [("Madang.swift", "Sources/Madang/Madang.swift"), ("MadangFFI.h", "Sources/MadangFFI/MadangFFI.h")];

/// Generates the code and puts the package together; where there is a compiler, compiles it. Tells whether there was one.
pub(super) fn build() -> Result<bool> {
    generate("swift")?;
    let package = place("swift").join("package");
    for file in WRITTEN {
        copy(&root().join("bindings/swift").join(file), &package.join(file))?;
    }
    for (file, to) in GENERATED {
        copy(&place("swift").join("generated").join(file), &package.join(to))?;
    }
    let there = Cargo::program("swiftc").args(["--version"]).succeeds();
    if there {
        let library = built(LIBRARY).with_file_name("");
        Cargo::program("swift")
            .args(["build", "--package-path"])
            .arg(&package)
            .args(["-Xlinker", "-L"])
            .args(["-Xlinker".as_ref(), library.as_os_str()])
            .run()?;
    }
    Ok(there)
}

/// The part of the tests.
pub(super) fn test() -> Result<()> {
    check_quotes("docs/swift.md", "swift", "bindings/swift/example/Rooms.swift")?;
    if !build()? {
        println!("Swift: generated and put together, and compiled by nothing: there is no swiftc here");
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    Ok(())
}
