//! Roles as the token names them.

pub use madang_proto::v1::Role;

/// The role with a name of the issuer's; others are not ours.
pub(super) fn role(name: &str) -> Option<Role> {
    match name {
        "USER" => Some(Role::User),
        "SYSTEM_ADMIN" => Some(Role::SystemAdmin),
        "AUDITOR" => Some(Role::Auditor),
        _ => None,
    }
}
