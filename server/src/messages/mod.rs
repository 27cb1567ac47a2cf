//! Messages: sent through the write combiner, read by page, edited, deleted.
//!
//! Always true: a send is answered after its commit; the same id is answered with the first result, whatever has become of
//! it since; a room's positions are dense. Read marks pass through the same writer, so that a person's marks and sends in
//! one room keep their order.

mod draft;
mod service;
pub mod store;
mod wire;
mod writer;

pub use self::{
    draft::{Draft, Mark},
    service::Messages,
    writer::{Marked, Sent, Writer},
};
