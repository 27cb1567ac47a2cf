//! Records, enums and errors, as C# has them: they do not change, and are equal when all that is in them is.

use anyhow::Result;
use uniffi_bindgen::interface::{Enum, Field};

use crate::{Generator, converters::field_type, docs, names, text::Text};

/// A class to be written.
struct Class<'a> {
    head: String,
    name: String,
    fields: &'a [Field],
    /// What comes behind the constructor's arguments.
    base: &'a str,
    /// It is an exception: equality is not its business.
    thrown: bool,
}

impl Generator<'_> {
    pub(crate) fn values(&self, text: &mut Text) -> Result<()> {
        for record in self.interface.record_definitions() {
            docs::write(text, record.docstring());
            let name = names::upper(record.name());
            let head = format!("public sealed partial class {name}");
            self.class(text, &Class { head, name, fields: record.fields(), base: "", thrown: false })?;
        }
        for found in self.interface.enum_definitions() {
            docs::write(text, found.docstring());
            if self.is_plain(found.name()) {
                plain(text, found);
            } else if self.interface.is_name_used_as_error(found.name()) {
                self.error(text, found)?;
            } else {
                self.cases(text, found)?;
            }
        }
        Ok(())
    }

    fn cases(&self, text: &mut Text, found: &Enum) -> Result<()> {
        let name = names::upper(found.name());
        text.open(&format!("public abstract partial class {name}"));
        text.line(&format!("internal {name}() {{ }}"));
        for case in found.variants() {
            docs::write(text, case.docstring());
            let own = names::upper(case.name());
            let head = format!("public sealed partial class {own} : global::{}.{name}", self.namespace);
            self.class(text, &Class { head, name: own, fields: case.fields(), base: "", thrown: false })?;
        }
        text.close();
        Ok(())
    }

    fn error(&self, text: &mut Text, found: &Enum) -> Result<()> {
        let name = names::exception(found.name());
        if let ([case], true) = (found.variants(), self.is_single(found)) {
            let head = format!("public sealed partial class {name} : Exception");
            return if found.is_flat() {
                flat(text, &head, &name);
                Ok(())
            } else {
                self.class(text, &Class { head, name, fields: case.fields(), base: "", thrown: true })
            };
        }
        text.open(&format!("public abstract partial class {name} : Exception"));
        text.line(&format!("internal {name}(string message) : base(message) {{ }}"));
        for case in found.variants() {
            docs::write(text, case.docstring());
            let own = names::upper(case.name());
            let head = format!("public sealed partial class {own} : global::{}.{name}", self.namespace);
            if found.is_flat() {
                flat(text, &head, &own);
            } else {
                let base = format!(" : base(\"{own}\")");
                self.class(text, &Class { head, name: own, fields: case.fields(), base: &base, thrown: true })?;
            }
        }
        text.close();
        Ok(())
    }

    fn class(&self, text: &mut Text, class: &Class<'_>) -> Result<()> {
        let members: Vec<String> = class
            .fields
            .iter()
            .enumerate()
            .map(|(index, field)| names::field(field.name(), index, class.fields.len() == 1, &class.name))
            .collect();
        text.open(&class.head);
        for (field, member) in class.fields.iter().zip(&members) {
            docs::write(text, field.docstring());
            text.line(&format!(
                "public {} {} {{ get; private set; }}",
                self.ty(&field_type(field)),
                names::upper(member)
            ));
        }
        self.constructor(text, class, &members)?;
        if !class.thrown {
            equality(text, &class.name, &members);
        }
        text.close();
        Ok(())
    }

    fn constructor(&self, text: &mut Text, class: &Class<'_>, members: &[String]) -> Result<()> {
        // Only arguments behind which all others have a default may have one.
        let first = class.fields.iter().rposition(|field| field.default_value().is_none()).map_or(0, |at| at + 1);
        let mut arguments = Vec::new();
        let mut sets = Vec::new();
        for (at, (field, member)) in class.fields.iter().zip(members).enumerate() {
            let (argument, ty) = (names::argument(member), field_type(field));
            let default =
                field.default_value().filter(|_| at >= first).map(|value| self.default(&ty, value)).transpose()?;
            let (said, instead) =
                default.map_or((String::new(), None), |(said, instead)| (format!(" = {said}"), instead));
            arguments.push(format!("{} {argument}{said}", self.ty(&ty)));
            let instead = instead.map(|value| format!(" ?? {value}")).unwrap_or_default();
            sets.push(format!("{} = {argument}{instead};", names::upper(member)));
        }
        text.line(&format!("/// <summary>A {} of these parts.</summary>", class.name));
        text.open(&format!("public {}({}){}", class.name, arguments.join(", "), class.base));
        text.lines(sets.iter().map(String::as_str));
        text.close();
        Ok(())
    }
}

fn equality(text: &mut Text, name: &str, members: &[String]) {
    let same = |member: &String| format!(" && Same.As({0}, it.{0})", names::upper(member));
    let hash = |member: &String| format!("hash = hash * 31 + Same.Hash({});", names::upper(member));
    text.line("/// <summary>Whether all parts are equal.</summary>");
    text.open("public override bool Equals(object other)");
    text.line(&format!("var it = other as {name};"));
    text.line(&format!("return it != null{};", members.iter().map(same).collect::<String>()));
    text.close();
    text.line("/// <summary>Of the parts.</summary>");
    text.open("public override int GetHashCode()");
    text.line(&format!("var hash = {};", name.len()));
    for member in members {
        text.line(&hash(member));
    }
    text.line("return hash;");
    text.close();
}

fn flat(text: &mut Text, head: &str, name: &str) {
    text.open(head);
    text.line("/// <summary>A failure in these words.</summary>");
    text.line(&format!("public {name}(string message) : base(message) {{ }}"));
    text.close();
}

fn plain(text: &mut Text, found: &Enum) {
    text.open(&format!("public enum {}", names::upper(found.name())));
    for case in found.variants() {
        docs::write(text, case.docstring());
        text.line(&format!("{},", names::upper(case.name())));
    }
    text.close();
}
