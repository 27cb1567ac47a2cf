//! For each type that goes through a buffer a class that reads and writes it.

use std::collections::BTreeMap;

use uniffi_bindgen::interface::{Enum, Record, Type, Variant};

use crate::{Generator, names, text::Text, types::bare};

impl Generator<'_> {
    pub(crate) fn converters(&self, text: &mut Text) {
        let mut types: BTreeMap<String, &Type> =
            self.interface.iter_local_types().map(bare).map(|ty| (Self::converter(ty), ty)).collect();
        for ty in [&Type::Bytes, &Type::Timestamp, &Type::Duration] {
            types.insert(Self::converter(ty), ty);
        }
        for (name, ty) in types {
            self.one(text, &name, ty);
        }
    }

    fn one(&self, text: &mut Text, name: &str, ty: &Type) {
        let (read, write) = match ty {
            Type::Bytes | Type::Timestamp | Type::Duration => {
                (vec![format!("return {};", Self::read(ty))], vec![Self::write(ty, "value")])
            }
            Type::Optional { inner_type } => self.optional(inner_type),
            Type::Sequence { inner_type } => self.many(inner_type, ty),
            Type::Set { inner_type } => self.set(inner_type),
            Type::Map { key_type, value_type } => self.map(key_type, value_type),
            Type::Record { name, .. } => self.record_parts(name, ty),
            Type::Enum { name, .. } => match self.interface.get_enum_definition(name) {
                Some(found) => self.enum_parts(found, ty),
                None => return,
            },
            Type::Object { imp, .. } if !imp.has_callback_interface() => {
                self.object(text, name, ty);
                return;
            }
            // Those of callbacks stand with them; what is left is in the streams.
            _ => return,
        };
        let own = self.ty(ty);
        text.open(&format!("internal static class {name}"));
        text.open(&format!("internal static {own} Read(Reader reader)"));
        text.lines(read.iter().map(String::as_str));
        text.close();
        text.open(&format!("internal static void Write(Writer writer, {own} value)"));
        text.lines(write.iter().map(String::as_str));
        text.close();
        text.line(&format!("internal static {own} Lift(RustBuffer buffer) {{ var reader = new Reader(buffer); var value = Read(reader); reader.End(); return value; }}"));
        text.line(&format!("internal static Encoded Encode({own} value) {{ var writer = new Writer(); Write(writer, value); return writer.Done(); }}"));
        text.close();
    }

    fn object(&self, text: &mut Text, name: &str, ty: &Type) {
        let own = self.ty(ty);
        text.open(&format!("internal static class {name}"));
        text.line(&format!("internal static {own} Lift(ulong handle) {{ return new {own}(handle); }}"));
        text.open(&format!("internal static ulong Lower({own} value)"));
        text.line("if (value == null) throw new ArgumentNullException(\"value\");");
        text.line("return value.Handle.ForCall();");
        text.close();
        text.line(&format!("internal static {own} Read(Reader reader) {{ return Lift(reader.U64()); }}"));
        text.line(&format!("internal static void Write(Writer writer, {own} value) {{ writer.U64(Lower(value)); }}"));
        text.close();
    }

    fn optional(&self, inner: &Type) -> (Vec<String>, Vec<String>) {
        let inner_value = if self.is_value(inner) { "value.Value" } else { "value" };
        let read = vec![format!("return reader.Bool() ? {} : {};", self.read_as(inner), self.null(inner))];
        let write = vec![
            "if (value == null) { writer.Bool(false); return; }".into(),
            "writer.Bool(true);".into(),
            Self::write(inner, inner_value),
        ];
        (read, write)
    }

    fn null(&self, inner: &Type) -> String {
        if self.is_value(inner) { format!("({}?)null", self.ty(inner)) } else { "null".into() }
    }

    fn read_as(&self, inner: &Type) -> String {
        let read = Self::read(inner);
        if self.is_value(inner) { format!("({}?){read}", self.ty(inner)) } else { read }
    }

    fn many(&self, inner: &Type, ty: &Type) -> (Vec<String>, Vec<String>) {
        let item = self.ty(inner);
        // An array of arrays takes its length in the first pair of brackets.
        let array = match item.strip_suffix("[]") {
            Some(inner) => format!("new {inner}[reader.I32()][]"),
            None => format!("new {item}[reader.I32()]"),
        };
        let read = vec![
            format!("var items = {array};"),
            format!("for (var at = 0; at < items.Length; at++) items[at] = {};", Self::read(inner)),
            format!("return ({})items;", self.ty(ty)),
        ];
        let write = vec![
            "if (value == null) throw new ArgumentNullException(\"value\");".into(),
            "writer.I32(value.Count);".into(),
            format!("foreach (var item in value) {}", Self::write(inner, "item")),
        ];
        (read, write)
    }

    fn set(&self, inner: &Type) -> (Vec<String>, Vec<String>) {
        let read = vec![
            format!("var items = new HashSet<{}>();", self.ty(inner)),
            format!("for (var left = reader.I32(); left > 0; left--) items.Add({});", Self::read(inner)),
            "return items;".into(),
        ];
        let write = vec![
            "if (value == null) throw new ArgumentNullException(\"value\");".into(),
            "writer.I32(value.Count);".into(),
            format!("foreach (var item in value) {}", Self::write(inner, "item")),
        ];
        (read, write)
    }

    fn map(&self, key: &Type, value: &Type) -> (Vec<String>, Vec<String>) {
        let read = vec![
            format!("var items = new Dictionary<{}, {}>();", self.ty(key), self.ty(value)),
            "for (var left = reader.I32(); left > 0; left--)".into(),
            "{".into(),
            format!("    var key = {};", Self::read(key)),
            format!("    items[key] = {};", Self::read(value)),
            "}".into(),
            "return items;".into(),
        ];
        let write = vec![
            "if (value == null) throw new ArgumentNullException(\"value\");".into(),
            "writer.I32(value.Count);".into(),
            "foreach (var pair in value)".into(),
            "{".into(),
            format!("    {}", Self::write(key, "pair.Key")),
            format!("    {}", Self::write(value, "pair.Value")),
            "}".into(),
        ];
        (read, write)
    }

    fn record_parts(&self, name: &str, ty: &Type) -> (Vec<String>, Vec<String>) {
        let fields = self.interface.get_record_definition(name).map(Record::fields).unwrap_or_default();
        let reads: Vec<String> = fields.iter().map(|field| Self::read(&field_type(field))).collect();
        let read = vec![format!("return new {}({});", self.ty(ty), reads.join(", "))];
        let mut write = vec!["if (value == null) throw new ArgumentNullException(\"value\");".to_owned()];
        let own = names::upper(name);
        write.extend(fields.iter().enumerate().map(|(index, field)| {
            let member = names::upper(&names::field(field.name(), index, fields.len() == 1, &own));
            Self::write(&field_type(field), &format!("value.{member}"))
        }));
        (read, write)
    }

    fn enum_parts(&self, found: &Enum, ty: &Type) -> (Vec<String>, Vec<String>) {
        let own = self.ty(ty);
        if self.is_plain(found.name()) {
            let last = found.variants().len();
            let read = vec![
                "var number = reader.I32();".into(),
                format!(
                    "if (number < 1 || number > {last}) throw new InvalidOperationException(\"a case that is not known\");"
                ),
                format!("return ({own})(number - 1);"),
            ];
            return (read, vec!["writer.I32((int)value + 1);".into()]);
        }
        let mut read = vec!["switch (reader.I32())".to_owned(), "{".into()];
        let mut write = vec!["if (value == null) throw new ArgumentNullException(\"value\");".to_owned()];
        for (index, case) in found.variants().iter().enumerate() {
            let number = index + 1;
            let class = self.case_class(found, case, &own);
            let fields = self.case_reads(found, case);
            read.push(format!("    case {number}: return new {class}({fields});"));
            let open = format!("{{ var it = value as {class}; if (it != null) {{ writer.I32({number});");
            let writes = self.case_writes(found, case).join(" ");
            write.push(format!("{open} {writes} return; }} }}"));
        }
        read.push("    default: throw new InvalidOperationException(\"a case that is not known\");".into());
        read.push("}".into());
        write.push("throw new ArgumentException(\"a case that is not known\");".into());
        (read, write)
    }

    /// The class of a case: its own, or that of an error of one case.
    pub(crate) fn case_class(&self, found: &Enum, case: &Variant, own: &str) -> String {
        if self.is_single(found) { own.to_owned() } else { format!("{own}.{}", names::upper(case.name())) }
    }

    /// Whether it is an error of one case, which is one class.
    pub(crate) fn is_single(&self, found: &Enum) -> bool {
        found.variants().len() == 1 && self.interface.is_name_used_as_error(found.name())
    }

    fn case_reads(&self, found: &Enum, case: &Variant) -> String {
        if found.is_flat() && self.interface.is_name_used_as_error(found.name()) {
            return "reader.String()".into();
        }
        let reads: Vec<String> = case.fields().iter().map(|field| Self::read(&field_type(field))).collect();
        reads.join(", ")
    }

    fn case_writes(&self, found: &Enum, case: &Variant) -> Vec<String> {
        if found.is_flat() && self.interface.is_name_used_as_error(found.name()) {
            return vec!["writer.String(it.Message);".into()];
        }
        let fields = case.fields();
        let inside = self.case_name(found, case);
        let write = |(index, field): (usize, &uniffi_bindgen::interface::Field)| {
            let member = names::upper(&names::field(field.name(), index, fields.len() == 1, &inside));
            Self::write(&field_type(field), &format!("it.{member}"))
        };
        fields.iter().enumerate().map(write).collect()
    }

    /// The name of the class of a case, without what it lies in.
    pub(crate) fn case_name(&self, found: &Enum, case: &Variant) -> String {
        if self.is_single(found) { names::exception(found.name()) } else { names::upper(case.name()) }
    }
}

/// The type of a field.
pub(crate) fn field_type(field: &uniffi_bindgen::interface::Field) -> Type {
    uniffi_bindgen::interface::AsType::as_type(field)
}
