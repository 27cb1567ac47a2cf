//! Whoever is refused too often is blocked for a time: a place for calls without a good token, a person for all calls.

use std::time::Duration;

use madang_proto::{
    Refusal,
    v1::{self, ErrorReason, client_frame::Frame as Said, server_frame::Frame},
};
use madang_server::config::{Config, Rate};
use madang_tests::{World, WorldConfig, world::eventually};
use tonic::Code;
use uuid::Uuid;

use crate::{
    floods::process,
    people::Guest,
    raw::{Answer, Call, Caller, Wire},
    streams::Stream,
};

const GET_ME: &str = "/madang.v1.IdentityService/GetMe";
const GET_ROOM: &str = "/madang.v1.RoomService/GetRoom";
const GET_MESSAGE: &str = "/madang.v1.MessageService/GetMessage";

/// What the defaults allow at once.
const BURST: usize = 50;

/// Rates of refusals that a slow machine does not wait for, as many at once as in the defaults.
async fn world() -> World {
    let settings = |config: &mut Config| {
        (config.rate_bad_token, config.rate_refusal) = (Rate::per_minute(1, 50), Rate::per_minute(1, 50));
        config.trusted_proxies = vec![[127, 0, 0, 1].into()];
    };
    World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await
}

fn get_me(token: &str) -> Call {
    Call::to(GET_ME, &[]).by(&Caller::new(token))
}

