//! The table of methods.

use std::{collections::HashMap, sync::LazyLock};

use madang_proto::{MethodPolicy, POLICIES};

static TABLE: LazyLock<HashMap<&'static str, &'static MethodPolicy>> =
    LazyLock::new(|| POLICIES.iter().map(|policy| (policy.path, policy)).collect());

/// The row of a gRPC path; `None` denies it.
pub fn policy(path: &str) -> Option<&'static MethodPolicy> {
    TABLE.get(path).copied()
}
