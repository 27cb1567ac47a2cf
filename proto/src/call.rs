//! Calls with one question and one answer, for whoever asks in one way for all of them.

use prost::Message;

/// A question of the contract. Each is that of one method.
pub trait Call: Message {
    /// What the server says to it.
    type Answer: Message + Default;

    /// The method, as in `/madang.v1.RoomService/GetRoom`.
    const PATH: &'static str;
}

include!(concat!(env!("OUT_DIR"), "/calls.rs"));
