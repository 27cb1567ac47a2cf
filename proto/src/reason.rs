//! Refusals: a reason, a sentence and details, and their way into and out of a gRPC status.

use std::{collections::HashMap, time::Duration};

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RpcStatusExt as _, StatusExt as _, pb};

use crate::{
    Violation,
    v1::{ClientAction, ErrorReason},
};

/// `ErrorInfo.domain` of every refusal.
const DOMAIN: &str = "madang";

/// What a reason stands for, from the options of `error.proto`.
#[derive(Debug, Clone, Copy)]
pub struct ReasonRule {
    /// Name on the wire, without the enum's prefix.
    pub name: &'static str,
    /// Status code it leaves with.
    pub code: Code,
    /// What a client does about it.
    pub action: ClientAction,
    /// Keys that its metadata may hold.
    pub metadata_keys: &'static [&'static str],
}

/// A reason that a newer server gave: a client decides by the status code.
const UNSPECIFIED: ReasonRule =
    ReasonRule { name: "UNSPECIFIED", code: Code::Unknown, action: ClientAction::GiveUp, metadata_keys: &[] };

#[allow(clippy::too_many_lines, reason = "generated: a line a reason")]
mod generated {
    use tonic::Code;

    use super::{ReasonRule, UNSPECIFIED};
    use crate::v1::{ClientAction, ErrorReason};

    include!(concat!(env!("OUT_DIR"), "/reasons.rs"));
}

pub use generated::REASONS;

impl ErrorReason {
    /// What the reason stands for.
    pub fn rule(self) -> ReasonRule {
        generated::rule_of(self)
    }

    /// The reason with this name on the wire.
    pub fn by_name(name: &str) -> Option<Self> {
        REASONS.iter().copied().find(|reason| reason.rule().name == name)
    }
}

/// A refusal on its way to the caller, or as a client got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: ErrorReason,
    /// A sentence for developers.
    pub message: String,
    /// Details by the keys of the reason's rule.
    pub metadata: HashMap<String, String>,
    /// Fields that break their limits.
    pub violations: Vec<Violation>,
    /// Do not repeat before.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), metadata: HashMap::new(), violations: Vec::new(), retry_after: None }
    }

    /// Adds a detail; the key must be one of the reason's rule.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl std::fmt::Display) -> Self {
        debug_assert!(self.reason.rule().metadata_keys.contains(&key), "{key} is no key of {:?}", self.reason);
        self.metadata.insert(key.into(), value.to_string());
        self
    }

    /// Says when to repeat.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// A field that breaks a limit.
    pub fn field(field: impl Into<String>, limit: impl Into<String>) -> Self {
        Self::fields(vec![Violation { field: field.into(), limit: limit.into() }])
    }

    /// All fields that break their limits; there is at least one.
    pub fn fields(violations: Vec<Violation>) -> Self {
        let text: Vec<String> = violations.iter().map(|v| format!("{}: {}", v.field, v.limit)).collect();
        let mut refusal = Self::new(ErrorReason::InvalidField, text.join("; "));
        if let Some(first) = violations.first() {
            refusal = refusal.with("field", &first.field).with("limit", &first.limit);
        }
        refusal.violations = violations;
        refusal
    }

    /// Reads a refusal back from a status; `None` when it carries no reason of this contract.
    pub fn of(status: &Status) -> Option<Self> {
        // One kind at a time: to ask for all of them would bring those along that no refusal has.
        let details = pb::Status::decode(status.details()).ok()?;
        let info = details.get_details_error_info()?;
        if info.domain != DOMAIN {
            return None;
        }
        let violations = details.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        Some(Self {
            reason: ErrorReason::by_name(&info.reason).unwrap_or_default(),
            message: status.message().to_owned(),
            metadata: info.metadata,
            violations: violations.into_iter().map(|v| Violation { field: v.field, limit: v.description }).collect(),
            retry_after: details.get_details_retry_info().and_then(|info| info.retry_delay),
        })
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let rule = refusal.reason.rule();
        let mut details = ErrorDetails::with_error_info(rule.name, DOMAIN, refusal.metadata);
        for violation in refusal.violations {
            details.add_bad_request_violation(violation.field, violation.limit);
        }
        if let Some(delay) = refusal.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(rule.code, refusal.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_way_through_a_status() {
        let refusal = Refusal::new(ErrorReason::RateLimited, "too many sends")
            .with("class", "SEND")
            .retry_after(Duration::from_millis(1500));
        assert_eq!(Refusal::of(&Status::from(refusal.clone())), Some(refusal));
        let fields = Refusal::field("body.text", "at most 8000 characters");
        assert_eq!(Refusal::of(&Status::from(fields.clone())), Some(fields));
    }

    #[test]
    fn every_reason_has_a_code_a_name_and_an_action() {
        for reason in REASONS {
            let rule = reason.rule();
            assert_eq!(ErrorReason::by_name(rule.name), Some(*reason));
            assert!(!matches!(rule.code, Code::Ok | Code::Unknown), "{reason:?}");
            assert_ne!(rule.action, ClientAction::Unspecified, "{reason:?}");
        }
    }
}
