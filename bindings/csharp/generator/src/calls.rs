//! Functions, methods and constructors.

use anyhow::Result;
use uniffi_bindgen::interface::{Argument, AsType as _, FfiFunction, FfiType, Type};

use crate::{Generator, docs, names, text::Text};

/// A call to be written.
pub(crate) struct Call<'a> {
    pub(crate) name: String,
    pub(crate) docs: Option<&'a str>,
    pub(crate) asynchronous: bool,
    /// On an object.
    pub(crate) method: bool,
    pub(crate) arguments: Vec<&'a Argument>,
    pub(crate) returned: Option<&'a Type>,
    pub(crate) thrown: Option<&'a Type>,
    pub(crate) function: &'a FfiFunction,
}

impl Generator<'_> {
    /// Functions that belong to nothing.
    pub(crate) fn functions(&self, text: &mut Text) -> Result<()> {
        if self.interface.function_definitions().is_empty() {
            return Ok(());
        }
        text.line("/// <summary>What needs no object.</summary>");
        text.open(&format!("public static partial class {}Functions", names::upper(self.interface.namespace())));
        for function in self.interface.function_definitions() {
            let call = Call {
                name: names::upper(function.name()),
                docs: function.docstring(),
                asynchronous: function.is_async(),
                method: false,
                arguments: function.arguments(),
                returned: function.return_type(),
                thrown: function.throws_type(),
                function: function.ffi_func(),
            };
            self.call(text, &call)?;
        }
        text.close();
        Ok(())
    }

    pub(crate) fn call(&self, text: &mut Text, call: &Call<'_>) -> Result<()> {
        docs::write(text, call.docs);
        if let Some(thrown) = call.thrown {
            let thrown = self.ty(thrown).replace("global::", "");
            text.line(&format!("/// <exception cref=\"{thrown}\">The call failed.</exception>"));
        }
        let parameters = self.parameters(&call.arguments)?;
        let fixed = if call.method { "" } else { "static " };
        let name = &call.name;
        let returned = call.returned.map(|ty| self.ty(ty));
        if call.asynchronous {
            let token = "CancellationToken cancellationToken = default(CancellationToken)".to_owned();
            let parameters: Vec<String> = parameters.into_iter().chain([token]).collect();
            let task = returned.map_or("Task".to_owned(), |ty| format!("Task<{ty}>"));
            text.open(&format!("public {fixed}{task} {name}Async({})", parameters.join(", ")));
            self.begin(text, call);
            self.waited(text, call)?;
        } else {
            let returned = returned.unwrap_or_else(|| "void".into());
            text.open(&format!("public {fixed}{returned} {name}({})", parameters.join(", ")));
            self.begin(text, call);
            Self::at_once(text, call);
        }
        text.close();
        Ok(())
    }

    fn parameters(&self, arguments: &[&Argument]) -> Result<Vec<String>> {
        let first = arguments.iter().rposition(|argument| argument.default_value().is_none()).map_or(0, |at| at + 1);
        let mut found = Vec::new();
        for (at, argument) in arguments.iter().enumerate() {
            let ty = argument.as_type();
            let default = argument.default_value().filter(|_| at >= first);
            let default = default.map(|value| self.default(&ty, value)).transpose()?;
            let default = default.map_or(String::new(), |(said, _)| format!(" = {said}"));
            found.push(format!("{} {}{default}", self.ty(&ty), names::argument(argument.name())));
        }
        Ok(found)
    }

    /// What comes before the call: the library is there, and absent arguments are what they stand for.
    fn begin(&self, text: &mut Text, call: &Call<'_>) {
        if !call.method {
            text.line("Library.Check();");
        }
        for argument in &call.arguments {
            let default = argument.default_value().and_then(|value| self.default(&argument.as_type(), value).ok());
            if let Some((_, Some(instead))) = default {
                let name = names::argument(argument.name());
                text.line(&format!("{name} = {name} ?? {instead};"));
            }
        }
    }

    /// The call of the library, arguments and all. What can throw comes first, the object and buffers last: what comes after
    /// them would leave them behind.
    fn handed(call: &Call<'_>, status: &str) -> (Vec<String>, String) {
        let mut before = Vec::new();
        let mut objects = Vec::new();
        let mut handed = Vec::new();
        for (at, argument) in call.arguments.iter().enumerate() {
            let (ty, name) = (argument.as_type(), names::argument(argument.name()));
            if let Some(value) = Self::encode(&ty, &name) {
                before.push(format!("var argument{at} = {value};"));
                handed.push(format!("argument{at}.Pass()"));
            } else {
                objects.push(format!("var argument{at} = {};", Self::lower(&ty, &name)));
                handed.push(format!("argument{at}"));
            }
        }
        before.append(&mut objects);
        if call.method {
            handed.insert(0, "Handle.ForCall()".into());
        }
        if !status.is_empty() {
            handed.push(status.to_owned());
        }
        (before, format!("Native.{}({})", call.function.name(), handed.join(", ")))
    }

    fn at_once(text: &mut Text, call: &Call<'_>) {
        let (before, native) = Self::handed(call, "ref status");
        text.lines(before.iter().map(String::as_str));
        text.line("var status = default(RustCallStatus);");
        let thrown = Self::thrown(call);
        match call.returned {
            None => text.line(&format!("{native}; Calls.Check(ref status, {thrown});")),
            Some(ty) => {
                text.line(&format!("var value = {native};"));
                text.line(&format!("Calls.Check(ref status, {thrown});"));
                text.line(&format!("return {};", Self::lift(ty, "value")));
            }
        }
    }

    fn waited(&self, text: &mut Text, call: &Call<'_>) -> Result<()> {
        let (before, native) = Self::handed(call, "");
        let start = format!("() => {{ {} return {native}; }}", before.join(" "));
        let ffi = call.returned.map(FfiType::from);
        let [poll, cancel, free, complete] = [
            self.interface.ffi_rust_future_poll(ffi.clone()),
            self.interface.ffi_rust_future_cancel(ffi.clone()),
            self.interface.ffi_rust_future_free(ffi.clone()),
            self.interface.ffi_rust_future_complete(ffi.clone()),
        ]
        .map(|function| format!("Native.{}", function.name()));
        let thrown = Self::thrown(call);
        let functions = format!("{poll}, {cancel}, {free}, {complete}");
        match (call.returned, ffi) {
            (Some(ty), Some(ffi)) => {
                let lift = Self::lift(ty, "value");
                let types = format!("{}, {}", Self::ffi(&ffi)?, self.ty(ty));
                text.line(&format!(
                    "return Calls.Await<{types}>({start}, {functions}, value => {lift}, {thrown}, cancellationToken);"
                ));
            }
            _ => text.line(&format!("return Calls.AwaitVoid({start}, {functions}, {thrown}, cancellationToken);")),
        }
        Ok(())
    }

    fn thrown(call: &Call<'_>) -> String {
        call.thrown.map_or("null".into(), |ty| format!("{}.Lift", Self::converter(ty)))
    }
}
