//! `madang-bindings-generate LANGUAGE LIBRARY --config FILE --out FOLDER`
//!
//! uniffi's own generators as a program of this workspace, so that the version of what they write is the version of what they
//! read. C# has a generator of its own.

use std::fs;

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Parser, ValueEnum};
use uniffi_bindgen::bindings::{GenerateOptions, TargetLanguage, generate};

/// Writes the Kotlin or the Swift of a library that uniffi describes.
#[derive(Parser)]
struct Arguments {
    /// The language.
    language: Language,
    /// The library, not stripped: .so, .dylib, .dll or .a.
    library: Utf8PathBuf,
    /// Names and whatever else is not in the library.
    #[arg(long)]
    config: Utf8PathBuf,
    /// The folder to write to.
    #[arg(long)]
    out: Utf8PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Kotlin,
    Swift,
}

fn main() -> Result<()> {
    let Arguments { language, library, config, out } = Arguments::parse();
    let target = match language {
        Language::Kotlin => TargetLanguage::Kotlin,
        Language::Swift => TargetLanguage::Swift,
    };
    generate(GenerateOptions {
        languages: vec![target],
        source: library,
        out_dir: out.clone(),
        config_override: Some(config),
        ..GenerateOptions::default()
    })?;
    if matches!(language, Language::Kotlin) { give_back(&out.join("madang/madang.kt")) } else { Ok(()) }
}

/// How uniffi's Kotlin calls an object.
const CALL: &str = "            return block(this.uniffiCloneHandle())\n";

/// What it is to do when an argument cannot be passed.
const CALL_OR_GIVE_BACK: &str = "            val taken = this.uniffiCloneHandle()
            try {
                return block(taken)
            } catch (refused: java.nio.charset.CharacterCodingException) {
                UniffiCleanAction(taken).run()
                throw refused
            } catch (refused: IllegalArgumentException) {
                UniffiCleanAction(taken).run()
                throw refused
            } catch (refused: NullPointerException) {
                UniffiCleanAction(taken).run()
                throw refused
            }
";

/// uniffi 0.32.2 takes hold of an object before it looks at the arguments of a call. One that cannot be passed, as half a pair of
/// surrogates or a negative duration, would keep the object alive for good: a client with its store and its threads. These
/// exceptions come from arguments alone, before Rust is called and takes over what was taken.
fn give_back(file: &Utf8Path) -> Result<()> {
    let code = fs::read_to_string(file)?;
    ensure!(code.contains(CALL), "uniffi calls objects in another way: is this mended there?");
    let code = code.replace(CALL, CALL_OR_GIVE_BACK);
    // What is inlined sees nothing that is private.
    Ok(fs::write(file, code.replace("private class UniffiCleanAction", "internal class UniffiCleanAction"))?)
}
