//! For whoever runs the installation: why a message, a room or a stream stands as it does.
//!
//! Always true: an explanation is made of facts alone, what the database has and what nodes remember; it tells no text of
//! any message; asking changes nothing but the audit log.

mod command;
mod explain;
mod findings;
mod nodes;
mod service;
mod store;
pub mod text;
mod wire;

pub use self::{command::Subject, nodes::answer_questions, service::Admin};
