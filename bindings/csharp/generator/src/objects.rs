//! Objects of Rust.

use anyhow::Result;
use uniffi_bindgen::interface::{AsType as _, Object};

use crate::{Generator, calls::Call, docs, names, text::Text};

impl Generator<'_> {
    pub(crate) fn objects(&self, text: &mut Text) -> Result<()> {
        let rust = self.interface.object_definitions().iter().filter(|object| !object.has_callback_interface());
        rust.into_iter().try_for_each(|object| self.object_class(text, object))
    }

    fn object_class(&self, text: &mut Text, object: &Object) -> Result<()> {
        let name = names::upper(object.name());
        docs::write(text, object.docstring());
        text.open(&format!("public sealed partial class {name} : IDisposable"));
        text.line("internal readonly ObjectHandle Handle;");
        text.line(&format!(
            "internal {name}(ulong handle) {{ Handle = new ObjectHandle(handle, Native.{}, Native.{}); }}",
            object.ffi_object_clone().name(),
            object.ffi_object_free().name()
        ));
        text.line("/// <summary>Lets go of the object. Calls that run end as usual; later ones throw ObjectDisposedException.</summary>");
        text.line("public void Dispose() { Handle.Dispose(); }");
        let ty = object.as_type();
        for constructor in object.constructors() {
            let call = Call {
                name: names::upper(constructor.name()),
                docs: constructor.docstring(),
                asynchronous: constructor.is_async(),
                method: false,
                arguments: constructor.arguments(),
                returned: Some(&ty),
                thrown: constructor.throws_type(),
                function: constructor.ffi_func(),
            };
            self.call(text, &call)?;
        }
        for method in object.methods() {
            let call = Call {
                name: names::upper(method.name()),
                docs: method.docstring(),
                asynchronous: method.is_async(),
                method: true,
                arguments: method.arguments(),
                returned: method.return_type(),
                thrown: method.throws_type(),
                function: method.ffi_func(),
            };
            self.call(text, &call)?;
        }
        text.close();
        Ok(())
    }
}
