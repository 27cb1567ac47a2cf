//! Browsers: gRPC-web over HTTP/1.1, and which origins may call.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use madang_proto::v1;
use madang_tests::{World, WorldConfig};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{people::Guest, raw::framed};

const GET_ME: &str = "/madang.v1.IdentityService/GetMe";
const GET_SERVER_INFO: &str = "/madang.v1.IdentityService/GetServerInfo";

/// Where the pages of this world come from.
const HOME: &str = "https://chat.example.com";

async fn world() -> World {
    let settings = |config: &mut madang_server::config::Config| {
        config.public_origins = vec![HOME.to_owned(), "http://127.0.0.1:*".to_owned()];
    };
    World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await
}

/// An answer of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    }
}

/// Says something in HTTP/1.1 and reads to the end.
pub(crate) async fn exchange(world: &World, request: &[u8]) -> Page {
    let mut stream = TcpStream::connect(world.server(0).trim_start_matches("http://")).await.expect("a connection");
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(20), stream.read_to_end(&mut answer));
    // A server that cuts the connection may do it by a reset.
    let _ = read.await.expect("an answer, or an end");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut body = answer.get(end + 4..).unwrap_or_default().to_vec();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Page { status, head, body }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|bytes| bytes == b"\r\n") {
        let length = usize::from_str_radix(&String::from_utf8_lossy(&body[..end]), 16).expect("a length");
        if length == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
    whole
}

