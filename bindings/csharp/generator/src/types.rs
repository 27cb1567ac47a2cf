//! What a type is in C#, and how a value of it passes the boundary.

use anyhow::{Result, bail};
use uniffi_bindgen::interface::{DefaultValue, FfiType, Literal, Type};

use crate::{Generator, names};

impl Generator<'_> {
    /// The type, as a caller sees it.
    pub(crate) fn ty(&self, ty: &Type) -> String {
        let own = |name: String| format!("global::{}.{name}", self.namespace);
        match ty {
            Type::UInt8 => "byte".into(),
            Type::Int8 => "sbyte".into(),
            Type::UInt16 => "ushort".into(),
            Type::Int16 => "short".into(),
            Type::UInt32 => "uint".into(),
            Type::Int32 => "int".into(),
            Type::UInt64 => "ulong".into(),
            Type::Int64 => "long".into(),
            Type::Float32 => "float".into(),
            Type::Float64 => "double".into(),
            Type::Boolean => "bool".into(),
            Type::String => "string".into(),
            Type::Bytes => "byte[]".into(),
            Type::Timestamp => "DateTimeOffset".into(),
            Type::Duration => "TimeSpan".into(),
            Type::Object { name, imp, .. } if imp.has_callback_interface() => own(names::interface(name)),
            Type::CallbackInterface { name, .. } => own(names::interface(name)),
            Type::Enum { name, .. } if self.interface.is_name_used_as_error(name) => own(names::exception(name)),
            Type::Object { name, .. } | Type::Record { name, .. } | Type::Enum { name, .. } => own(names::upper(name)),
            Type::Optional { inner_type } if self.is_value(inner_type) => format!("{}?", self.ty(inner_type)),
            Type::Optional { inner_type } | Type::Box { inner_type } => self.ty(inner_type),
            Type::Sequence { inner_type } => format!("IReadOnlyList<{}>", self.ty(inner_type)),
            Type::Set { inner_type } => format!("ISet<{}>", self.ty(inner_type)),
            Type::Map { key_type, value_type } => {
                format!("IReadOnlyDictionary<{}, {}>", self.ty(key_type), self.ty(value_type))
            }
            Type::Custom { builtin, .. } => self.ty(builtin),
        }
    }

    /// Whether it cannot be null.
    pub(crate) fn is_value(&self, ty: &Type) -> bool {
        match ty {
            Type::String
            | Type::Bytes
            | Type::Object { .. }
            | Type::CallbackInterface { .. }
            | Type::Record { .. }
            | Type::Optional { .. }
            | Type::Sequence { .. }
            | Type::Set { .. }
            | Type::Map { .. } => false,
            Type::Enum { name, .. } => self.is_plain(name),
            Type::Box { inner_type } => self.is_value(inner_type),
            Type::Custom { builtin, .. } => self.is_value(builtin),
            _ => true,
        }
    }

    /// Whether an enum is one of C#: its cases carry nothing, and it is not thrown.
    pub(crate) fn is_plain(&self, name: &str) -> bool {
        let cases =
            self.interface.get_enum_definition(name).map(|e| e.variants().iter().all(|case| !case.has_fields()));
        cases.unwrap_or(false) && !self.interface.is_name_used_as_error(name)
    }

    /// The type across the boundary.
    pub(crate) fn ffi(ty: &FfiType) -> Result<String> {
        Ok(match ty {
            FfiType::UInt8 => "byte".into(),
            FfiType::Int8 => "sbyte".into(),
            FfiType::UInt16 => "ushort".into(),
            FfiType::Int16 => "short".into(),
            FfiType::UInt32 => "uint".into(),
            FfiType::Int32 => "int".into(),
            FfiType::UInt64 | FfiType::Handle => "ulong".into(),
            FfiType::Int64 => "long".into(),
            FfiType::Float32 => "float".into(),
            FfiType::Float64 => "double".into(),
            FfiType::RustBuffer(_) => "RustBuffer".into(),
            FfiType::ForeignBytes => "ForeignBytes".into(),
            FfiType::Callback(name) | FfiType::Struct(name) => format!("Uniffi{}", names::upper(name)),
            FfiType::RustCallStatus => "RustCallStatus".into(),
            FfiType::Reference(inner) | FfiType::MutReference(inner) => format!("ref {}", Self::ffi(inner)?),
            FfiType::VoidPointer => "IntPtr".into(),
        })
    }

    /// The class that reads and writes a type that goes through a buffer.
    pub(crate) fn converter(ty: &Type) -> String {
        format!("Convert{}", kind(ty))
    }

    /// Takes a value from a stream.
    pub(crate) fn read(ty: &Type) -> String {
        if is_basic(ty) {
            format!("reader.{}()", kind(bare(ty)))
        } else {
            format!("{}.Read(reader)", Self::converter(ty))
        }
    }

    /// Puts a value into a stream.
    pub(crate) fn write(ty: &Type, value: &str) -> String {
        if is_basic(ty) {
            format!("writer.{}({value});", kind(bare(ty)))
        } else {
            format!("{}.Write(writer, {value});", Self::converter(ty))
        }
    }

    /// A value as it is handed to Rust.
    pub(crate) fn lower(ty: &Type, value: &str) -> String {
        if let Some(encoded) = Self::encode(ty, value) {
            return format!("{encoded}.Pass()");
        }
        match bare(ty) {
            Type::Boolean => format!("(sbyte)({value} ? 1 : 0)"),
            Type::Object { .. } | Type::CallbackInterface { .. } => format!("{}.Lower({value})", Self::converter(ty)),
            _ => value.to_owned(),
        }
    }

    /// A value that goes through a buffer, before anything of Rust's is taken for it.
    pub(crate) fn encode(ty: &Type, value: &str) -> Option<String> {
        match bare(ty) {
            Type::String => Some(format!("Buffers.Encode({value})")),
            Type::Boolean | Type::Object { .. } | Type::CallbackInterface { .. } => None,
            number if is_number(number) => None,
            ty => Some(format!("{}.Encode({value})", Self::converter(ty))),
        }
    }

    /// A value as it comes from Rust.
    pub(crate) fn lift(ty: &Type, value: &str) -> String {
        match bare(ty) {
            Type::String => format!("Buffers.TakeString({value})"),
            Type::Boolean => format!("({value} != 0)"),
            number if is_number(number) => value.to_owned(),
            ty => format!("{}.Lift({value})", Self::converter(ty)),
        }
    }

    /// A default, as C# can say it in a signature, and what the value becomes inside.
    pub(crate) fn default(&self, ty: &Type, value: &DefaultValue) -> Result<(String, Option<String>)> {
        let DefaultValue::Literal(literal) = value else { return self.usual(ty) };
        let plain = |word: String| Ok((word, None));
        match literal {
            Literal::Boolean(value) => plain(value.to_string()),
            Literal::String(value) => plain(format!("{value:?}")),
            Literal::UInt(value, ..) => plain(value.to_string()),
            Literal::Int(value, ..) => plain(value.to_string()),
            Literal::Float(value, _) => plain(format!("({}){value}", self.ty(ty))),
            Literal::Enum(case, Type::Enum { name, .. }) if self.is_plain(name) => {
                plain(format!("{}.{}", self.ty(ty), names::upper(case)))
            }
            Literal::None => plain("null".into()),
            Literal::EmptySequence | Literal::EmptyMap | Literal::EmptySet => self.usual(ty),
            other => bail!("a default that is not supported: {other:?}"),
        }
    }

    fn usual(&self, ty: &Type) -> Result<(String, Option<String>)> {
        Ok(match bare(ty) {
            Type::Sequence { inner_type } => ("null".into(), Some(format!("new {}[0]", self.ty(inner_type)))),
            Type::Set { inner_type } => ("null".into(), Some(format!("new HashSet<{}>()", self.ty(inner_type)))),
            Type::Map { key_type, value_type } => {
                let empty = format!("new Dictionary<{}, {}>()", self.ty(key_type), self.ty(value_type));
                ("null".into(), Some(empty))
            }
            Type::String => ("\"\"".into(), None),
            Type::Optional { .. } => ("null".into(), None),
            ty if self.is_value(ty) => (format!("default({})", self.ty(ty)), None),
            ty => bail!("a default that is not supported: of {ty:?}"),
        })
    }
}

