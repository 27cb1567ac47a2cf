//! From a commit to the streams: what changed is offered to the sessions that may see it.
//!
//! Always true: a room's events reach a session in the order of their revisions, or the room is dirty for it and is read
//! from the database with its rights checked; nobody is given an event that follows their own removal; a session's queue
//! is bounded. Nothing here knows the contract but `wire.rs`: events travel encoded.

mod bus;
mod changes;
mod elsewhere;
mod focus;
mod hub;
mod node;
mod poll;
mod pulse;
mod queue;
mod record;
mod room;
mod session;
mod token;
pub mod wire;

pub use self::{
    bus::{Answer, Bus, Inbox, Question, TwinFrame},
    changes::{Changes, Membership, PersonEvent, ProfileChange, RoomEvent, SessionEnd, WhichSessions},
    focus::{Focus, Known, ReadCount},
    hub::Hub,
    node::Node,
    poll::{Poller, memberships},
    pulse::pulse,
    queue::{ClosingReason, Frame, Work},
    record::{Entry, Happened, Record, Report},
    session::{Opener, Session, Step},
};
