//! Calls by the byte: whatever path, metadata and body a stranger may think of, and the whole of what comes back.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use madang_proto::{POLICIES, Refusal, v1::ErrorReason};
use prost::Message;
use tonic::{Code, Status, body::Body};
use uuid::Uuid;

/// Longest wait for an answer; whoever waits so long was not answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a server. It does nothing of its own accord: no deadlines, no retries.
#[derive(Debug, Clone)]
pub struct Wire {
    client: Client<HttpConnector, Body>,
    server: String,
}

/// A call before it is made.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub metadata: Vec<(String, String)>,
    pub content_type: String,
    /// The body as it goes out, framed by the caller.
    pub body: Bytes,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub http: StatusCode,
    /// Headers, and trailers behind them, but for the date.
    pub metadata: HeaderMap,
    /// Messages without their prefix, as far as they were read.
    pub messages: Vec<Bytes>,
    pub status: Status,
}

/// A gRPC message with its prefix: not compressed, so many bytes.
pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a message is below 4 GiB"));
    frame.put_slice(message);
    frame.freeze()
}

impl Call {
    /// A call without any metadata of ours.
    pub fn to(path: &str, message: &[u8]) -> Self {
        Self {
            method: Method::POST,
            path: path.to_owned(),
            metadata: Vec::new(),
            content_type: "application/grpc".to_owned(),
            body: framed(message),
        }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.metadata.push((name.to_owned(), value.into()));
        self
    }

    /// With the token and device of somebody.
    pub fn by(self, caller: &Caller) -> Self {
        self.with("authorization", format!("Bearer {}", caller.token)).with("madang-device-id", &caller.device_id)
    }
}

/// A token and a device.
#[derive(Debug, Clone)]
pub struct Caller {
    pub token: String,
    pub device_id: String,
}

impl Caller {
    /// A new device with this token.
    pub fn new(token: impl Into<String>) -> Self {
        Self { token: token.into(), device_id: Uuid::now_v7().to_string() }
    }
}

impl Wire {
    /// A connection of one's own.
    pub fn to(server: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
        Self { client, server: server.to_owned() }
    }

    /// Makes a call and reads its answer; of a stream the first frame.
    pub async fn call(&self, call: Call) -> Answer {
        let opens_stream = POLICIES.iter().any(|policy| policy.path == call.path && policy.streams);
        self.within_patience(call, opens_stream).await
    }

    /// Makes a call and reads the first message of its answer.
    pub async fn call_to_first(&self, call: Call) -> Answer {
        self.within_patience(call, true).await
    }

    /// Makes a call and reads all of its answer, also of a stream.
    pub async fn call_to_end(&self, call: Call) -> Answer {
        self.within_patience(call, false).await
    }

    async fn within_patience(&self, call: Call, opens_stream: bool) -> Answer {
        let name = call.path.clone();
        let answer = tokio::time::timeout(PATIENCE, self.exchange(call, opens_stream)).await;
        answer.unwrap_or_else(|_| panic!("{name}: no answer in {PATIENCE:?}"))
    }

    /// Makes a call with a typed message.
    pub async fn ask(&self, caller: &Caller, path: &str, message: &impl Message) -> Answer {
        self.call(Call::to(path, &message.encode_to_vec()).by(caller)).await
    }

    async fn exchange(&self, call: Call, opens_stream: bool) -> Answer {
        let mut request = Request::builder().method(call.method).uri(format!("{}{}", self.server, call.path));
        request = request.header("te", "trailers").header("content-type", &call.content_type);
        for (name, value) in &call.metadata {
            request = request.header(name, value);
        }
        let request = request.body(Body::new(Full::new(call.body))).expect("a request");
        match self.client.request(request).await {
            Ok(response) => read(response.map(Body::new), opens_stream).await,
            Err(error) => Answer::none(&error.to_string()),
        }
    }
}

/// Reads to the end, but of a stream that was opened only the first message.
async fn read(response: http::Response<Body>, opens_stream: bool) -> Answer {
    let (head, mut body) = response.into_parts();
    let (mut metadata, mut data) = (head.headers, BytesMut::new());
    metadata.remove("date");
    // A number of its own for every call: by chance, so it tells nothing.
    metadata.remove("madang-request-id");
    let mut messages = Vec::new();
    while !opens_stream || messages.is_empty() {
        match body.frame().await {
            None => break,
            Some(Err(error)) => return Answer::none(&error.to_string()),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    data.extend_from_slice(&bytes);
                    take_messages(&mut data, &mut messages);
                }
                Err(trailers) => metadata.extend(trailers.into_trailers().unwrap_or_default()),
            },
        }
    }
    let open = || if opens_stream { Status::ok("open") } else { Status::unknown("no status") };
    let status = Status::from_header_map(&metadata).unwrap_or_else(open);
    Answer { http: head.status, metadata, messages, status }
}

fn take_messages(data: &mut BytesMut, messages: &mut Vec<Bytes>) {
    while data.len() >= 5 {
        let length = u32::from_be_bytes([data[1], data[2], data[3], data[4]]) as usize;
        if data.len() < 5 + length {
            return;
        }
        messages.push(data.split_to(5 + length).freeze().slice(5..));
    }
}

impl Answer {
    /// The connection ended without one.
    fn none(why: &str) -> Self {
        Self {
            http: StatusCode::SERVICE_UNAVAILABLE,
            metadata: HeaderMap::new(),
            messages: Vec::new(),
            status: Status::unavailable(format!("no answer: {why}")),
        }
    }

    pub fn code(&self) -> Code {
        self.status.code()
    }

    /// The refusal in it; fails when there is none of our contract.
    #[track_caller]
    pub fn refusal(&self) -> Refusal {
        let refusal = Refusal::of(&self.status);
        let refusal = refusal.unwrap_or_else(|| panic!("no reason of this contract: {self:?}"));
        assert_eq!(self.code(), refusal.reason.rule().code, "{self:?}");
        refusal
    }

    #[track_caller]
    pub fn reason(&self) -> ErrorReason {
        self.refusal().reason
    }

    /// Fails unless it is refused with this reason.
    #[track_caller]
    pub fn is_refused(&self, reason: ErrorReason, what: &str) {
        assert_eq!(Refusal::of(&self.status).map(|refusal| refusal.reason), Some(reason), "{what}: {self:?}");
        assert_eq!(self.code(), reason.rule().code, "{what}: {self:?}");
        assert_eq!(self.http, StatusCode::OK, "{what}: {self:?}");
    }

    /// The message of a call that was answered.
    #[track_caller]
    pub fn message<T: Message + Default>(&self) -> T {
        assert_eq!(self.code(), Code::Ok, "{self:?}");
        T::decode(&*self.messages[0]).expect("the message that the contract names")
    }

    /// Everything that a caller can see of it, in a form to compare: two refusals that must not be told apart are equal here.
    pub fn visible(&self) -> String {
        let mut seen: Vec<String> = self.metadata.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        seen.sort_unstable();
        let messages: Vec<String> = self.messages.iter().map(|message| STANDARD_NO_PAD.encode(message)).collect();
        format!("{}\n{}\n{}", self.http, seen.join("\n"), messages.join("\n"))
    }
}
