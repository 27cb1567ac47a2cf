//! The validator of request fields, generated from their limits: one `Check` implementation a message.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};

use crate::{enum_path, pascal, screaming};

/// Implementations of `Check` for all messages of the contract.
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String> {
    let option = pool.get_extension_by_name("madang.v1.limits").context("limits.proto")?;
    let mut out = String::new();
    for message in pool.all_messages().filter(|m| m.package_name() == "madang.v1" && !m.is_map_entry()) {
        let mut body = String::new();
        for field in message.fields().filter(|f| f.containing_oneof().is_none_or(|o| o.is_synthetic())) {
            body += &plain_field(&field, &option)?;
        }
        for oneof in message.oneofs().filter(|o| !o.is_synthetic()) {
            body += &oneof_fields(&message, oneof.name(), oneof.fields(), &option)?;
        }
        let (at, out_name) = if body.is_empty() { ("_at", "_out") } else { ("at", "out") };
        writeln!(
            out,
            "impl Check for v1::{} {{\n    fn check(&self, {at}: &Path<'_>, {out_name}: &mut Violations) {{\n{body}    }}\n}}",
            message.name()
        )?;
    }
    Ok(out)
}

fn plain_field(field: &FieldDescriptor, option: &ExtensionDescriptor) -> Result<String> {
    let Some(check) = check_of(field, option)? else { return Ok(String::new()) };
    let name = rust_name(field.name());
    let limits = &check.limits;
    let mut out = String::new();
    writeln!(
        out,
        "        {{\n            let at = &at.field(\"{}\");\n            let limits = &{limits};",
        field.name()
    )?;
    if field.is_map() {
        writeln!(out, "            limits.map(&self.{name}, at, out);")?;
    } else if field.cardinality() == Cardinality::Repeated {
        writeln!(out, "            limits.list(self.{name}.len(), at, out);")?;
        writeln!(out, "            for (n, value) in self.{name}.iter().enumerate().take(limits.most_items()) {{")?;
        writeln!(
            out,
            "                let at = &at.item(n);\n                {};\n            }}",
            check.call("value")
        )?;
    } else if field.supports_presence() {
        writeln!(out, "            if let Some(value) = &self.{name} {{\n                {};", check.call("value"))?;
        if field.kind().as_message().is_some() {
            writeln!(out, "            }} else {{\n                limits.absent(at, out);")?;
        }
        writeln!(out, "            }}")?;
    } else {
        writeln!(out, "            let value = &self.{name};\n            {};", check.call("value"))?;
    }
    writeln!(out, "        }}")?;
    Ok(out)
}

fn oneof_fields(
    message: &MessageDescriptor,
    oneof: &str,
    fields: impl Iterator<Item = FieldDescriptor>,
    option: &ExtensionDescriptor,
) -> Result<String> {
    let mut arms = String::new();
    for field in fields {
        let Some(check) = check_of(&field, option)? else { continue };
        let path = format!("v1::{}::{}::{}", snake(message.name()), pascal(oneof), pascal(field.name()));
        writeln!(
            arms,
            "            Some({path}(value)) => {{\n                let at = &at.field(\"{}\");\n                let limits = \
             &{};\n                {};\n            }}",
            field.name(),
            check.limits,
            check.call("value")
        )?;
    }
    if arms.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("        match &self.{} {{\n{arms}            _ => {{}}\n        }}\n", rust_name(oneof)))
}

struct FieldCheck {
    limits: String,
    what: &'static str,
    enumeration: String,
}

impl FieldCheck {
    fn call(&self, value: &str) -> String {
        match self.what {
            "message" => format!("let _ = limits; Check::check({value}, at, out)"),
            "known" => {
                format!("limits.enumeration(*{value}, v1::{}::try_from(*{value}).is_ok(), at, out)", self.enumeration)
            }
            "number" => format!("limits.number(i64::from(*{value}), at, out)"),
            what => format!("limits.{what}({value}, at, out)"),
        }
    }
}

/// How a field is checked; `None` where nothing can be wrong with it.
fn check_of(field: &FieldDescriptor, option: &ExtensionDescriptor) -> Result<Option<FieldCheck>> {
    let options = field.options();
    let stated = options.has_extension(option);
    let extension = options.get_extension(option);
    let limits = limits_of(extension.as_message().context("limits is a message")?)?;
    let mut enumeration = String::new();
    let what = match field.kind() {
        _ if field.is_map() => "map",
        Kind::String => "text",
        Kind::Int32 | Kind::Int64 | Kind::Uint32 if stated => "number",
        Kind::Enum(kind) if kind.package_name() == "madang.v1" => {
            kind.name().clone_into(&mut enumeration);
            "known"
        }
        Kind::Message(kind) if kind.package_name() == "madang.v1" => "message",
        Kind::Message(_) if stated => "message",
        _ => return Ok(None),
    };
    Ok(Some(FieldCheck { limits, what, enumeration }))
}

fn limits_of(limits: &DynamicMessage) -> Result<String> {
    let get = |name: &str| limits.get_field_by_name(name);
    let number = |name: &str| get(name).and_then(|v| v.as_u32()).unwrap_or_default();
    let bound = |name: &str| match get(name).and_then(|v| v.as_i64()) {
        Some(bound) if limits.has_field_by_name(name) => format!("Some({bound})"),
        _ => "None".to_owned(),
    };
    Ok(format!(
        "Limits {{ required: {}, max_characters: {}, max_bytes: {}, max_items: {}, min: {}, max: {}, format: {} }}",
        get("required").and_then(|v| v.as_bool()).unwrap_or_default(),
        number("max_characters"),
        number("max_bytes"),
        number("max_items"),
        bound("min"),
        bound("max"),
        enum_path(limits, "format")?,
    ))
}

fn snake(name: &str) -> String {
    screaming(name).to_lowercase()
}

fn rust_name(name: &str) -> String {
    if name == "type" { format!("r#{name}") } else { name.to_owned() }
}
