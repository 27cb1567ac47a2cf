//! The calls of `IdentityService`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use madang_proto::{
    servers::identity_service_server::IdentityService,
    v1::{
        GetMeRequest, GetMeResponse, GetServerInfoRequest, GetServerInfoResponse, ListDeviceSessionsRequest,
        ListDeviceSessionsResponse, RevokeDeviceSessionRequest, RevokeDeviceSessionResponse, RevokeUserSessionsRequest,
        RevokeUserSessionsResponse, SignOutRequest, SignOutResponse, User,
    },
};
use sqlx::postgres::PgConnection;
use tonic::{Request, Response, Status};

use super::wire;
use crate::{
    access::{Call, Caller},
    error::{Error, Reason, Refusal, Result},
    identity::Logout,
    ids::{DeviceId, UserId},
    realtime::{self, Changes, ClosingReason, Node, SessionEnd, WhichSessions},
    sessions::{
        ISSUER_SETTLES, Sessions,
        store::{self, AuditEntry, DeviceSession},
    },
    users,
};

/// Sign-in and devices.
#[derive(Debug, Clone)]
pub struct Identity {
    node: Node,
    sessions: Arc<Sessions>,
}

/// Who revokes, and when.
#[derive(Debug, Clone)]
struct Revocation {
    caller: Arc<Caller>,
    action: &'static str,
    at: DateTime<Utc>,
}

impl Identity {
    /// The calls on one node.
    pub fn new(node: Node, sessions: Arc<Sessions>) -> Self {
        Self { node, sessions }
    }

    /// The moment, precise as the database keeps it.
    fn now(&self) -> Result<DateTime<Utc>> {
        let at = chrono::DurationRound::duration_trunc(self.node.clock.now(), chrono::TimeDelta::microseconds(1));
        at.map_err(|error| Error::Internal(format!("the clock: {error}")))
    }

    fn revocation(&self, call: &Call, action: &'static str) -> Result<Revocation> {
        Ok(Revocation { caller: Arc::clone(call.caller()?), action, at: self.now()? })
    }

    /// Revokes the caller's session on a device. Repeated, it changes nothing more.
    async fn revoke_device(&self, call: &Call, device_id: DeviceId, action: &'static str) -> Result<DeviceSession> {
        let by = self.revocation(call, action)?;
        let user_id = by.caller.user_id;
        let revoked = self.node.change(move |tx| {
            let by = by.clone();
            Box::pin(async move { revoke_device(tx, device_id, &by).await })
        });
        let revoked = revoked.await;
        self.sessions.forget(user_id);
        revoked
    }

    async fn revoke_all(&self, call: &Call, user_id: UserId) -> Result<u64> {
        let by = self.revocation(call, "revoke_user_sessions")?;
        let revoked = self.node.change(move |tx| {
            let by = by.clone();
            Box::pin(async move { revoke_all(tx, user_id, &by).await })
        });
        let revoked = revoked.await;
        self.sessions.forget(user_id);
        revoked
    }

    /// The issuer has ended a session: its devices are signed out. The issuer names one even when it ended all of a person's
    /// (Keycloak does), so the person's other streams end too and every older token must be renewed, which fails for a session
    /// that is over. Somebody who was never here is nobody to sign out.
    pub async fn end_issuers(&self, logout: &Logout) -> Result<()> {
        let pool = self.node.database.pool();
        let found = users::store::find_by_subject(pool, &logout.issuer, &logout.subject).await?;
        let Some(user_id) = found else { return Ok(()) };
        let (logout, at) = (logout.clone(), self.now()?);
        let ended = self.node.change(move |tx| {
            let logout = logout.clone();
            Box::pin(async move { end_issuers(tx, user_id, &logout, at).await })
        });
        let ended = ended.await;
        self.sessions.forget(user_id);
        ended
    }

    async fn me(&self, call: &Call) -> Result<(User, i64)> {
        let user_id = call.user_id()?;
        let user = users::service::Users::new(self.node.clone()).own(call).await?;
        Ok((user, users::store::find_user_rev(self.node.database.pool(), user_id).await?))
    }

    fn live_devices(&self, user_id: UserId) -> Vec<DeviceId> {
        self.node.hub.sessions_of(user_id).iter().map(|session| session.opener().device_id).collect()
    }
}

async fn revoke_device(
    tx: &mut PgConnection,
    device_id: DeviceId,
    by: &Revocation,
) -> Result<(DeviceSession, Changes)> {
    let user_id = by.caller.user_id;
    let user_rev = store::bump_person(tx, user_id).await?;
    let devices = store::revoke_device(tx, user_id, device_id, by.at).await?;
    // Signing out ends the token's own session at the issuer too, which another sign-in on the device may have covered up.
    let also = if device_id == by.caller.device_id { by.caller.sid.as_str() } else { "" };
    store::revoke_sids(tx, user_id, also, by.at).await?;
    let session = store::find_session(tx, user_id, device_id).await?;
    let missing =
        || Refusal::new(Reason::DeviceSessionNotFound, "no session on this device").with("device_id", device_id);
    let session = session.ok_or_else(missing)?;
    if !devices.is_empty() {
        audit(tx, device_id.to_string(), by).await?;
    }
    let end =
        |device_id| SessionEnd { user_id, which: WhichSessions::Device(device_id), reason: ClosingReason::Revoked };
    let ended = devices.into_iter().map(end).collect();
    Ok((session, Changes { ended, people: spans(user_id, user_rev), ..Changes::default() }))
}

