//! Whatever a call looks like, and whatever goes wrong with it: it is answered with a reason of the contract, or, where it is
//! no gRPC at all, with a plain status of HTTP.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use madang_proto::{
    POLICIES, REASONS,
    v1::{self, ErrorReason},
};
use madang_server::app::App;
use madang_tests::{World, WorldConfig, person::send};
use prost::Message as _;
use sqlx::{Postgres, Transaction};
use tonic::Code;
use uuid::Uuid;

use crate::{
    people::Guest,
    raw::{Answer, Call, Wire, framed},
    slow_database::SlowDatabase,
};

const GET_ME: &str = "/madang.v1.IdentityService/GetMe";
const SEND: &str = "/madang.v1.MessageService/SendMessage";

/// The reason's name and metadata are the contract's.
#[track_caller]
fn conforms(answer: &Answer, what: &str) {
    let refusal = answer.refusal();
    assert!(REASONS.contains(&refusal.reason), "{what}: {answer:?}");
    let rule = refusal.reason.rule();
    assert!(refusal.metadata.keys().all(|key| rule.metadata_keys.contains(&&**key)), "{what}: {refusal:?}");
    assert_eq!(answer.metadata["content-type"], "application/grpc", "{what}");
    for header in ["server", "x-powered-by", "set-cookie", "access-control-allow-origin"] {
        assert!(!answer.metadata.contains_key(header), "{what}: {header}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_is_no_method_is_unknown_with_a_token_and_without() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    for path in [
        "/madang.v1.IdentityService/GetMee",
        "/madang.v1.IdentityService/getme",
        "/madang.v1.IdentityService/GetMe/",
        "/madang.v1.IdentityService/",
        "/madang.v1.IdentityService",
        "/madang.v2.IdentityService/GetMe",
        "/madang.v1.AdminService/GetHealth",
        "/IdentityService/GetMe",
        "//madang.v1.IdentityService/GetMe",
        "/madang.v1.IdentityService/../IdentityService/GetMe",
        "/madang.v1.IdentityService%2FGetMe",
        "/grpc.health.v1.Health/List",
        "/metrics",
        "/",
    ] {
        let with = ann.wire.call(Call::to(path, &[]).by(&ann.caller)).await;
        with.is_refused(ErrorReason::MethodUnknown, path);
        conforms(&with, path);
        let without = ann.wire.call(Call::to(path, &[])).await;
        assert_eq!(with.visible(), without.visible(), "{path}");
    }
    // What follows the question mark is no part of a method's name.
    let query = ann.wire.call(Call::to(&format!("{GET_ME}?x=1"), &[])).await;
    query.is_refused(ErrorReason::TokenMissing, "a query");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_look_like_grpc_is_malformed() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let good = || Call::to(GET_ME, &[]).by(&ann.caller);
    for content_type in
        ["", "application/json", "text/plain", "application/grpcx", "application/x-protobuf", "*/*", "grpc"]
    {
        let answer = ann.wire.call(Call { content_type: content_type.to_owned(), ..good() }).await;
        answer.is_refused(ErrorReason::MalformedRequest, content_type);
        conforms(&answer, content_type);
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD] {
        let what = method.to_string();
        let answer = ann.wire.call(Call { method, ..good() }).await;
        answer.is_refused(ErrorReason::MalformedRequest, &what);
    }
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
        let answer = ann.wire.call(Call { content_type: content_type.to_owned(), ..good() }).await;
        assert_eq!(answer.code(), Code::Ok, "{content_type}: {answer:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_frames_are_malformed_or_too_large_on_every_method() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let frame = |flag: u8, length: u32, bytes: &[u8]| [&[flag][..], &length.to_be_bytes(), bytes].concat();
    let bodies: [(&str, Vec<u8>, ErrorReason); 9] = [
        ("nothing", Vec::new(), ErrorReason::MalformedRequest),
        ("half a prefix", vec![0, 0], ErrorReason::MalformedRequest),
        ("less than was said", frame(0, 100, b"short"), ErrorReason::MalformedRequest),
        ("an unknown flag", frame(9, 0, b""), ErrorReason::MalformedRequest),
        ("compressed without a word", frame(1, 1, b"x"), ErrorReason::MalformedRequest),
        ("text", b"{\"room_id\":\"x\"}".to_vec(), ErrorReason::RequestTooLarge),
        ("4 GiB, as it says", frame(0, u32::MAX, b""), ErrorReason::RequestTooLarge),
        ("2 MiB", framed(&vec![0; 2 << 20]).to_vec(), ErrorReason::RequestTooLarge),
        ("a byte too many", framed(&vec![0; (1 << 20) + 1]).to_vec(), ErrorReason::RequestTooLarge),
    ];
    for policy in POLICIES.iter().filter(|policy| !policy.streams && policy.roles != [v1::Role::SystemAdmin]) {
        for (what, body, reason) in &bodies {
            // A letter where the flag should be is said to be one; both words are right.
            let what = format!("{}: {what}", policy.path);
            let call = Call { body: Bytes::from(body.clone()), ..Call::to(policy.path, &[]).by(&ann.caller) };
            let answer = ann.wire.call(call).await;
            let expected = if body.starts_with(b"{") { answer.reason() } else { *reason };
            answer.is_refused(expected, &what);
            assert!([ErrorReason::MalformedRequest, ErrorReason::RequestTooLarge].contains(&expected), "{what}");
            conforms(&answer, &what);
        }
    }
    // Just as much as is allowed is read: a megabyte that is no message.
    let most = Call { body: framed(&vec![0xff; 1 << 20]), ..Call::to(SEND, &[]).by(&ann.caller) };
    ann.wire.call(most).await.is_refused(ErrorReason::MalformedRequest, "1 MiB");
    ann.me().await.expect("the server goes on");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compression_that_the_server_does_not_speak_is_malformed() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    for encoding in ["gzip", "deflate", "zstd", "snappy", "x"] {
        let body = Bytes::from([&[1, 0, 0, 0, 4][..], b"abcd"].concat());
        let call = Call { body, ..Call::to(GET_ME, &[]).by(&ann.caller).with("grpc-encoding", encoding) };
        let answer = ann.wire.call(call).await;
        answer.is_refused(ErrorReason::MalformedRequest, encoding);
        conforms(&answer, encoding);
        // What it would like to be answered with is ignored.
        let call = Call::to(GET_ME, &[]).by(&ann.caller).with("grpc-accept-encoding", encoding);
        assert_eq!(ann.wire.call(call).await.code(), Code::Ok, "{encoding}");
    }
    let plain = Call::to(GET_ME, &[]).by(&ann.caller).with("grpc-encoding", "identity");
    assert_eq!(ann.wire.call(plain).await.code(), Code::Ok);
    world.end().await;
}

/// Holds a room's row, so that whoever changes the room waits.
async fn hold(world: &World, room: &str) -> Transaction<'static, Postgres> {
    let mut tx = world.sql().await.begin().await.expect("a transaction");
    let lock = sqlx::query("select from rooms where id = $1::uuid for update").bind(room);
    lock.execute(&mut *tx).await.expect("locked");
    tx
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_passes_is_said_so_and_one_that_is_nonsense_is_ignored() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let room_id = ann.room(&[]).await;
    ann.calls.send(&room_id, "hello").await.expect("sent");
    let held = hold(&world, &room_id).await;
    let edit = v1::EditMessageRequest {
        room_id: room_id.clone(),
        seq: 2,
        body: Some(v1::MessageBody { text: "late".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let late = send(&room_id, "late");
    for (path, request) in
        [("/madang.v1.MessageService/EditMessage", edit.encode_to_vec()), (SEND, late.encode_to_vec())]
    {
        for timeout in ["1m", "1000u", "1000000n", "0S"] {
            let begun = Instant::now();
            let answer = ann.wire.call(Call::to(path, &request).by(&ann.caller).with("grpc-timeout", timeout)).await;
            answer.is_refused(ErrorReason::DeadlinePassed, &format!("{path} with {timeout}"));
            conforms(&answer, path);
            assert!(begun.elapsed() < Duration::from_secs(5), "{path}: {:?}", begun.elapsed());
        }
    }
    held.rollback().await.expect("released");
    for nonsense in ["", "S", "1", "-1S", "1.5S", "999999999S", "1s", "1 S", "ms"] {
        let answer = ann.wire.call(Call::to(GET_ME, &[]).by(&ann.caller).with("grpc-timeout", nonsense)).await;
        assert_eq!(answer.code(), Code::Ok, "{nonsense:?}: {answer:?}");
    }
    ann.calls.send(&room_id, "on time").await.expect("sent");
    world.end().await;
}

/// Nothing of what the database says reaches anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_said_so_and_nothing_more() {
    let world = World::new().await;
    let database = SlowDatabase::before(world.database_url(), Duration::ZERO).await;
    let mut config = world.server_config();
    config.database_url.clone_from(&database.url);
    let server = App::start(config, Arc::clone(&world.clock) as _).await.expect("a server");
    let ann = Guest::at(&world, "ann", &format!("http://{}", server.grpc)).await;
    let room_id = ann.room(&[]).await;
    drop(database);
    let read = v1::GetRoomRequest { room_id: room_id.clone() }.encode_to_vec();
    let write = v1::UpdateProfileRequest { display_name: Some("Ann".to_owned()), ..Default::default() }.encode_to_vec();
    let sent = send(&room_id, "hello").encode_to_vec();
    let mut calls = tokio::task::JoinSet::new();
    for (path, request) in [
        ("/madang.v1.RoomService/GetRoom", read),
        ("/madang.v1.UserService/UpdateProfile", write),
        (SEND, sent),
        (GET_ME, Vec::new()),
    ] {
        let (wire, call) = (ann.wire.clone(), Call::to(path, &request).by(&ann.caller));
        calls.spawn(async move { (path, wire.call(call).await) });
    }
    while let Some(call) = calls.join_next().await {
        let (path, answer) = call.expect("no panic");
        answer.is_refused(ErrorReason::DatabaseUnavailable, path);
        conforms(&answer, path);
        assert!(!format!("{answer:?}").contains("127.0.0.1"), "{path}: {answer:?}");
    }
    let info = ann.wire.call(Call::to("/madang.v1.IdentityService/GetServerInfo", &[])).await;
    assert_eq!(info.code(), Code::Ok, "what needs no database is answered: {info:?}");
    server.shutdown().await;
    world.end().await;
}

/// `HealthCheckRequest` and `HealthCheckResponse`: a text and a number in field 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_open_to_everybody_and_knows_one_service() {
    let world = World::new().await;
    let wire = Wire::to(&world.server(0));
    for path in ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"] {
        let answer = wire.call_to_first(Call::to(path, &[])).await;
        assert_eq!(answer.messages.first().map(|message| &message[..]), Some(&[0x08, 1][..]), "{path}: {answer:?}");
    }
    // The service's own contract: a name that it does not know.
    let unknown = wire.call(Call::to("/grpc.health.v1.Health/Check", b"\x0a\x01x")).await;
    assert_eq!(unknown.code(), Code::NotFound, "{unknown:?}");
    for bad in [&b"\xff"[..], b"\x0a\x01\xff"] {
        let answer = wire.call(Call::to("/grpc.health.v1.Health/Check", bad)).await;
        assert_ne!(answer.code(), Code::Ok, "{answer:?}");
    }
    world.end().await;
}

const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// `ServerReflectionRequest { list_services: "" }`.
const LIST_SERVICES: &[u8] = b"\x3a\x00";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_answers_where_it_is_on_and_is_unknown_where_it_is_off() {
    let on = World::new().await;
    let off =
        World::with(WorldConfig { settings: Some(|config| config.reflection = false), ..WorldConfig::default() }).await;
    for path in REFLECTION {
        let answer = Wire::to(&on.server(0)).call_to_end(Call::to(path, LIST_SERVICES)).await;
        let said = String::from_utf8_lossy(answer.messages.first().expect("an answer")).into_owned();
        assert!(said.contains("madang.v1.RoomService") && said.contains("grpc.health.v1.Health"), "{said}");
        let answer = Wire::to(&off.server(0)).call_to_end(Call::to(path, LIST_SERVICES)).await;
        answer.is_refused(ErrorReason::MethodUnknown, path);
        conforms(&answer, path);
    }
    on.end().await;
    off.end().await;
}

/// Names in metadata that a caller may think up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_metadata_changes_nothing() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let call = || Call::to(GET_ME, &[]).by(&ann.caller);
    let plain = ann.wire.call(call()).await.message::<v1::GetMeResponse>();
    for (name, value) in [
        ("x-forwarded-for", "10.0.0.1, evil"),
        ("forwarded", "for=10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("madang-user-id", "admin"),
        ("madang-platform", "\t"),
        ("traceparent", "00-zz-zz-zz"),
        ("grpc-status", "0"),
        ("grpc-message", "hello"),
        ("accept-language", "*;q=-1"),
        ("user-agent", "🙂"),
        ("x-binary-bin", "$$$"),
    ] {
        let answer = ann.wire.call(call().with(name, value)).await;
        assert_eq!(answer.message::<v1::GetMeResponse>(), plain, "{name}: {value}");
    }
    let long = call().with("madang-platform", "p".repeat(5_000)).with("madang-app-version", "v".repeat(5_000));
    assert_eq!(ann.wire.call(long).await.code(), Code::Ok);
    let address = sqlx::query_scalar::<_, String>("select address from device_sessions where device_id = $1::uuid");
    let address = address.bind(&ann.caller.device_id).fetch_one(&world.sql().await).await.expect("a session");
    assert_eq!(address, "127.0.0.1", "a header said otherwise, and nobody trusts it");
    assert!(Uuid::try_parse(&plain.user.expect("a profile").id).is_ok());
    world.end().await;
}
