//! What a handler knows of its call besides the message.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use madang_proto::{
    MethodPolicy,
    v1::{Role, RoomPermission},
};

use crate::{
    error::{Error, Result},
    ids::{DeviceId, UserId},
    limits::ConnectionAge,
};

/// Who calls, as the token and the device session say.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The person.
    pub user_id: UserId,
    /// The installation.
    pub device_id: DeviceId,
    /// Session at the issuer.
    pub sid: String,
    /// Global roles of the token.
    pub roles: Vec<Role>,
    /// When the token was issued.
    pub issued_at: DateTime<Utc>,
    /// When the token ends.
    pub expires_at: DateTime<Utc>,
    /// Network address, for the device session and the audit log; never logged.
    pub address: String,
    /// user-agent header.
    pub user_agent: String,
}

/// A call that has passed the door.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method's row.
    pub policy: &'static MethodPolicy,
    /// Absent on public methods.
    pub caller: Option<Arc<Caller>>,
    /// Names the call in the logs and in INTERNAL refusals.
    pub request_id: Arc<str>,
    /// When the caller stops waiting; capped by the server.
    pub deadline: Instant,
    /// The age of the connection that it came on.
    pub connection: ConnectionAge,
}

impl Call {
    /// The call of a request; the rpc stack has put it there.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self> {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Error::Internal("the call did not pass the door".into()))
    }

    /// Who calls; there on every method that is not public.
    pub fn caller(&self) -> Result<&Arc<Caller>> {
        self.caller.as_ref().ok_or_else(|| Error::Internal("a public method has no caller".into()))
    }

    /// The person who calls.
    pub fn user_id(&self) -> Result<UserId> {
        Ok(self.caller()?.user_id)
    }

    /// The right in a room that the method declares.
    pub fn permission(&self) -> RoomPermission {
        self.policy.room_permission
    }
}
