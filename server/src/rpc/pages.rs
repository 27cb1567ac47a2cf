//! The pages `docs/errors.md` and `docs/access.md`, made from the contract.

use std::fmt::Write as _;

use anyhow::Context as _;
use madang_proto::{DESCRIPTORS, POLICIES, REASONS};
use prost::Message as _;
use prost_types::FileDescriptorSet;

/// Every refusal: reason, code, details, what a client does.
pub fn errors() -> anyhow::Result<String> {
    let mut page = "<!-- Made by `madang docs errors`; do not edit. -->
# Errors

A refusal is a gRPC status with `google.rpc.ErrorInfo`: `reason` as below, `domain` \"madang\", `metadata` with the keys named here.
The metadata `madang-request-id` of every refused call names it in the logs.
Fields that break their limits are all in `google.rpc.BadRequest`; `google.rpc.RetryInfo` says when to come back.

| reason | code | metadata | a client |
|---|---|---|---|
"
    .to_owned();
    let mut sentences = String::new();
    let comments = reason_comments()?;
    for reason in REASONS {
        let rule = reason.rule();
        let keys = rule.metadata_keys.join(", ");
        let _ = writeln!(page, "| {} | {:?} | {keys} | {:?} |", rule.name, rule.code, rule.action);
        let comment = comments.iter().find(|(number, _)| *number == *reason as i32).map(|(_, text)| text.as_str());
        let _ = writeln!(sentences, "- **{}**: {}", rule.name, comment.unwrap_or_default());
    }
    Ok(format!("{page}\n## What they mean\n\n{sentences}"))
}

/// Every method: who may call it.
pub fn access() -> String {
    let mut page = "<!-- Made by `madang docs access`; do not edit. -->
# Who may call what

From the policies in `proto/madang/v1`. A method that is not here is refused. Health checks and, where the setting allows it,
reflection are open.

| method | who | in the room | rate | audited | repeated |
|---|---|---|---|---|---|
"
    .to_owned();
    for policy in POLICIES {
        let roles: Vec<String> = policy.roles.iter().map(|role| format!("{role:?}")).collect();
        let who = if policy.public { "everybody".to_owned() } else { roles.join(", ") };
        let guests = if policy.guests { ", guests" } else { "" };
        let room = match policy.room_permission as i32 {
            0 => String::new(),
            _ => format!("{:?}", policy.room_permission),
        };
        let audit = if policy.audit { "yes" } else { "" };
        let _ = writeln!(
            page,
            "| {}.{} | {who}{guests} | {room} | {:?} | {audit} | {:?} |",
            policy.service, policy.method, policy.rate_class, policy.idempotency
        );
    }
    page
}

/// The comment of each reason, by its number.
fn reason_comments() -> anyhow::Result<Vec<(i32, String)>> {
    let files = FileDescriptorSet::decode(DESCRIPTORS).context("descriptors")?.file;
    let file = files.into_iter().find(|file| file.name() == "madang/v1/error.proto").context("error.proto")?;
    let position = file.enum_type.iter().position(|found| found.name() == "ErrorReason").context("ErrorReason")?;
    let locations = file.source_code_info.unwrap_or_default().location;
    let values = file.enum_type[position].value.iter().enumerate();
    // 5: the file's enums; 2: the enum's values (descriptor.proto).
    let comment = |index: usize| {
        let path = [5, i32::try_from(position).ok()?, 2, i32::try_from(index).ok()?];
        let location = locations.iter().find(|location| location.path == path)?;
        Some(location.leading_comments().split_whitespace().collect::<Vec<_>>().join(" "))
    };
    Ok(values.map(|(index, value)| (value.number(), comment(index).unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_pages_are_what_the_contract_says() {
        let how = "run: cargo run -p madang-server -- docs PAGE > docs/PAGE.md";
        assert!(include_str!("../../../docs/errors.md") == super::errors().expect("a page"), "errors: {how}");
        assert!(include_str!("../../../docs/access.md") == super::access(), "access: {how}");
    }
}
