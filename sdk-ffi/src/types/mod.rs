//! The plain types of the core, restated for `uniffi`: not copies but declarations, so that a field or a case that the core
//! has and this does not is an error of the compiler. A record of its own is only what the core cannot give as it is: its
//! settings, which hold a clock, numbers without a sign, and types of the contract, whose enumerations are numbers.

mod client;
mod config;
mod contract;
mod error;
mod passes;
mod rooms;
mod settings;
mod signed;
mod timeline;

pub use self::{
    contract::{Member, RoomSettings, User},
    rooms::{MemberChange, Places, RoomChange},
    settings::ClientConfig,
    signed::{Cause, Counters, Day, Explanation},
    timeline::{OutboxChange, TimelineChange},
};
