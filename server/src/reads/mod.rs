//! Read marks and receipts.
//!
//! Always true: unread is a difference of two numbers; marks merge by maximum within a generation; a mark locks no room. What
//! others are told of marks lives in columns of its own (`told_*`) and moves by maximum.

mod receipts;
mod service;
pub mod store;
mod watch;
mod wire;

pub use self::{receipts::Receipts, service::Reads, watch::watch};
