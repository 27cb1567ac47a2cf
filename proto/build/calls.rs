//! What each question of the contract is answered with, as Rust.

use std::fmt::Write as _;

use anyhow::Result;
use prost_reflect::DescriptorPool;

/// A [`Call`] for each method with one question and one answer.
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String> {
    let mut out = String::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        if method.is_client_streaming() || method.is_server_streaming() {
            continue;
        }
        writeln!(out, "impl Call for crate::v1::{} {{", method.input().name())?;
        writeln!(out, "    type Answer = crate::v1::{};", method.output().name())?;
        writeln!(
            out,
            "    const PATH: &'static str = \"/{}/{}\";\n}}",
            method.parent_service().full_name(),
            method.name()
        )?;
    }
    Ok(out)
}
