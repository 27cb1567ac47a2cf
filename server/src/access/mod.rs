//! Who may call what: the table that the contract's options make, what a handler knows of its call, and the proof that the
//! caller may do in a room what the method declares.
//!
//! Always true: a method without a row is denied; the proof's permission comes from the method's row, never from the
//! handler; a store function that takes a [`RoomAccess`] cannot be called without one.

mod call;
mod room;
mod table;

pub use self::{
    call::{Call, Caller},
    room::{
        ADMIN, BANNED, DM, Entrance, JOINED, LEFT, OPEN, Place, RoomAccess, RoomRow, create_room, entrance,
        lock_for_server, lock_room, may, room, rooms,
    },
    table::policy,
};

pub use madang_proto::v1::RoomPermission;