/// A type without what only Rust sees of it.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Custom { builtin: inner, .. } | Type::Box { inner_type: inner } => bare(inner),
        ty => ty,
    }
}

/// Whether streams know it.
fn is_basic(ty: &Type) -> bool {
    let ty = bare(ty);
    is_number(ty) || matches!(ty, Type::Boolean | Type::String | Type::Bytes | Type::Timestamp | Type::Duration)
}

fn is_number(ty: &Type) -> bool {
    matches!(
        ty,
        Type::UInt8
            | Type::Int8
            | Type::UInt16
            | Type::Int16
            | Type::UInt32
            | Type::Int32
            | Type::UInt64
            | Type::Int64
            | Type::Float32
            | Type::Float64
    )
}

/// A type as a part of a name.
fn kind(ty: &Type) -> String {
    match ty {
        Type::UInt8 => "U8".into(),
        Type::Int8 => "I8".into(),
        Type::UInt16 => "U16".into(),
        Type::Int16 => "I16".into(),
        Type::UInt32 => "U32".into(),
        Type::Int32 => "I32".into(),
        Type::UInt64 => "U64".into(),
        Type::Int64 => "I64".into(),
        Type::Float32 => "F32".into(),
        Type::Float64 => "F64".into(),
        Type::Boolean => "Bool".into(),
        Type::String => "String".into(),
        Type::Bytes => "Bytes".into(),
        Type::Timestamp => "Timestamp".into(),
        Type::Duration => "Duration".into(),
        Type::Object { name, .. } | Type::CallbackInterface { name, .. } => format!("Object{}", names::upper(name)),
        Type::Record { name, .. } | Type::Enum { name, .. } => format!("Type{}", names::upper(name)),
        Type::Optional { inner_type } => format!("Optional{}", kind(inner_type)),
        Type::Sequence { inner_type } => format!("Sequence{}", kind(inner_type)),
        Type::Set { inner_type } => format!("Set{}", kind(inner_type)),
        Type::Map { key_type, value_type } => format!("Map{}{}", kind(key_type), kind(value_type)),
        Type::Box { inner_type } => kind(inner_type),
        Type::Custom { builtin, .. } => kind(builtin),
    }
}
