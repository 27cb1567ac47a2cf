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

/// How uniffi's Kotlin calls an object, and makes buffers of arguments; and what it is to do instead.
const CHANGES: [(&str, &str); 5] = [
    (
        "            return block(this.uniffiCloneHandle())\n",
        "            val taken = this.uniffiCloneHandle()
            return uniffiPassing({ UniffiCleanAction(taken).run() }) { block(taken) }
",
    ),
    // What is inlined sees nothing that is private.
    ("private class UniffiCleanAction", "internal class UniffiCleanAction"),
    (
        "        rbuf.asByteBuffer()!!.put(byteBuf)
        return rbuf
",
        "        rbuf.asByteBuffer()!!.put(byteBuf)
        return uniffiPassed(rbuf)
",
    ),
    (
        "            rbuf.writeField(\"len\", bbuf.position().toLong())
            return rbuf
",
        "            rbuf.writeField(\"len\", bbuf.position().toLong())
            return uniffiPassed(rbuf)
",
    ),
    ("uniffiRustCallAsync(\n        UniffiLib.", "uniffiRustCallAsync(\n        uniffiPassing({}) { UniffiLib."),
];

/// Ends what the last of the changes begins: the arguments of a function without an object.
const END: (&str, &str) =
    ("),\n        { future, callback, continuation", ") },\n        { future, callback, continuation");

/// Gives back what an argument that cannot be passed has left: the object, and the buffers of the arguments before it.
const PASSING: &str = "
/** Buffers of the arguments of the call that this thread is about to make. */
internal val uniffiBuffers = ThreadLocal<ArrayList<RustBuffer.ByValue>?>()

internal fun uniffiPassed(buffer: RustBuffer.ByValue): RustBuffer.ByValue = buffer.also { uniffiBuffers.get()?.add(it) }

/** A call, arguments and all. These exceptions come from arguments alone, before Rust is called and takes over what was taken. */
internal inline fun <T> uniffiPassing(giveBack: () -> Unit, call: () -> T): T {
    val outer = uniffiBuffers.get()
    val buffers = ArrayList<RustBuffer.ByValue>(4)
    uniffiBuffers.set(buffers)
    try {
        return call()
    } catch (refused: java.nio.charset.CharacterCodingException) {
        buffers.forEach { RustBuffer.free(it) }
        giveBack()
        throw refused
    } catch (refused: IllegalArgumentException) {
        buffers.forEach { RustBuffer.free(it) }
        giveBack()
        throw refused
    } catch (refused: NullPointerException) {
        buffers.forEach { RustBuffer.free(it) }
        giveBack()
        throw refused
    } finally {
        uniffiBuffers.set(outer)
    }
}
";

/// uniffi 0.32.2 takes hold of an object before it looks at the arguments of a call, and of memory for each argument before it
/// looks at the next. One that cannot be passed, as half a pair of surrogates or a negative duration, would keep them for
/// good: a client with its store and its threads among them.
fn give_back(file: &Utf8Path) -> Result<()> {
    let mut code = fs::read_to_string(file)?;
    for (old, new) in CHANGES {
        ensure!(code.contains(old), "uniffi calls in another way, without {old:?}: is this mended there?");
        code = code.replace(old, new);
    }
    let mut parts = code.split("uniffiPassing({}) { UniffiLib.");
    let mut mended = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        ensure!(part.contains(END.0), "uniffi waits in another way: is this mended there?");
        mended += "uniffiPassing({}) { UniffiLib.";
        mended += &part.replacen(END.0, END.1, 1);
    }
    Ok(fs::write(file, mended + PASSING)?)
}
