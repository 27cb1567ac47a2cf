//! What a person does. What is typed and what is read is taken at once and sent when there is a connection; the rest needs
//! one, and its answer is in the store before the call returns.

mod marks;
mod people;
mod rooms;
mod writing;

pub(crate) use self::rooms::{fetch_members, held_members};
#[cfg(feature = "simulation")]
pub(crate) use self::{
    marks::{put_read, put_unread},
    writing::put,
};
pub use self::{
    rooms::{NewRoom, RoomMember},
    writing::Draft,
};
