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

/// Puts the right status into headers or trailers that have one; a refusal names its call.
fn conform(headers: &mut HeaderMap, line: &mut Line) {
    let Some(status) = Status::from_header_map(headers) else { return };
    if status.code() == Code::Ok {
        return line.end(Code::Ok, "");
    }
    line.name_in(headers);
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn line() -> Line {
        Line::begin(&HeaderMap::new(), "test")
    }

    /// What a client reads of an answer whose status is in the headers, and of one whose status is in the trailers.
    async fn read(status: Status) -> [Status; 2] {
        let early = response(status.clone().into_http::<Body>(), line());
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers).expect("a status has a form");
        let frames: [Result<_, Status>; 2] =
            [Ok(Frame::data(Bytes::from_static(b"message"))), Ok(Frame::trailers(trailers))];
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let late = response(Response::new(body), line()).into_body().collect().await.expect("never an error");
        let late = late.trailers().and_then(Status::from_header_map).expect("a status in the trailers");
        [Status::from_header_map(early.headers()).expect("a status in the headers"), late]
    }

    async fn reasons(status: Status) -> [Refusal; 2] {
        read(status).await.map(|status| {
            let refusal = Refusal::of(&status).expect("a reason of the contract");
            assert_eq!(status.code(), refusal.reason.rule().code, "{refusal:?}");
            assert!(refusal.metadata.keys().all(|key| refusal.reason.rule().metadata_keys.contains(&&**key)));
            refusal
        })
    }

    #[tokio::test]
    async fn whatever_tonic_says_leaves_with_a_reason() {
        let text = |code, text: &str| Status::new(code, text);
        let cases = [
            (Status::unimplemented(""), Reason::MethodUnknown),
            (
                Status::unimplemented("Content is compressed with `gzip` which isn't supported"),
                Reason::MalformedRequest,
            ),
            (text(Code::OutOfRange, "Error, decoded message length too large: found 2 bytes"), Reason::RequestTooLarge),
            (text(Code::ResourceExhausted, "Error decompressing: size limit, of 1 bytes"), Reason::RequestTooLarge),
            (text(Code::Internal, "Missing request message."), Reason::MalformedRequest),
            (text(Code::Internal, "Unexpected EOF decoding stream."), Reason::MalformedRequest),
            (
                text(Code::Internal, "protocol error: received message with invalid compression flag"),
                Reason::MalformedRequest,
            ),
            (text(Code::Cancelled, "client cancelled"), Reason::MalformedRequest),
            (text(Code::DeadlineExceeded, ""), Reason::DeadlinePassed),
            (text(Code::InvalidArgument, "?"), Reason::MalformedRequest),
            (text(Code::Internal, "secret"), Reason::Internal),
            (text(Code::Unknown, "secret"), Reason::Internal),
            (text(Code::DataLoss, "secret"), Reason::Internal),
            (text(Code::NotFound, "secret"), Reason::Internal),
        ];
        for (status, expected) in cases {
            let code = status.code();
            for refusal in reasons(status).await {
                assert_eq!(refusal.reason, expected, "{code:?}");
                assert!(!refusal.message.contains("secret"), "{refusal:?}");
                assert_eq!(refusal.metadata.contains_key("request_id"), expected == Reason::Internal);
            }
        }
    }

    #[tokio::test]
    async fn a_refusal_of_ours_stays_as_it_is_but_a_fault_gets_a_request_id() {
        let ours = Refusal::field("body.text", "at most 8000 characters");
        for refusal in reasons(ours.clone().into()).await {
            assert_eq!(refusal, ours);
        }
        for status in read(ours.into()).await {
            assert!(status.metadata().contains_key("madang-request-id"), "{status:?}");
        }
        for refusal in reasons(Refusal::new(Reason::Internal, "secret").into()).await {
            assert_eq!((refusal.reason, refusal.message.as_str()), (Reason::Internal, "internal error"));
            assert!(refusal.metadata.contains_key("request_id"));
        }
        // A foreign domain is no reason of ours.
        let foreign = tonic_types::ErrorDetails::with_error_info("X", "other", std::collections::HashMap::new());
        let foreign = <Status as tonic_types::StatusExt>::with_error_details(Code::Unknown, "secret", foreign);
        assert!(reasons(foreign).await.iter().all(|refusal| refusal.reason == Reason::Internal));
    }

    #[tokio::test]
    async fn a_panic_in_the_middle_of_an_answer_is_a_refusal() {
        let stream = futures_util::stream::iter([0, 1]).map(|n| {
            assert!(n == 0, "secret");
            Ok::<_, Status>(Frame::data(Bytes::from_static(b"message")))
        });
        let body = Body::new(StreamBody::new(stream));
        let answer = response(Response::new(body), line()).into_body().collect().await.expect("never an error");
        let status = answer.trailers().and_then(Status::from_header_map).expect("a status");
        let refusal = Refusal::of(&status).expect("a reason");
        assert_eq!((refusal.reason, refusal.message.as_str()), (Reason::Internal, "internal error"));
        assert_eq!(answer.to_bytes(), "message");
    }

    #[tokio::test]
    async fn an_answer_that_is_right_is_left_alone() {
        for status in read(Status::new(Code::Ok, "")).await {
            assert_eq!(status.code(), Code::Ok);
            assert!(!status.metadata().contains_key("madang-request-id"), "{status:?}");
        }
    }
}
