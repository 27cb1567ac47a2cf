//! The rules and the store together, against a small server that is always right.

mod server;
mod story;
