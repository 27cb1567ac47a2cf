//! The items of a room's timeline: what a row of `messages` is, how notices get there, and how an item looks on the wire.
//!
//! Rooms write notices of what happened in them, messages what people say: both use this, and neither uses the other.

mod item;
mod store;
pub mod wire;

pub use self::{
    item::{Item, Kind},
    store::{Notice, insert_notice, last_items},
};
