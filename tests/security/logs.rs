//! What a server writes down: one line a call, and never what was said, by whom it was signed or where from.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use madang_proto::v1;
use madang_tests::{World, person::send, world::eventually};
use prost::Message as _;
use serde_json::Value;

use crate::{
    floods::process,
    people::Guest,
    raw::{Call, Caller, framed},
    streams::Stream,
    tokens,
};

/// In everything that somebody says in this story, however it is refused.
const SECRET: &str = "s3cr3t-of-ann";

/// Everything a person does that could be written down.
async fn live(world: &World, ann: &Guest, bob: &Guest) {
    let text = |part: &str| format!("{SECRET} {part}");
    let room_id = ann.room_like(&[bob], v1::CreateRoomRequest { topic: text("topic"), ..Default::default() }).await;
    let message =
        v1::SendMessageRequest { metadata: [(text("key"), text("value"))].into(), ..send(&room_id, &text("text")) };
    ann.calls.messages().send_message(ann.calls.request(message)).await.expect("sent");
    let profile = v1::UpdateProfileRequest {
        display_name: Some(text("name")),
        phone: Some(text("phone")),
        bio: Some(text("bio")),
        ..Default::default()
    };
    ann.calls.users().update_profile(ann.calls.request(profile)).await.expect("changed");
    let search = v1::SearchUsersRequest { prefix: text("name"), ..Default::default() };
    bob.calls.users().search_users(bob.calls.request(search)).await.expect("found");
    let mut stream = Stream::open(bob, v1::Hello::default()).await;
    stream.until_drained().await;
    let fresh = world.stack.issuer.session("bob").expect("a session").access_token;
    for token in [fresh, text("token"), ann.caller.token.clone()] {
        let frame = v1::client_frame::Frame::Reauthenticate(v1::Reauthenticate { token });
        stream.say(frame).await;
        stream.refusals_until("reauthenticate").await;
    }
}

/// Everything that goes wrong, with the secret in the wrong place.
async fn err(world: &World, ann: &Guest) {
    let path = "/madang.v1.MessageService/SendMessage";
    let good = || Call::to(path, &[]).by(&ann.caller);
    let wrong = v1::SendMessageRequest { room_id: SECRET.to_owned(), ..send(SECRET, &format!("{SECRET}\0")) };
    let cut = &wrong.encode_to_vec()[..20];
    let secret_path = format!("/madang.v1.MessageService/{SECRET}");
    for call in [
        Call::to(path, &wrong.encode_to_vec()).by(&ann.caller),
        Call::to(path, cut).by(&ann.caller),
        Call::to(path, &[&[0x0a, 0x20][..], SECRET.as_bytes(), &[0xff; 19]].concat()).by(&ann.caller),
        Call { body: framed(SECRET.repeat(100_000).as_bytes()), ..good() },
        Call { body: Bytes::from_static(SECRET.as_bytes()), ..good() },
        Call::to(&secret_path, SECRET.as_bytes()).by(&ann.caller),
        Call { content_type: "text/plain".to_owned(), ..good() },
        good().with("traceparent", SECRET).with("madang-platform", SECRET).with("user-agent", SECRET),
        good().with("madang-epoch", SECRET),
        good().with("grpc-timeout", SECRET),
        good().with("x-forwarded-for", "203.0.113.77"),
        Call::to(path, &[]).with("authorization", format!("Bearer {SECRET}")).with("madang-device-id", SECRET),
        Call::to(path, &[]).with("authorization", SECRET),
    ] {
        ann.wire.call(call).await;
    }
    let listing = v1::ListMyRoomsRequest { page_size: 1, page_token: format!("{SECRET}\u{1f}{SECRET}") };
    ann.wire.ask(&ann.caller, "/madang.v1.RoomService/ListMyRooms", &listing).await;
    for bad in tokens::bad(&world.stack.issuer, "ann").into_iter().filter(|bad| bad.token.len() < 8_000) {
        ann.wire.call(Call::to(path, &[]).by(&Caller::new(bad.token))).await;
    }
}

/// The signatures of all tokens that were sent, and what else nobody may write down.
fn forbidden(world: &World, guests: &[&Guest]) -> Vec<String> {
    let mut forbidden = vec![SECRET.to_owned(), "example.org".to_owned(), "203.0.113.77".to_owned(), "eyJ".to_owned()];
    for guest in guests {
        forbidden.extend(guest.caller.token.split('.').map(str::to_owned));
        forbidden.push(guest.session.sid.clone());
    }
    forbidden.push(
        world.database_url().rsplit_once('@').expect("a user").0.rsplit_once(':').expect("a password").1.to_owned(),
    );
    forbidden.retain(|word| word.len() > 2);
    forbidden
}

fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

async fn story(level: &str) {
    let world = World::new().await;
    let folder = std::env::temp_dir().join(format!("madang-logs-{}-{}", std::process::id(), level.len()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let log = folder.join("server.log");
    let mut server = process(&world, &log, &[("MADANG_LOG", level)]).await;
    let address = format!("http://{}", server.grpc());
    let (ann, bob) = (Guest::at(&world, "ann", &address).await, Guest::at(&world, "bob", &address).await);
    live(&world, &ann, &bob).await;
    err(&world, &ann).await;
    let revoke = v1::RevokeDeviceSessionRequest { device_id: ann.caller.device_id.clone() };
    ann.calls.identity().revoke_device_session(ann.calls.request(revoke)).await.expect("revoked");
    server.stop(Duration::from_secs(20)).await.expect("stopped");
    let text = std::fs::read_to_string(&log).expect("a log");
    for word in forbidden(&world, &[&ann, &bob]) {
        let found: Vec<&str> = text.lines().filter(|line| line.contains(&word)).take(3).collect();
        assert!(found.is_empty(), "{word:?} is in the log at {level}: {found:#?}");
    }
    let ours =
        lines(&log).into_iter().filter(|line| line["target"].as_str().is_some_and(|from| from.starts_with("madang")));
    for line in ours.filter(|line| line["message"] != "ready") {
        assert!(!line.to_string().contains("127.0.0.1"), "an address: {line}");
    }
    let calls: Vec<Value> = lines(&log).into_iter().filter(|line| line["message"] == "call").collect();
    assert!(calls.len() > 60, "{} calls", calls.len());
    for call in &calls {
        for name in ["method", "status", "ms", "request_id", "timestamp"] {
            assert!(!call[name].is_null(), "{name} is missing: {call}");
        }
        assert!(call["status"] == "Ok" || call["reason"].as_str().is_some(), "{call}");
    }
    let sent =
        calls.iter().find(|call| call["method"] == "/madang.v1.MessageService/SendMessage" && call["status"] == "Ok");
    assert_eq!(sent.expect("a line")["caller"], ann.id.as_str());
    // A path that nobody knows is the caller's own word.
    assert!(calls.iter().any(|call| call["method"] == "unknown"), "unknown methods have one name");
    eventually("the folder can go", async || std::fs::remove_dir_all(&folder).ok()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_hold_no_body_no_token_no_address() {
    story("info").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_hold_none_of_it_either_when_the_server_tells_more() {
    story("trace").await;
}
