//! What a person does. Every change is on the disk when the call returns, offline too, and is said when there is a
//! connection; questions need one, and their answer is in the store before the call returns.

mod changes;
mod life;
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
    people::ProfileChange,
    rooms::{NewRoom, RoomMember},
    writing::Draft,
};
