//! The table of who may call what, as Rust.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage as _, Value};

use crate::{enum_path, enum_value_path};

/// One line a method; fails on a method whose policy is missing or not whole.
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String> {
    let option = pool.get_extension_by_name("madang.v1.policy").context("access.proto")?;
    let mut rows = String::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let options = method.options();
        ensure!(options.has_extension(&option), "{} has no policy: say who may call it", method.full_name());
        let Value::Message(policy) = options.get_extension(&option).into_owned() else { bail!("policy is a message") };
        rows += &row(&method, &policy).with_context(|| format!("policy of {}", method.full_name()))?;
    }
    Ok(format!(
        "/// Every method of the contract, in the order of the files.\npub const POLICIES: &[MethodPolicy] = &[\n{rows}];\n"
    ))
}

fn row(method: &MethodDescriptor, policy: &DynamicMessage) -> Result<String> {
    let flag = |name: &str| policy.get_field_by_name(name).and_then(|v| v.as_bool()).unwrap_or_default();
    let roles = roles(policy)?;
    let permission = enum_path(policy, "room_permission")?;
    let idempotency = enum_path(policy, "idempotency")?;
    ensure!(flag("public") == roles.is_empty(), "either public or at least one role");
    ensure!(!flag("public") || permission.ends_with("::Unspecified"), "a public method cannot enter a room");
    ensure!(!idempotency.ends_with("::Unspecified"), "say what a repeated call does");
    let service = method.parent_service();
    let mut out = String::new();
    writeln!(out, "    MethodPolicy {{")?;
    writeln!(out, "        path: \"/{}/{}\",", service.full_name(), method.name())?;
    writeln!(out, "        service: \"{}\",\n        method: \"{}\",", service.name(), method.name())?;
    writeln!(out, "        public: {},\n        roles: &[{}],", flag("public"), roles.join(", "))?;
    writeln!(out, "        room_permission: {permission},\n        guests: {},", flag("guests"))?;
    writeln!(out, "        rate_class: {},\n        audit: {},", enum_path(policy, "rate_class")?, flag("audit"))?;
    writeln!(out, "        idempotency: {idempotency},")?;
    writeln!(out, "        streams: {},\n    }},", method.is_server_streaming() || method.is_client_streaming())?;
    Ok(out)
}

fn roles(policy: &DynamicMessage) -> Result<Vec<String>> {
    let field = policy.descriptor().get_field_by_name("roles").context("roles")?;
    let list = policy.get_field(&field);
    let items = list.as_list().unwrap_or_default();
    items.iter().filter_map(Value::as_enum_number).map(|number| enum_value_path(&field, number)).collect()
}
