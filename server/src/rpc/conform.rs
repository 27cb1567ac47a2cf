//! Every error leaves with a reason of the contract, whoever made it: a handler, tonic, or a panic.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use madang_proto::{REQUEST_BYTES, Refusal, v1::ErrorReason as Reason};
use tonic::{Code, Status, body::Body};

use super::{Response, trace::Line};

/// Headers in which gRPC says how a call ended.
const STATUS_HEADERS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// An answer of one of our services, its status in the headers or still to come.
pub(super) fn response(response: Response, line: Line) -> Response {
    let (mut head, body) = response.into_parts();
    let mut line = line;
    conform(&mut head.headers, &mut line);
    let body = Conformed { inner: body, line: Some(line), ended: false };
    Response::from_parts(head, Body::new(body))
}

/// An answer of a service with a contract of its own: left as it is.
pub(super) fn foreign(response: Response, mut line: Line) -> Response {
    line.end(Code::Ok, "");
    response
}

/// What a call that panicked is answered with.
pub(super) fn panicked(panic: &(dyn Any + Send), request_id: &str) -> Status {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("?"), request_id, "a call panicked");
    Refusal::new(Reason::Internal, "internal error").into()
}

/// Puts the right status into headers or trailers that have one.
fn conform(headers: &mut HeaderMap, line: &mut Line) {
    let Some(status) = Status::from_header_map(headers) else { return };
    if status.code() == Code::Ok {
        return line.end(Code::Ok, "");
    }
    let said = Refusal::of(&status).filter(|refusal| refusal.reason != Reason::Unspecified);
    let is_right = said.as_ref().is_some_and(|refusal| refusal.reason != Reason::Internal);
    let mut refusal = said.unwrap_or_else(|| reason_of(&status));
    if refusal.reason == Reason::Internal {
        refusal = Refusal::new(Reason::Internal, "internal error").with("request_id", line.request_id());
    }
    let rule = refusal.reason.rule();
    line.end(rule.code, rule.name);
    if is_right {
        return;
    }
    for name in STATUS_HEADERS {
        headers.remove(name);
    }
    if let Err(error) = Status::from(refusal).add_header(headers) {
        tracing::error!(%error, "a status has no form as headers");
    }
}

/// The refusal that a status of tonic's own stands for. tonic has no types for them, only texts.
fn reason_of(status: &Status) -> Refusal {
    let text = status.message();
    let malformed = || Refusal::new(Reason::MalformedRequest, format!("malformed request: {text}"));
    match status.code() {
        Code::OutOfRange if text.contains("decoded message length too large") => too_large(),
        Code::ResourceExhausted if text.starts_with("Error decompressing") => too_large(),
        Code::Unimplemented if text.starts_with("Content is compressed") => malformed(),
        Code::Unimplemented => Refusal::new(Reason::MethodUnknown, "no such method on this server"),
        Code::InvalidArgument => malformed(),
        Code::Internal if MADE_BY_CLIENTS.iter().any(|begin| text.starts_with(begin)) => malformed(),
        Code::Cancelled => Refusal::new(Reason::MalformedRequest, "the request was cut short"),
        Code::DeadlineExceeded => Refusal::new(Reason::DeadlinePassed, "the deadline has passed"),
        code => {
            tracing::error!(?code, text, "a status without a reason");
            Refusal::new(Reason::Internal, "internal error")
        }
    }
}

/// Statuses that tonic calls INTERNAL although the client made them (tonic 0.14 `codec/decode.rs`, `server/grpc.rs`).
const MADE_BY_CLIENTS: [&str; 5] = [
    "protocol error: received message",
    "Unexpected EOF decoding stream",
    "Missing request message",
    "Error decompressing",
    "h2 protocol error",
];

fn too_large() -> Refusal {
    Refusal::new(Reason::RequestTooLarge, format!("a message may have at most {REQUEST_BYTES} bytes"))
        .with("limit", REQUEST_BYTES)
}

/// The body of an answer, with its trailers put right.
struct Conformed {
    inner: Body,
    line: Option<Line>,
    ended: bool,
}

impl Conformed {
    fn end(&mut self, trailers: &mut HeaderMap) {
        self.ended = true;
        if let Some(mut line) = self.line.take() {
            conform(trailers, &mut line);
        }
    }

    fn fail(&mut self, status: &Status) -> Frame<Bytes> {
        let mut trailers = HeaderMap::new();
        if let Err(error) = status.add_header(&mut trailers) {
            tracing::error!(%error, "a status has no form as headers");
        }
        self.end(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl http_body::Body for Conformed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.inner).poll_frame(cx)));
        let frame = match polled {
            Err(panic) => {
                let request_id = self.line.as_ref().map(Line::request_id).unwrap_or_default();
                self.fail(&panicked(&*panic, &request_id))
            }
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(None)) => {
                self.ended = true;
                self.line = None;
                return Poll::Ready(None);
            }
            Ok(Poll::Ready(Some(Err(status)))) => self.fail(&status),
            Ok(Poll::Ready(Some(Ok(frame)))) => match frame.into_trailers() {
                Ok(mut trailers) => {
                    self.end(&mut trailers);
                    Frame::trailers(trailers)
                }
                Err(data) => data,
            },
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
