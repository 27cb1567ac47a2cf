//! What a person does. What is typed and what is read is taken at once and sent when there is a connection; the rest needs
//! one, and its answer is in the store before the call returns.

mod marks;
mod people;
mod rooms;
mod writing;

pub use self::{
    rooms::{NewRoom, RoomMember},
    writing::Draft,
};
