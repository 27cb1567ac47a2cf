//! `madang-bindings-generate LANGUAGE LIBRARY --config FILE --out FOLDER`
//!
//! uniffi's own generators as a program of this workspace, so that the version of what they write is the version of what they
//! read. C# has a generator of its own.

use anyhow::Result;
use camino::Utf8PathBuf;
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
    let language = match language {
        Language::Kotlin => TargetLanguage::Kotlin,
        Language::Swift => TargetLanguage::Swift,
    };
    generate(GenerateOptions {
        languages: vec![language],
        source: library,
        out_dir: out,
        config_override: Some(config),
        ..GenerateOptions::default()
    })
}
