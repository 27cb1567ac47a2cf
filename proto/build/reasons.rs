//! What each `ErrorReason` stands for, as Rust.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

use crate::{enum_path, variant};

/// Methods of `ErrorReason`; fails on a reason without a rule.
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String> {
    let option = pool.get_extension_by_name("madang.v1.rule").context("error.proto")?;
    let reasons = pool.get_enum_by_name("madang.v1.ErrorReason").context("ErrorReason")?;
    let (mut all, mut rules) = (String::new(), String::new());
    for value in reasons.values().filter(|value| value.number() != 0) {
        let options = value.options();
        ensure!(options.has_extension(&option), "{} has no rule", value.full_name());
        let extension = options.get_extension(&option);
        let rule = extension.as_message().context("rule is a message")?;
        let (reason, code, action) = (variant(&value), enum_path(rule, "code")?, enum_path(rule, "action")?);
        ensure!(!code.ends_with("::Unspecified"), "{reason} has no code");
        ensure!(!action.ends_with("::Unspecified"), "{reason} does not say what a client does");
        writeln!(all, "    ErrorReason::{reason},")?;
        writeln!(rules, "        ErrorReason::{reason} => ReasonRule {{")?;
        writeln!(rules, "            name: \"{}\",", value.name().trim_start_matches("ERROR_REASON_"))?;
        writeln!(rules, "            code: {},", code.replace("StatusCode", "Code"))?;
        writeln!(rules, "            action: {action},\n            metadata_keys: &{:?},\n        }},", keys(rule))?;
    }
    Ok(format!(
        "/// Every reason but UNSPECIFIED.\npub const REASONS: &[ErrorReason] = &[\n{all}];\n\n\
         pub(super) fn rule_of(reason: ErrorReason) -> ReasonRule {{\n    match reason {{\n{rules}        ErrorReason::Unspecified => \
         UNSPECIFIED,\n    }}\n}}\n"
    ))
}

fn keys(rule: &DynamicMessage) -> Vec<String> {
    let list = rule.get_field_by_name("metadata_keys");
    let items = list.as_ref().and_then(|v| v.as_list()).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
