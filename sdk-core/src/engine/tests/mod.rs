//! The rules and the store together, against a small server that is always right.

mod garbage;
mod questions;
mod server;
mod story;
