//! Which methods there are, who may call them, and what a call looks like at all.

use http::{Method, header::CONTENT_TYPE};
use madang_proto::{
    MethodPolicy,
    v1::{Idempotency, RateClass, Role, RoomPermission},
};

use super::Head;
use crate::{
    access,
    error::{Error, Reason, Result},
};

/// Services that are not of our contract: health for whoever balances load, reflection for tools. Open, because they say
/// nothing about anybody; counted as reading by address.
static HEALTH: [MethodPolicy; 2] =
    [foreign("/grpc.health.v1.Health/Check", false), foreign("/grpc.health.v1.Health/Watch", true)];

/// There only where the setting allows it.
static REFLECTION: [MethodPolicy; 2] = [
    foreign("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
    foreign("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", true),
];

const fn foreign(path: &'static str, streams: bool) -> MethodPolicy {
    MethodPolicy {
        path,
        service: "",
        method: "",
        public: true,
        roles: &[],
        room_permission: RoomPermission::Unspecified,
        guests: false,
        rate_class: RateClass::Read,
        audit: false,
        idempotency: Idempotency::Read,
        streams,
    }
}

/// A method that exists.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row {
    /// Of our contract.
    Ours(&'static MethodPolicy),
    /// Of another.
    Foreign(&'static MethodPolicy),
}

impl Row {
    pub(super) fn policy(self) -> &'static MethodPolicy {
        match self {
            Self::Ours(policy) | Self::Foreign(policy) => policy,
        }
    }

    pub(super) fn path(self) -> &'static str {
        self.policy().path
    }

    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Ours(_))
    }
}

/// The method of a path; `None` is denied.
pub(super) fn row(path: &str, reflection: bool) -> Option<Row> {
    let reflection = REFLECTION.iter().filter(|_| reflection);
    let foreign = || HEALTH.iter().chain(reflection).find(|policy| policy.path == path).map(Row::Foreign);
    access::policy(path).map(Row::Ours).or_else(foreign)
}

pub(super) fn unknown() -> Error {
    Error::refused(Reason::MethodUnknown, "no such method on this server")
}

/// Refuses what is no gRPC call.
pub(super) fn check_form(head: &Head) -> Result<()> {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let rest = kind.strip_prefix("application/grpc");
    let is_grpc = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']));
    if head.method == Method::POST && is_grpc {
        return Ok(());
    }
    Err(Error::refused(Reason::MalformedRequest, "a call is a POST with the content type application/grpc"))
}

/// Refuses a caller who has none of the roles that the method demands.
pub(super) fn check_role(policy: &MethodPolicy, roles: &[Role]) -> Result<()> {
    if policy.roles.iter().any(|role| roles.contains(role)) {
        return Ok(());
    }
    Err(Error::refused(Reason::RoleMissing, "the token has none of the roles that this method demands"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_policy_is_denied() {
        assert!(row("/madang.v1.IdentityService/GetMe", true).is_some_and(Row::is_ours));
        assert!(row("/grpc.health.v1.Health/Check", false).is_some_and(|row| !row.is_ours()));
        let reflection = REFLECTION[0].path;
        assert!(row(reflection, true).is_some() && row(reflection, false).is_none());
        for path in ["/madang.v1.IdentityService/Nothing", "/", "", "/madang.v1.IdentityService/GetMe/", "GetMe"] {
            assert!(row(path, true).is_none(), "{path}");
        }
    }

    #[test]
    fn a_caller_needs_one_of_the_roles() {
        let admins = row("/madang.v1.IdentityService/RevokeUserSessions", false).expect("a method").policy();
        assert!(check_role(admins, &[Role::User]).is_err_and(|e| e.is(Reason::RoleMissing)));
        assert!(check_role(admins, &[Role::User, Role::SystemAdmin]).is_ok());
        assert!(check_role(admins, &[]).is_err());
    }
}
