//! The streams and their repair: deltas put together from the slices.
//!
//! Always true: a session is registered before anything is read for it and goes live after; every changed room gets a verdict
//! before the watermark is told; any node answers any Hello from the database alone; membership is checked at every read.

mod delta;
mod frames;
mod open;
mod service;
mod store;
mod stream;
mod wire;

pub use self::{
    frames::hear_twins,
    service::{Renew, Sync},
};