async fn revoke_all(tx: &mut PgConnection, user_id: UserId, by: &Revocation) -> Result<(u64, Changes)> {
    let missing = || Refusal::new(Reason::UserNotFound, "user not found").with("user_id", user_id);
    let user_rev = store::bump_person(tx, user_id).await?.ok_or_else(missing)?;
    let revoked = store::revoke_all(tx, user_id, by.at).await?;
    store::revoke_sids(tx, user_id, "", by.at).await?;
    audit(tx, user_id.to_string(), by).await?;
    let ended = vec![SessionEnd { user_id, which: WhichSessions::All, reason: ClosingReason::Revoked }];
    Ok((revoked, Changes { ended, people: spans(user_id, Some(user_rev)), ..Changes::default() }))
}

async fn end_issuers(
    tx: &mut PgConnection,
    user_id: UserId,
    logout: &Logout,
    at: DateTime<Utc>,
) -> Result<((), Changes)> {
    let user_rev = store::bump_person(tx, user_id).await?;
    let settled_at = logout.issued_at + ISSUER_SETTLES;
    let devices = store::end_issuers(tx, user_id, &logout.sid, settled_at, at).await?;
    store::revoke_sids(tx, user_id, &logout.sid, at).await?;
    let entry = AuditEntry {
        at,
        actor_id: None,
        action: "issuer_ended_session",
        target: user_id.to_string(),
        address: "",
        user_agent: "",
    };
    store::insert_audit(tx, &entry).await?;
    let end = |which, reason| SessionEnd { user_id, which, reason };
    let devices = devices.into_iter().map(|id| end(WhichSessions::Device(id), ClosingReason::Revoked));
    // A stream ends once: those of the devices have.
    let others = end(WhichSessions::All, ClosingReason::TokenExpired);
    let ended = devices.chain([others]).collect();
    Ok(((), Changes { ended, people: spans(user_id, user_rev), ..Changes::default() }))
}

/// The number moved and nothing else: streams that stay open have no hole.
fn spans(user_id: UserId, user_rev: Option<i64>) -> Vec<realtime::PersonEvent> {
    user_rev.map(|user_rev| realtime::wire::person_span(user_id, user_rev)).into_iter().collect()
}

async fn audit(tx: &mut PgConnection, target: String, by: &Revocation) -> Result<()> {
    let caller = &by.caller;
    let entry = AuditEntry {
        at: by.at,
        actor_id: Some(caller.user_id),
        action: by.action,
        target,
        address: &caller.address,
        user_agent: &caller.user_agent,
    };
    store::insert_audit(tx, &entry).await
}

#[tonic::async_trait]
impl IdentityService for Identity {
    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        let epoch = self.node.database.epoch().borrow().clone();
        let server = Some(wire::server_info(&self.node.config, epoch));
        Ok(Response::new(GetServerInfoResponse { server }))
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<GetMeResponse>, Status> {
        let call = Call::of(&request)?;
        let (user, user_rev) = self.me(&call).await?;
        let roles = call.caller()?.roles.iter().map(|role| (*role).into()).collect();
        Ok(Response::new(GetMeResponse { user: Some(user), roles, user_rev }))
    }

    async fn list_device_sessions(
        &self,
        request: Request<ListDeviceSessionsRequest>,
    ) -> Result<Response<ListDeviceSessionsResponse>, Status> {
        let user_id = Call::of(&request)?.user_id()?;
        let live = self.live_devices(user_id);
        let found = store::list(self.node.database.pool(), user_id).await?.into_iter();
        let sessions = found.map(|session| {
            let is_live = live.contains(&DeviceId(session.device_id));
            wire::device_session(session, is_live)
        });
        Ok(Response::new(ListDeviceSessionsResponse { sessions: sessions.collect() }))
    }

    async fn revoke_device_session(
        &self,
        request: Request<RevokeDeviceSessionRequest>,
    ) -> Result<Response<RevokeDeviceSessionResponse>, Status> {
        let call = Call::of(&request)?;
        let device_id = request.into_inner().device_id;
        let device_id = DeviceId::parse(&device_id).ok_or_else(|| Error::Internal("an unchecked id".into()))?;
        let session = self.revoke_device(&call, device_id, "revoke_device_session").await?;
        let session = Some(wire::device_session(session, false));
        Ok(Response::new(RevokeDeviceSessionResponse { session }))
    }

    async fn revoke_user_sessions(
        &self,
        request: Request<RevokeUserSessionsRequest>,
    ) -> Result<Response<RevokeUserSessionsResponse>, Status> {
        let call = Call::of(&request)?;
        let user_id = users::service::user_id(&request.into_inner().user_id)?;
        let revoked = self.revoke_all(&call, user_id).await?;
        let revoked = i32::try_from(revoked).unwrap_or(i32::MAX);
        Ok(Response::new(RevokeUserSessionsResponse { revoked }))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        let call = Call::of(&request)?;
        self.revoke_device(&call, call.caller()?.device_id, "sign_out").await?;
        Ok(Response::new(SignOutResponse {}))
    }
}
