//! What every call passes through, in one place and one order: trace, policy, deadline, token, role, calls in flight, person and
//! device, block, rate, epoch; then the service; and on the way back conformance. In front of it lie CORS and gRPC-web (`web`), what
//! is no call (`site`), and the accept loop (`accept`).
//!
//! Always true: a path without a policy is refused; a service sees only calls that have a [`Call`] in their extensions; every
//! refusal leaves with a reason of the contract, whoever made it; each call is logged once, without what it said.

mod accept;
mod authenticate;
mod authorize;
mod conform;
pub mod control;
mod count;
mod heard;
mod limit;
pub mod pages;
mod services;
mod site;
mod tls;
mod trace;
mod web;

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use madang_proto::MethodPolicy;
use tonic::{body::Body, service::Routes};
use tower::Service;

pub use self::{accept::serve, services::Parts, site::Front, tls::acceptor};
use self::{authorize::Row, trace::Line};
use crate::{
    access::Call,
    error::{Error, Result},
    identity::Claims,
    limits,
};

type Request = http::Request<Body>;
type Response = http::Response<Body>;
/// A request without its body.
type Head = http::request::Parts;

/// The stack in front of the services.
#[derive(Clone)]
pub struct Door {
    parts: Parts,
    routes: Routes,
}

impl Door {
    fn new(parts: Parts) -> Self {
        let routes = services::routes(&parts).prepare();
        Self { parts, routes }
    }

    async fn pass(self, request: Request) -> Response {
        let row = authorize::row(request.uri().path(), self.parts.node.config.reflection);
        let mut line = Line::begin(request.headers(), row.map_or("unknown", Row::path));
        let parts = self.parts.clone();
        let answer = AssertUnwindSafe(self.answer(request, row, &mut line)).catch_unwind().await;
        if let (Ok(Ok(response)), Some(caller)) = (&answer, line.caller()) {
            limit::count_refusal(&parts, caller, response);
        }
        match answer {
            Ok(Ok(response)) if row.is_some_and(|row| !row.is_ours()) => conform::foreign(response, line),
            Ok(Ok(response)) => conform::response(response, line),
            Ok(Err(error)) => conform::response(tonic::Status::from(error).into_http(), line),
            Err(panic) => conform::response(conform::panicked(&*panic, &line.request_id()).into_http(), line),
        }
    }

    async fn answer(mut self, request: Request, row: Option<Row>, line: &mut Line) -> Result<Response> {
        let (mut head, body) = request.into_parts();
        authorize::check_form(&head)?;
        let row = row.ok_or_else(authorize::unknown)?;
        let policy = row.policy();
        let deadline = limit::deadline(&head, policy, Instant::now());
        limit::within(deadline, async move {
            let admitted = if policy.public {
                limit::take_anonymous(&self.parts, policy, &head)?;
                limit::Admitted::anonymous()
            } else {
                self.admit(policy, &head, line).await?
            };
            head.extensions.insert(Call {
                policy,
                caller: admitted.caller.clone(),
                request_id: line.request_id(),
                deadline,
                connection: head.extensions.get().cloned().unwrap_or_default(),
            });
            let response = limits::holding(admitted.held(), self.routes.call(Request::from_parts(head, body))).await;
            drop(admitted);
            response.map_err(|error| Error::Internal(format!("the router: {error}")))
        })
        .await
    }

    /// From a token to a caller who may make this call now.
    async fn admit(&self, policy: &'static MethodPolicy, head: &Head, line: &mut Line) -> Result<limit::Admitted> {
        let parts = &self.parts;
        let claims = self.claims(policy, head).await.map_err(|error| limit::refuse(parts, head, error))?;
        let origin = authenticate::origin(head, &parts.node.config)?;
        let mut admitted = limit::admit(parts, policy, &claims.subject).await?;
        let caller = limits::holding(admitted.held(), parts.sign_in.caller(&claims, origin)).await?;
        line.is_called_by(caller.user_id);
        limit::check_block(parts, caller.user_id)?;
        limit::take(parts, policy, caller.user_id)?;
        authenticate::check_epoch(head, policy, &parts.node.database)?;
        admitted.caller = Some(Arc::new(caller));
        admitted.release_database_unless_needed(policy);
        Ok(admitted)
    }

    /// What a good token says that opens this method.
    async fn claims(&self, policy: &MethodPolicy, head: &Head) -> Result<Arc<Claims>> {
        let claims = self.parts.sign_in.claims(authenticate::token(head)?).await?;
        authorize::check_role(policy, &claims.roles)?;
        Ok(claims)
    }
}

/// Everything that a node answers, by calls and otherwise.
pub fn front(parts: Parts) -> Front {
    let calls = web::calls(Door::new(parts.clone()), &parts.node.config);
    Front::new(calls, parts)
}

impl Service<Request> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.pass(request).await) })
    }
}
