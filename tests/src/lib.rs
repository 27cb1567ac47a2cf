//! A world for stories: real servers on a database of their own, and people with the real client core.
//!
//! Always true: after [`World::settle`] every online person's store equals what the server says when asked anew. Each world
//! has its own database, cloned from a template; cluster and issuer are shared by the process.

pub mod fresh;
pub mod person;
mod stack;
pub mod world;

pub use self::{
    person::Person,
    stack::{Stack, stack},
    world::{World, WorldConfig},
};