pub(crate) async fn call(world: &World, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Page {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nhost: madang.test\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    exchange(world, &[request.as_bytes(), b"\r\n", body].concat()).await
}

/// The messages of an answer, and its trailers as text.
fn frames(body: &[u8]) -> (Vec<Vec<u8>>, String) {
    let (mut messages, mut trailers, mut rest) = (Vec::new(), String::new(), body);
    while rest.len() >= 5 {
        let length = u32::from_be_bytes([rest[1], rest[2], rest[3], rest[4]]) as usize;
        let frame = rest[5..5 + length].to_vec();
        if rest[0] & 0x80 == 0 {
            messages.push(frame);
        } else {
            trailers = String::from_utf8(frame).expect("trailers are text");
        }
        rest = &rest[5 + length..];
    }
    (messages, trailers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_an_allowed_origin_calls_and_reads_the_answer() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let bearer = format!("Bearer {}", ann.caller.token);
    let own =
        [("authorization", bearer.as_str()), ("madang-device-id", ann.caller.device_id.as_str()), ("origin", HOME)];
    for kind in ["application/grpc-web", "application/grpc-web+proto"] {
        let page =
            call(&world, GET_ME, &[&own[..], &[("content-type", kind), ("x-grpc-web", "1")]].concat(), &framed(&[]))
                .await;
        assert_eq!((page.status, page.header("access-control-allow-origin").as_deref()), (200, Some(HOME)), "{page:?}");
        assert_eq!(page.header("access-control-allow-credentials"), None, "nobody needs cookies here");
        let (messages, trailers) = frames(&page.body);
        let me = v1::GetMeResponse::decode(&*messages[0]).expect("the message");
        assert_eq!(me.user.map(|user| user.id).as_deref(), Some(&*ann.id));
        assert!(trailers.contains("grpc-status:0") || trailers.contains("grpc-status: 0"), "{trailers}");
    }
    let text =
        [&own[..], &[("content-type", "application/grpc-web-text"), ("accept", "application/grpc-web-text")]].concat();
    let page = call(&world, GET_ME, &text, STANDARD.encode(framed(&[])).as_bytes()).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.iter().all(u8::is_ascii), "{page:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_reads_its_refusal_with_the_reason() {
    let world = world().await;
    let web = [("content-type", "application/grpc-web+proto"), ("origin", HOME)];
    for (path, body, reason) in [
        (GET_ME, framed(&[]).to_vec(), "TOKEN_MISSING"),
        ("/madang.v1.IdentityService/Nothing", framed(&[]).to_vec(), "METHOD_UNKNOWN"),
        (GET_SERVER_INFO, framed(&[0xff]).to_vec(), "MALFORMED_REQUEST"),
        (GET_SERVER_INFO, framed(&vec![0; 2 << 20]).to_vec(), "REQUEST_TOO_LARGE"),
    ] {
        let page = call(&world, path, &web, &body).await;
        assert_eq!(page.status, 200, "{path}: {page:?}");
        // In the headers, which a page may read because they are exposed, or in the last frame of the body.
        let said = format!("{}\r\n{}", page.head, frames(&page.body).1);
        let details = said
            .lines()
            .find_map(|line| line.strip_prefix("grpc-status-details-bin:"))
            .expect("details")
            .trim()
            .to_owned();
        let details =
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(details.trim_end_matches('=')).expect("base64");
        let details = String::from_utf8_lossy(&details).into_owned();
        assert!(details.contains(reason) && details.contains("madang"), "{path}: {details}");
        let exposed = page.header("access-control-expose-headers").unwrap_or_default();
        assert!(
            ["grpc-status", "grpc-message", "grpc-status-details-bin", "madang-request-id"]
                .iter()
                .all(|name| exposed.split(',').any(|one| one == *name)),
            "{exposed}"
        );
        // By it the call is found in the logs.
        let request_id =
            said.lines().find_map(|line| line.strip_prefix("madang-request-id:")).expect("a request id").trim();
        assert!(
            request_id.len() == 32 && request_id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{path}: {request_id}"
        );
    }
    world.end().await;
}

async fn preflight(world: &World, origin: &str, headers: &str) -> Page {
    let request = format!(
        "OPTIONS {GET_ME} HTTP/1.1\r\nhost: madang.test\r\nconnection: close\r\norigin: {origin}\r\n\
         access-control-request-method: POST\r\naccess-control-request-headers: {headers}\r\n\r\n"
    );
    exchange(world, request.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_lets_in_the_origins_that_were_allowed_and_no_other() {
    let world = world().await;
    let wanted = "authorization,content-type,x-grpc-web,madang-device-id,madang-epoch,grpc-timeout";
    for origin in [HOME, "http://127.0.0.1:5173", "http://127.0.0.1"] {
        let page = preflight(&world, origin, wanted).await;
        assert_eq!(
            (page.status, page.header("access-control-allow-origin").as_deref()),
            (200, Some(origin)),
            "{page:?}"
        );
        let allowed = page.header("access-control-allow-headers").expect("headers").to_lowercase();
        assert!(wanted.split(',').all(|name| allowed.contains(name)), "{allowed}");
        assert_eq!(page.header("access-control-allow-methods").as_deref(), Some("POST"));
        assert_eq!(page.header("access-control-allow-credentials"), None);
        assert!(page.header("access-control-max-age").is_some_and(|age| age.parse::<u32>().is_ok()), "{page:?}");
        assert!(page.header("vary").is_some_and(|vary| vary.to_lowercase().contains("origin")), "{page:?}");
        assert!(page.body.is_empty(), "{page:?}");
    }
    for origin in [
        "https://evil.example",
        "http://chat.example.com",
        "https://chat.example.com:8443",
        "https://chat.example.com.evil.example",
        "https://evil-chat.example.com",
        "https://CHAT.example.com",
        "http://127.0.0.1.evil.example:80",
        "http://127.0.0.1:80@evil.example",
        "https://127.0.0.1:5173",
        "null",
        "*",
        "",
    ] {
        let page = preflight(&world, origin, wanted).await;
        assert_eq!(page.header("access-control-allow-origin"), None, "{origin}: {page:?}");
        // A call that comes all the same cannot be read by its page.
        let page = call(
            &world,
            GET_SERVER_INFO,
            &[("content-type", "application/grpc-web"), ("origin", origin)],
            &framed(&[]),
        )
        .await;
        assert_eq!(page.header("access-control-allow-origin"), None, "{origin}: {page:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_neither_grpc_nor_grpc_web_gets_a_plain_status() {
    let world = world().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
        "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
        format!("GET {GET_ME} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        format!(
            "POST {GET_ME} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        ),
        format!(
            "POST {GET_ME} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n"
        ),
        format!(
            "PUT {GET_ME} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/grpc-web\r\ncontent-length: 0\r\n\r\n"
        ),
        "nonsense that is longer than the first words of HTTP/2\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(100_000)),
        format!("POST {GET_ME} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
        format!("POST {GET_ME} HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n"),
    ] {
        let page = exchange(&world, request.as_bytes()).await;
        let what = request.lines().next().unwrap_or_default().chars().take(60).collect::<String>();
        assert!((400..500).contains(&page.status), "{what}: {page:?}");
        assert!(page.body.len() < 200 && page.header("server").is_none(), "{what}: {page:?}");
    }
    let page = call(&world, GET_SERVER_INFO, &[("content-type", "application/grpc-web")], &framed(&[])).await;
    assert_eq!(page.status, 200, "the server goes on: {page:?}");
    world.end().await;
}
