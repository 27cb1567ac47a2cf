//! What reaches the node by HTTP and is no call: the web app's files, what the app must know before it can sign anybody in, and
//! the issuer's word that a session has ended.
//!
//! Always true: every answer from here carries the headers of `headers`; a path outside the app's folder is not served; whatever is
//! none of these goes on to the calls and is answered there.

mod config;
#[cfg(feature = "embedded-web")]
mod embedded;
mod files;
mod headers;
mod logout;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, header};
use tower::{Service, ServiceExt as _};

use self::{files::Files, headers::Headers};
use super::{Request, Response, services::Parts, web::Calls};

/// Where the issuer says that a session has ended; set as the client's back-channel logout URL there.
const LOGOUT: &str = "/oidc/backchannel-logout";

/// What the app must know before it can sign anybody in.
const CONFIG: &str = "/config.json";

/// The node as native clients, pages and the issuer see it.
#[derive(Clone)]
pub struct Front {
    calls: Calls,
    site: Arc<Site>,
}

struct Site {
    parts: Parts,
    files: Option<Files>,
    headers: Headers,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Calls,
    Logout,
    Config,
    Files,
}

impl For {
    fn of(request: &Request) -> Self {
        let content = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        match *request.method() {
            _ if content.starts_with(b"application/grpc") => Self::Calls,
            Method::POST if request.uri().path() == LOGOUT => Self::Logout,
            Method::GET if request.uri().path() == CONFIG => Self::Config,
            Method::GET | Method::HEAD => Self::Files,
            _ => Self::Calls,
        }
    }
}

impl Front {
    pub(super) fn new(calls: Calls, parts: Parts) -> Self {
        let config = &parts.node.config;
        let (files, headers) = (Files::of(config.web_root.as_deref()), Headers::new(config));
        Self { calls, site: Arc::new(Site { parts, files, headers }) }
    }

    async fn answer(self, request: Request) -> Result<Response, Infallible> {
        let mut response = match (For::of(&request), &self.site.files) {
            (For::Logout, _) => logout::hear(&self.site.parts, request).await,
            (For::Config, Some(_)) => config::show(&self.site.parts.node.config),
            (For::Files, Some(files)) => files.serve(request).await,
            // A node without an app answers a GET like any call of a wrong form.
            _ => return self.calls.oneshot(request).await,
        };
        self.site.headers.add(response.headers_mut());
        Ok(response)
    }
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}
