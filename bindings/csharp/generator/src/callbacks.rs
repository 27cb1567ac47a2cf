//! What the host implements and Rust calls.

use anyhow::{Result, bail};
use uniffi_bindgen::interface::{AsType as _, FfiCallbackFunction, FfiFunction, FfiType, Method, Type};

use crate::{Generator, docs, names, native::parameters, text::Text};

/// An interface of the host.
struct Interface<'a> {
    name: &'a str,
    docs: Option<&'a str>,
    ty: Type,
    methods: Vec<(FfiCallbackFunction, Method)>,
    table: String,
    begin: &'a FfiFunction,
}

impl Generator<'_> {
    pub(crate) fn callbacks(&self, text: &mut Text) -> Result<()> {
        for object in self.interface.object_definitions().iter().filter(|object| object.has_callback_interface()) {
            let table = object.vtable_definition().map(|table| table.name().to_owned()).unwrap_or_default();
            let found = Interface {
                name: object.name(),
                docs: object.docstring(),
                ty: object.as_type(),
                methods: object.vtable_methods(),
                table,
                begin: object.ffi_init_callback(),
            };
            self.interface_of_host(text, &found)?;
        }
        for callback in self.interface.callback_interface_definitions() {
            let found = Interface {
                name: callback.name(),
                docs: callback.docstring(),
                ty: callback.as_type(),
                methods: callback.vtable_methods(),
                table: callback.vtable_definition().name().to_owned(),
                begin: callback.ffi_init_callback(),
            };
            self.interface_of_host(text, &found)?;
        }
        Ok(())
    }

    fn interface_of_host(&self, text: &mut Text, found: &Interface<'_>) -> Result<()> {
        docs::write(text, found.docs);
        text.open(&format!("public interface {}", names::interface(found.name)));
        for (_, method) in &found.methods {
            docs::write(text, method.docstring());
            text.line(&self.signature(method));
        }
        text.close();
        self.bridge(text, found)
    }

    fn signature(&self, method: &Method) -> String {
        let argument = |argument: &&uniffi_bindgen::interface::Argument| {
            format!("{} {}", self.ty(&argument.as_type()), names::argument(argument.name()))
        };
        let mut arguments: Vec<String> = method.arguments().iter().map(argument).collect();
        let returned = method.return_type().map(|ty| self.ty(ty));
        let name = names::upper(method.name());
        if method.is_async() {
            arguments.push("CancellationToken cancellationToken".into());
            let task = returned.map_or("Task".into(), |ty| format!("Task<{ty}>"));
            return format!("{task} {name}Async({});", arguments.join(", "));
        }
        format!("{} {name}({});", returned.unwrap_or_else(|| "void".into()), arguments.join(", "))
    }

    fn bridge(&self, text: &mut Text, found: &Interface<'_>) -> Result<()> {
        let host = self.ty(&found.ty);
        text.open(&format!("internal static class {}", Self::converter(&found.ty)));
        text.line(&format!("internal static readonly HandleMap<{host}> Held = new HandleMap<{host}>();"));
        text.line("// Kept for as long as the process lives: Rust calls them.");
        text.line("static readonly UniffiCallbackInterfaceFree free = handle => { Held.Remove(handle); };");
        text.line("static readonly UniffiCallbackInterfaceClone clone = handle => Held.Clone(handle);");
        for (callback, method) in &found.methods {
            if method.is_async() {
                self.answered_later(text, callback, method)?;
            } else {
                self.answered(text, callback, method)?;
            }
        }
        if found.methods.iter().any(|(_, method)| method.is_async()) {
            text.line(
                "static readonly HandleMap<CancellationTokenSource> waits = new HandleMap<CancellationTokenSource>();",
            );
            text.line("static readonly UniffiForeignFutureDroppedCallback dropped = handle => { var wait = waits.Remove(handle); if (wait != null) wait.Cancel(); };");
        }
        table(text, &names::upper(found.name), found);
        text.line(&format!("internal static ulong Lower({host} value) {{ return Held.Insert(value); }}"));
        text.open(&format!("internal static {host} Lift(ulong handle)"));
        text.line("if ((handle & 1) == 0) throw new NotSupportedException(\"an implementation in Rust of what the host implements\");");
        text.line("return Held.Remove(handle);");
        text.close();
        text.line(&format!("internal static {host} Read(Reader reader) {{ return Lift(reader.U64()); }}"));
        text.line(&format!("internal static void Write(Writer writer, {host} value) {{ writer.U64(Lower(value)); }}"));
        text.close();
        Ok(())
    }

    fn lifted(method: &Method) -> Vec<String> {
        let lift = |argument: &&uniffi_bindgen::interface::Argument| {
            Self::lift(&argument.as_type(), &names::argument(argument.name()))
        };
        method.arguments().iter().map(lift).collect()
    }

    /// What the host throws is an error of Rust's: its own kind, or an unexpected one.
    fn caught(&self, text: &mut Text, method: &Method, status: &str) {
        if let Some(thrown) = method.throws_type() {
            let convert = Self::converter(thrown);
            text.line(&format!(
                "catch ({} thrown) {{ {status}.Code = 1; {status}.ErrorBuf = {convert}.Encode(thrown).Pass(); }}",
                self.ty(thrown)
            ));
        }
        text.line(&format!(
            "catch (Exception thrown) {{ {status}.Code = 2; {status}.ErrorBuf = Buffers.OfFailure(thrown); }}"
        ));
    }

    fn answered(&self, text: &mut Text, callback: &FfiCallbackFunction, method: &Method) -> Result<()> {
        let name = names::upper(method.name());
        let mut arguments = parameters(callback)?;
        arguments.push("ref RustCallStatus status".into());
        let ty = names::upper(callback.name());
        text.open(&format!("static readonly Uniffi{ty} on{name} = ({}) =>", arguments.join(", ")));
        text.open("try");
        let call = format!("Held.Get(uniffiHandle).{name}({})", Self::lifted(method).join(", "));
        match method.return_type() {
            None => text.line(&format!("{call};")),
            Some(ty) => text.line(&put(&FfiType::from(ty), &Self::lower(ty, &call))?),
        }
        text.close();
        self.caught(text, method, "status");
        text.end("};");
        Ok(())
    }

    fn answered_later(&self, text: &mut Text, callback: &FfiCallbackFunction, method: &Method) -> Result<()> {
        let name = names::upper(method.name());
        let result = format!("Uniffi{}", names::upper(method.foreign_future_ffi_result_struct().name()));
        let ffi = method.return_type().map(FfiType::from);
        let done = format!("UniffiForeignFutureComplete{}", names::upper(&FfiType::return_type_name(ffi.as_ref())));
        let ty = names::upper(callback.name());
        text.open(&format!("static readonly Uniffi{ty} on{name} = ({}) =>", parameters(callback)?.join(", ")));
        text.line("var host = Held.Get(uniffiHandle);");
        for (at, value) in Self::lifted(method).iter().enumerate() {
            text.line(&format!("var argument{at} = {value};"));
        }
        text.line("var wait = new CancellationTokenSource();");
        text.line("uniffiOutDroppedCallback.Handle = waits.Insert(wait);");
        text.line("uniffiOutDroppedCallback.Free = Marshal.GetFunctionPointerForDelegate(dropped);");
        text.line(&format!(
            "var done = ({done})Marshal.GetDelegateForFunctionPointer(uniffiFutureCallback, typeof({done}));"
        ));
        text.open("Task.Run(async () =>");
        text.line(&format!("var result = default({result});"));
        text.open("try");
        let mut handed: Vec<String> = (0..method.arguments().len()).map(|at| format!("argument{at}")).collect();
        handed.push("wait.Token".into());
        let call = format!("await host.{name}Async({}).ConfigureAwait(false)", handed.join(", "));
        match method.return_type() {
            None => text.line(&format!("{call};")),
            Some(ty) => {
                text.line(&format!("var value = {call};"));
                text.line(&format!("result.ReturnValue = {};", Self::lower(ty, "value")));
            }
        }
        text.close();
        self.caught(text, method, "result.CallStatus");
        text.line("done(uniffiCallbackData, result);");
        text.end("});");
        text.end("};");
        Ok(())
    }
}

