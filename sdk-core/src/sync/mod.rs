//! The rules of sync as functions: from what is held and what arrived to what is held then and what must be done. No
//! input or output happens here, so every rule can be tried by itself.

mod islands;
mod mark;
mod mentions;
mod repairs;
mod room;
#[cfg(test)]
mod small_worlds;
mod span;
#[cfg(test)]
mod vectors;

pub(crate) use self::{
    islands::Island,
    mark::Mark,
    mentions::Place,
    repairs::{Flight, Repairs},
    room::{Drop, Effects, RoomState},
    span::Verdict,
};

use crate::sabotage::Guards;

/// Who receives, and which rules hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receiver<'a> {
    /// The person; empty before the first Welcome.
    pub(crate) me: &'a str,
    /// Rules in force.
    pub(crate) guards: Guards,
}