#[track_caller]
fn is_blocked(answer: &Answer, class: &str, left: Duration) {
    let refusal = answer.refusal();
    assert_eq!(refusal.reason, ErrorReason::RateLimited, "{refusal:?}");
    assert_eq!(refusal.metadata["class"], class);
    let wait = refusal.retry_after.expect("a time to come back");
    assert!(wait <= left && wait + Duration::from_mins(1) > left, "{wait:?} of {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_sends_bad_tokens_is_blocked_for_bad_tokens_only() {
    let world = world().await;
    let (wire, issuer, block) = (Wire::to(&world.server(0)), &world.stack.issuer, world.server_config().block_time);
    let ann = Guest::of(&world, "ann").await;
    let admins = Call::to("/madang.v1.IdentityService/RevokeUserSessions", &[]).by(&ann.caller);
    // One by one of each kind: no token, a bad one, one without the role.
    for n in 0..BURST {
        let reason = match n % 3 {
            0 => (get_me(&format!("guess.{n}.token")), ErrorReason::TokenInvalid),
            1 => (Call::to(GET_ME, &[]), ErrorReason::TokenMissing),
            _ => (admins.clone(), ErrorReason::RoleMissing),
        };
        wire.call(reason.0).await.is_refused(reason.1, &format!("the {n}th"));
    }
    for call in [get_me("guess.50.token"), Call::to(GET_ME, &[]), admins] {
        is_blocked(&wire.call(call).await, "BAD_TOKEN", block);
    }
    // A company sits behind one address: whoever has a good token passes, known or new, and an expired one is renewed.
    ann.me().await.expect("a good token");
    Guest::of(&world, "bob").await.me().await.expect("a good token that was never seen");
    let expired =
        issuer.token_with("cat", |claims, _| claims["exp"] = (claims["iat"].as_i64().expect("a time") - 60).into());
    wire.call(get_me(&expired.expect("a token"))).await.is_refused(ErrorReason::TokenExpired, "during the block");
    assert_eq!(wire.call(Call::to("/madang.v1.IdentityService/GetServerInfo", &[])).await.code(), Code::Ok, "public");
    let elsewhere = wire.call(get_me("guess").with("x-forwarded-for", "203.0.113.9")).await;
    elsewhere.is_refused(ErrorReason::TokenInvalid, "from elsewhere");
    // Networks of IPv6 are counted as one.
    for n in 0..=BURST {
        let answer = wire.call(get_me("guess").with("x-forwarded-for", format!("2001:db8::{n:x}"))).await;
        assert_eq!(answer.code() == Code::ResourceExhausted, n == BURST, "{n}: {answer:?}");
    }
    world.clock.advance(block.saturating_sub(Duration::from_secs(30)));
    is_blocked(&wire.call(get_me("guess")).await, "BAD_TOKEN", Duration::from_secs(30));
    assert!(madang_server::telemetry::metrics().render().contains("madang_blocks_total{class=\"BAD_TOKEN\"}"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_tries_ids_is_blocked_and_nobody_else() {
    let world = world().await;
    let block = world.server_config().block_time;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = bob.room(&[&ann]).await;
    let phone = Guest::of(&world, "ann").await;
    let mut stream = Stream::open(&phone, v1::Hello::default()).await;
    stream.until_drained().await;
    for n in 0..=BURST {
        let answer = if n % 2 == 0 {
            let nowhere = v1::GetRoomRequest { room_id: Uuid::now_v7().to_string() };
            ann.wire.ask(&ann.caller, GET_ROOM, &nowhere).await
        } else {
            let nothing = v1::GetMessageRequest { room_id: room_id.clone(), seq: 1_000_000 };
            ann.wire.ask(&ann.caller, GET_MESSAGE, &nothing).await
        };
        assert_eq!(answer.code(), Code::NotFound, "the {n}th: {answer:?}");
    }
    // Whatever she calls, from whichever device; also what is there.
    let real = v1::GetRoomRequest { room_id: room_id.clone() };
    is_blocked(&ann.wire.ask(&ann.caller, GET_ROOM, &real).await, "REFUSAL", block);
    is_blocked(&phone.wire.call(Call::to(GET_ME, &[]).by(&phone.caller)).await, "REFUSAL", block);
    assert_eq!(
        bob.wire.ask(&bob.caller, GET_ROOM, &real).await.code(),
        Code::Ok,
        "somebody else, from the same address"
    );
    // The stream goes on; by its frames she tries nothing either.
    stream.say(Said::Typing(v1::Typing { room_id: room_id.clone() })).await;
    let refused = stream.refusals_until("typing").await.pop().expect("a refusal");
    assert_eq!(refused.reason(), ErrorReason::RateLimited, "{refused:?}");
    bob.calls.send(&room_id, "still there?").await.expect("sent");
    stream.until(|frame| matches!(frame, Frame::RoomEvent(_)).then_some(())).await;
    world.clock.advance(block);
    ann.me().await.expect("the block is over");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_and_tokens_that_are_tried_on_a_stream_count_too() {
    let world = world().await;
    for (login, trial) in [("ann", "typing"), ("bob", "reauthenticate")] {
        let guest = Guest::of(&world, login).await;
        let mut stream = Stream::open(&guest, v1::Hello::default()).await;
        stream.until_drained().await;
        let nowhere = || Uuid::now_v7().to_string();
        for _ in 0..=BURST {
            stream
                .say(match trial {
                    "typing" => Said::Typing(v1::Typing { room_id: nowhere() }),
                    _ => Said::Reauthenticate(v1::Reauthenticate { token: "a.guessed.token".to_owned() }),
                })
                .await;
        }
        eventually(trial, async || {
            let refusal = Refusal::of(&guest.me().await.err()?)?;
            (refusal.metadata["class"] == "REFUSAL").then_some(())
        })
        .await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_written_down_once_without_the_address_or_what_was_tried() {
    let world = World::new().await;
    let folder = std::env::temp_dir().join(format!("madang-blocks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let log = folder.join("server.log");
    let slow = [("MADANG_RATE_BAD_TOKEN", "1/m burst 3"), ("MADANG_RATE_REFUSAL", "1/m burst 3")];
    let mut server = process(&world, &log, &slow).await;
    let address = format!("http://{}", server.grpc());
    let ann = Guest::at(&world, "ann", &address).await;
    for _ in 0..20 {
        ann.wire.call(get_me("s3cr3t")).await;
        let nowhere = v1::GetRoomRequest { room_id: Uuid::now_v7().to_string() };
        ann.wire.ask(&ann.caller, GET_ROOM, &nowhere).await;
    }
    server.stop(Duration::from_secs(20)).await.expect("stopped");
    let text = std::fs::read_to_string(&log).expect("a log");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("blocked after too many refusals")).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("BAD_TOKEN") && !lines[0].contains("caller"), "{lines:#?}");
    assert!(lines[1].contains("REFUSAL") && lines[1].contains(&ann.id), "{lines:#?}");
    assert!(!text.contains("s3cr3t") && lines.iter().all(|line| !line.contains("127.0.0.1")), "{lines:#?}");
    std::fs::remove_dir_all(&folder).expect("cleaned up");
    world.end().await;
}
