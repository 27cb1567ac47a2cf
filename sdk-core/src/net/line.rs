//! A line to the server: calls go in, connections are opened for them, and all of them end together when it is cut.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::sync::watch;
use tonic::{
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::Service;

use super::{
    Failure, Route,
    connector::Connector,
    failure::{Trouble, find},
};
use crate::{clock::Clock, diagnostics::Recorder};

type BoxError = Box<dyn Error + Send + Sync>;

/// What a client wants of its connections.
#[derive(Debug, Clone)]
pub(super) struct Reins {
    /// They are to end.
    pub(super) cut: watch::Receiver<bool>,
    /// The app is in front.
    pub(super) in_front: watch::Receiver<bool>,
}

/// A line to the server. Its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Line {
    wire: Wire,
    cut: watch::Sender<bool>,
}

impl Line {
    /// Opens nothing before the first call.
    pub(crate) fn new(route: &Arc<Route>, record: &Arc<Recorder>, in_front: watch::Receiver<bool>) -> Self {
        let cut = watch::Sender::new(false);
        let trouble = Trouble::default();
        let connector = Connector {
            route: Arc::clone(route),
            record: Arc::clone(record),
            trouble: trouble.clone(),
            reins: Reins { cut: cut.subscribe(), in_front },
        };
        // The connector secures connections itself, so that the channel must not expect to.
        let endpoint = Endpoint::from_static("http://server")
            .origin(route.uri().clone())
            .user_agent(HeaderValue::from_static(concat!("madang-sdk-core/", env!("CARGO_PKG_VERSION"))))
            .expect("a header's value is one");
        let channel = endpoint.connect_with_connector_lazy(connector);
        Self { wire: Wire { channel, trouble, record: Arc::clone(record), clock: Arc::clone(&route.clock) }, cut }
    }

    /// Where calls go in.
    pub(crate) fn wire(&self) -> Wire {
        self.wire.clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut.send_replace(true);
    }
}

/// Where calls go in. What comes out is gRPC, or a [`Failure`].
#[derive(Clone)]
pub(crate) struct Wire {
    channel: Channel,
    trouble: Trouble,
    record: Arc<Recorder>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = self.record.begin_call(request.uri().path(), self.clock.now());
        let (answer, trouble, clock) = (self.channel.call(request), self.trouble.clone(), Arc::clone(&self.clock));
        Box::pin(async move {
            let answer = match answer.await {
                Ok(answer) => check(answer),
                Err(error) => Err(name(error.into(), &trouble)),
            };
            let status = answer.as_ref().ok().map(|answer| status_of(answer.headers()));
            call.end(status, clock.now());
            answer
        })
    }
}

/// Lets answers of gRPC through.
fn check(answer: Response<Body>) -> Result<Response<Body>, BoxError> {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/grpc") && answer.status() == StatusCode::OK {
        return Ok(answer);
    }
    Err(Failure::of_http(answer.status().as_u16(), kind.to_ascii_lowercase().contains("text/html")).into())
}

/// What a call failed with, or what is known to be wrong with its connection.
fn name(error: BoxError, trouble: &Trouble) -> BoxError {
    match find::<Failure>(&*error) {
        Some(failure) => failure.clone().into(),
        None => trouble.get().map_or(error, Into::into),
    }
}

/// Status of an answer that is one of its own; an answer with a body says it behind that, and is taken as good.
fn status_of(headers: &HeaderMap) -> i32 {
    headers.get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok()).unwrap_or_default()
}
