//! Who may call what, from the options of the contract.

use crate::v1::{Idempotency, RateClass, Role, RoomPermission};

/// What one method demands of its caller.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the contract")]
pub struct MethodPolicy {
    /// gRPC path, as in `/madang.v1.RoomService/GetRoom`.
    pub path: &'static str,
    /// Service without its package.
    pub service: &'static str,
    /// Method.
    pub method: &'static str,
    /// Open without a token.
    pub public: bool,
    /// Of these roles the caller has at least one.
    pub roles: &'static [Role],
    /// What the caller must be allowed to do in the room.
    pub room_permission: RoomPermission,
    /// Open to guests too.
    pub guests: bool,
    /// The bucket it is limited with.
    pub rate_class: RateClass,
    /// Written to the audit log.
    pub audit: bool,
    /// What a repeated call does.
    pub idempotency: Idempotency,
    /// Whether either side streams.
    pub streams: bool,
}

include!(concat!(env!("OUT_DIR"), "/policies.rs"));
