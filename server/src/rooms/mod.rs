//! Rooms and who is in them.
//!
//! Always true: whoever changes a membership has locked the room first, then the people's numbers, then the member rows;
//! every changed row took a revision of its own; a member row stays when its person goes. Messages and marks are not here.

mod making;
mod member;
mod people;
mod service;
pub mod store;
pub mod wire;

pub use self::{
    member::{Member, Summary, unread, unread_of},
    service::Rooms,
};
