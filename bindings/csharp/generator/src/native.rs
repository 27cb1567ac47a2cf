//! The functions and structures of the library, as C# declares them.

use anyhow::Result;
use uniffi_bindgen::interface::{FfiCallbackFunction, FfiDefinition, FfiFunction, FfiStruct, FfiType};

use crate::{Generator, names, text::Text};

impl Generator<'_> {
    pub(crate) fn native(&self, text: &mut Text, library: &str) -> Result<()> {
        let mut functions = Vec::new();
        for definition in self.interface.ffi_definitions() {
            match definition {
                FfiDefinition::CallbackFunction(callback) => delegate(text, &callback)?,
                FfiDefinition::Struct(structure) => layout(text, &structure)?,
                FfiDefinition::Function(function) => functions.push(function),
            }
        }
        text.open("internal static class Native");
        for function in &functions {
            text.line(&format!("[DllImport(\"{library}\", CallingConvention = CallingConvention.Cdecl)]"));
            text.line(&declaration(function)?);
        }
        text.close();
        Ok(())
    }

    /// The check that library and code were made for each other.
    pub(crate) fn check(&self, text: &mut Text, library: &str) {
        let version = self.interface.ffi_uniffi_contract_version();
        text.line("/// <summary>The native library is missing, or it is not the one that this code was generated for.</summary>");
        text.open("public sealed class NativeLibraryException : Exception");
        text.line("internal NativeLibraryException(string message, Exception cause) : base(message, cause) { }");
        text.close();
        text.open("internal static class Library");
        text.line("static volatile bool good;");
        text.open("internal static void Check()");
        text.line("if (good) return;");
        text.line("try { Compare(); }");
        text.line(&format!(
            "catch (DllNotFoundException cause) {{ throw new NativeLibraryException(Missing(\"{library}\"), cause); }}"
        ));
        text.line("catch (BadImageFormatException cause) { throw new NativeLibraryException(\"the native library is for another processor: \" + cause.Message, cause); }");
        text.line("catch (EntryPointNotFoundException cause) { throw new NativeLibraryException(\"the native library is of another version: \" + cause.Message, cause); }");
        text.line("good = true;");
        text.close();
        text.open("static string Missing(string name)");
        text.line("return \"the native library was not found: lib\" + name + \".so, \" + name + \".dll or lib\" + name + \".dylib, looked for in \" + AppDomain.CurrentDomain.BaseDirectory + \" and where the system looks\";");
        text.close();
        text.open("static void Compare()");
        text.line(&format!(
            "Expect(\"the boundary\", {}, Native.{}());",
            self.interface.uniffi_contract_version(),
            version.name()
        ));
        for (function, checksum) in self.interface.iter_checksums() {
            text.line(&format!("Expect(\"{function}\", {checksum}, Native.{function}());"));
        }
        text.close();
        text.open("static void Expect(string what, uint expected, uint found)");
        text.line("if (expected != found) throw new NativeLibraryException(\"the native library is of another version: \" + what + \" differs\", null);");
        text.close();
        text.close();
    }
}

fn declaration(function: &FfiFunction) -> Result<String> {
    let mut arguments = Vec::new();
    for argument in function.arguments() {
        // A table of functions must stay where it is.
        let pointer = matches!(argument.type_(), FfiType::Reference(_));
        let ty = if pointer { "IntPtr".to_owned() } else { Generator::ffi(&argument.type_())? };
        arguments.push(format!("{ty} {}", names::argument(argument.name())));
    }
    if function.has_rust_call_status_arg() {
        arguments.push("ref RustCallStatus status".into());
    }
    let returned = function.return_type().map_or(Ok("void".into()), Generator::ffi)?;
    Ok(format!("internal static extern {returned} {}({});", function.name(), arguments.join(", ")))
}

fn delegate(text: &mut Text, callback: &FfiCallbackFunction) -> Result<()> {
    let mut arguments = parameters(callback)?;
    if callback.has_rust_call_status_arg() {
        arguments.push("ref RustCallStatus status".into());
    }
    let returned = callback.return_type().map_or(Ok("void".into()), Generator::ffi)?;
    text.line("[UnmanagedFunctionPointer(CallingConvention.Cdecl)]");
    text.line(&format!(
        "internal delegate {returned} Uniffi{}({});",
        names::upper(callback.name()),
        arguments.join(", ")
    ));
    Ok(())
}

/// Arguments of a callback. Where Rust wants its answer is a pointer, which may lead nowhere.
pub(crate) fn parameters(callback: &FfiCallbackFunction) -> Result<Vec<String>> {
    let parameter = |argument: &uniffi_bindgen::interface::FfiArgument| {
        let ty = match (argument.name(), argument.type_()) {
            ("uniffi_out_return", _) | (_, FfiType::Callback(_)) => "IntPtr".to_owned(),
            (_, ty) => Generator::ffi(&ty)?,
        };
        Ok(format!("{ty} {}", names::argument(argument.name())))
    };
    callback.arguments().into_iter().map(parameter).collect()
}

fn layout(text: &mut Text, structure: &FfiStruct) -> Result<()> {
    text.line("[StructLayout(LayoutKind.Sequential)]");
    text.open(&format!("internal struct Uniffi{}", names::upper(structure.name())));
    for field in structure.fields() {
        let ty = match field.type_() {
            FfiType::Callback(_) => "IntPtr".to_owned(),
            ty => Generator::ffi(&ty)?,
        };
        text.line(&format!("public {ty} {};", names::upper(field.name())));
    }
    text.close();
    Ok(())
}
