//! Compiles the contract with protox (no protoc) and refuses one that is not whole: a method without a policy, a reason
//! without a rule.

#[path = "build/calls.rs"]
mod calls;
#[path = "build/checks.rs"]
mod checks;
#[path = "build/policies.rs"]
mod policies;
#[path = "build/reasons.rs"]
mod reasons;

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use prost_reflect::{DescriptorPool, DynamicMessage, EnumValueDescriptor, FieldDescriptor, ReflectMessage as _};

/// The name that prost gives to an enum's value: `ROLE_SYSTEM_ADMIN` of `Role` is `SystemAdmin`.
fn variant(value: &EnumValueDescriptor) -> String {
    let prefix = screaming(value.parent_enum().name());
    let name = value.name();
    pascal(name.strip_prefix(&prefix).map_or(name, |rest| rest.trim_start_matches('_')))
}

fn screaming(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_uppercase());
    }
    out
}

fn pascal(name: &str) -> String {
    let part = |part: &str| part[..1].to_uppercase() + &part[1..].to_lowercase();
    name.split('_').filter(|text| !text.is_empty()).map(part).collect()
}

/// The value of an enum field of an option, by its Rust path: `Role::User`.
fn enum_path(option: &DynamicMessage, field: &str) -> Result<String> {
    let descriptor =
        option.descriptor().get_field_by_name(field).with_context(|| format!("no option field {field}"))?;
    let number = option.get_field(&descriptor).as_enum_number().unwrap_or_default();
    enum_value_path(&descriptor, number)
}

fn enum_value_path(field: &FieldDescriptor, number: i32) -> Result<String> {
    let kind = field.kind();
    let kind = kind.as_enum().context("an enum")?;
    let value = kind.get_value(number).with_context(|| format!("{} has no value {number}", kind.name()))?;
    Ok(format!("{}::{}", kind.name(), variant(&value)))
}

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=madang");
    println!("cargo:rerun-if-changed=build");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = fs::read_dir("madang/v1")?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files(files)?;
    // The encoded set keeps the custom options; decoding it through prost-types would drop them.
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;
    let pool = DescriptorPool::decode(encoded.as_slice()).context("descriptors")?;
    fs::write(out.join("policies.rs"), policies::generate(&pool)?)?;
    fs::write(out.join("reasons.rs"), reasons::generate(&pool)?)?;
    fs::write(out.join("calls.rs"), calls::generate(&pool)?)?;
    fs::write(out.join("checks.rs"), checks::generate(&pool)?)?;
    generate_code(compiler.file_descriptor_set(), &out)
}

/// Twice, because a server decodes with a codec of its own (`ServerCodec`) and streams frames that are encoded already.
fn generate_code(set: prost_types::FileDescriptorSet, out: &std::path::Path) -> Result<()> {
    tonic_prost_build::configure()
        .build_server(false)
        // A constructor called `connect` would clash with the rpc of that name.
        .build_transport(false)
        .bytes(".")
        .out_dir(out)
        .compile_fds(set.clone())?;
    let servers = out.join("servers");
    fs::create_dir_all(&servers)?;
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".madang.v1.ServerFrame", "crate::EncodedFrame")
        .extern_path(".madang.v1", "crate::v1")
        .codec_path("crate::ServerCodec")
        .out_dir(servers)
        .compile_fds(set)?;
    Ok(())
}
