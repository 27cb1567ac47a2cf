//! `madang-csharp-generator LIBRARY --namespace NAME --out FILE`

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use clap::Parser;

/// Writes the C# of a Rust library that uniffi describes.
#[derive(Parser)]
struct Arguments {
    /// The library, not stripped: .so, .dylib, .dll or .a.
    library: Utf8PathBuf,
    /// Namespace of everything.
    #[arg(long)]
    namespace: String,
    /// The file to write.
    #[arg(long)]
    out: Utf8PathBuf,
}

fn main() -> Result<()> {
    let Arguments { library, namespace, out } = Arguments::parse();
    let code = madang_csharp_generator::generate(&library, &namespace)?;
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{folder} cannot be made"))?;
    }
    std::fs::write(&out, code).with_context(|| format!("{out} cannot be written"))
}