/// The table that Rust finds the host's functions in.
fn table(text: &mut Text, class: &str, found: &Interface<'_>) {
    let pointer = |delegate: &str| format!("Marshal.GetFunctionPointerForDelegate({delegate})");
    let mut fields = vec![format!("UniffiFree = {}", pointer("free")), format!("UniffiClone = {}", pointer("clone"))];
    for (_, method) in &found.methods {
        let name = names::upper(method.name());
        fields.push(format!("{name} = {}", pointer(&format!("on{name}"))));
    }
    let table = format!("Uniffi{}", names::upper(&found.table));
    text.open(&format!("static ConvertObject{class}()"));
    text.line(&format!("var table = new {table} {{ {} }};", fields.join(", ")));
    text.line(&format!("var place = Marshal.AllocHGlobal(Marshal.SizeOf(typeof({table})));"));
    text.line("Marshal.StructureToPtr(table, place, false);");
    text.line(&format!("Native.{}(place);", found.begin.name()));
    text.close();
}

/// Puts an answer where Rust wants it.
fn put(ty: &FfiType, value: &str) -> Result<String> {
    Ok(match ty {
        FfiType::UInt8 => format!("Marshal.WriteByte(uniffiOutReturn, {value});"),
        FfiType::Int8 => format!("Marshal.WriteByte(uniffiOutReturn, (byte){value});"),
        FfiType::Int16 => format!("Marshal.WriteInt16(uniffiOutReturn, {value});"),
        FfiType::UInt16 => format!("Marshal.WriteInt16(uniffiOutReturn, (short){value});"),
        FfiType::Int32 => format!("Marshal.WriteInt32(uniffiOutReturn, {value});"),
        FfiType::UInt32 => format!("Marshal.WriteInt32(uniffiOutReturn, (int){value});"),
        FfiType::Int64 => format!("Marshal.WriteInt64(uniffiOutReturn, {value});"),
        FfiType::UInt64 | FfiType::Handle => format!("Marshal.WriteInt64(uniffiOutReturn, (long){value});"),
        FfiType::Float64 => format!("Marshal.WriteInt64(uniffiOutReturn, BitConverter.DoubleToInt64Bits({value}));"),
        FfiType::RustBuffer(_) => format!("Marshal.StructureToPtr({value}, uniffiOutReturn, false);"),
        other => bail!("a callback that answers {other:?} is not supported"),
    })
}
