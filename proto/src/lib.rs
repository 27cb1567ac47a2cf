//! The contract: every shape and call of Madang, generated from `proto/madang/v1`, with the tables that its options hold.
//!
//! Clients use [`v1`]; the server uses [`servers`], whose codec refuses malformed and over-limit requests with a typed
//! reason before a handler sees them.

mod call;
mod check;
mod codec;
mod policy;
mod reason;

pub use self::{
    call::Call,
    check::{Check, Limits, Path, Violation, Violations},
    codec::{EncodedFrame, ServerCodec},
    policy::{MethodPolicy, POLICIES},
    reason::{REASONS, ReasonRule, Refusal},
};

/// Shapes and clients.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("madang.v1");
}

/// Server traits, with [`ServerCodec`].
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated"
)]
pub mod servers {
    include!(concat!(env!("OUT_DIR"), "/servers/madang.v1.rs"));
}

/// Every file of the contract, encoded with its custom options; reflection and tools read it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Largest message that a server takes. Larger than any honest request: 200 cursors or 32 KiB of text.
pub const REQUEST_BYTES: usize = 1024 * 1024;
