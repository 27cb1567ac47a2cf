//! Tokens that end while a stream is open, and how many streams a person may have.

use std::time::Duration;

use madang_devstack::issuer::Tokens;
use madang_proto::v1::{self, ClosingReason, ErrorReason, client_frame, server_frame::Frame};
use madang_tests::{World, WorldConfig, world::eventually};
use serde_json::json;

use crate::{people::Guest, streams::Stream};

/// How long a stream outlives its token, and how long before its end it is asked for another.
const GRACE: Duration = Duration::from_secs(30);

/// How long the tokens of these worlds are good by the issuer's word; the leeway for clocks is not part of it.
const TOKEN: Duration = Duration::from_mins(5);

async fn world() -> World {
    World::with(WorldConfig { settings: Some(|config| config.token_grace = GRACE), ..WorldConfig::default() }).await
}

/// How much longer a fresh token is good.
const HOUR: Duration = Duration::from_hours(1);

/// A token of a session at the issuer that is good for another hour.
fn fresh(world: &World, login: &str, session: &Tokens) -> String {
    let sid = session.sid.clone();
    let token = world.stack.issuer.token_with(login, |claims, _| {
        claims["sid"] = json!(sid);
        claims["exp"] = json!(claims["iat"].as_i64().expect("a time") + 3_600 + 300);
    });
    token.expect("a token")
}

async fn reauthenticate(stream: &Stream, token: &str) {
    stream.say(client_frame::Frame::Reauthenticate(v1::Reauthenticate { token: token.to_owned() })).await;
}

/// Lets nearly all of a token's time pass, and waits until the stream is asked for another.
async fn is_asked(world: &World, stream: &mut Stream) -> v1::TokenExpiring {
    world.clock.advance(TOKEN.saturating_sub(GRACE * 2 / 3));
    stream.until(|frame| if let Frame::TokenExpiring(expiring) = frame { Some(expiring) } else { None }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_asked_for_a_fresh_token_and_goes_on_with_one() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let mut stream = Stream::open(&ann, v1::Hello::default()).await;
    stream.until_drained().await;
    let expiring = is_asked(&world, &mut stream).await;
    let (ends, closes) = (expiring.expires_at.expect("an end"), expiring.closes_at.expect("a last moment"));
    assert_eq!(u64::try_from(closes.seconds - ends.seconds).expect("later"), GRACE.as_secs());
    reauthenticate(&stream, &fresh(&world, "ann", &ann.session)).await;
    let hub = &world.node(0).hub;
    eventually("the token is taken", async || {
        hub.sessions().iter().any(|s| s.token().at() > ends.seconds).then_some(())
    })
    .await;
    world.clock.advance(GRACE * 4);
    // The next word about a token is about the new one.
    world.clock.advance(HOUR.saturating_sub(GRACE * 4));
    let next = stream
        .until(|frame| match frame {
            Frame::TokenExpiring(expiring) => Some(Ok(expiring)),
            Frame::Closing(closing) => Some(Err(closing)),
            _ => None,
        })
        .await;
    let next = next.expect("the stream went on").expires_at.expect("an end");
    assert!(next.seconds - ends.seconds > 3_000, "{next:?} after {ends:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_a_fresh_token_ends_after_the_grace() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let mut stream = Stream::open(&ann, v1::Hello::default()).await;
    stream.until_drained().await;
    is_asked(&world, &mut stream).await;
    world.clock.advance(GRACE * 2);
    stream.closes_with(ClosingReason::TokenExpired).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_takes_no_token_but_one_of_its_person_and_sign_in() {
    let world = world().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let mut stream = Stream::open(&ann, v1::Hello::default()).await;
    stream.until_drained().await;
    is_asked(&world, &mut stream).await;
    let other_sign_in = world.stack.issuer.session("ann").expect("a session");
    let with = |edit: fn(&mut serde_json::Value)| {
        let sid = ann.session.sid.clone();
        let token = world.stack.issuer.token_with("ann", |claims, _| {
            claims["sid"] = json!(sid);
            edit(claims);
        });
        token.expect("a token")
    };
    let expired = with(|claims| claims["exp"] = json!(claims["iat"].as_i64().expect("a time") - 60));
    let elsewhere = with(|claims| claims["aud"] = json!("account"));
    let cases = [
        (fresh(&world, "bob", &bob.session), ErrorReason::TokenInvalid),
        (fresh(&world, "bob", &ann.session), ErrorReason::TokenInvalid),
        (fresh(&world, "ann", &other_sign_in), ErrorReason::TokenInvalid),
        (expired, ErrorReason::TokenExpired),
        (elsewhere, ErrorReason::TokenInvalid),
        (world.stack.issuer.token_by_stranger("ann", |_, _| {}).expect("a token"), ErrorReason::TokenInvalid),
        ("nonsense".to_owned(), ErrorReason::TokenInvalid),
    ];
    for (token, reason) in cases {
        reauthenticate(&stream, &token).await;
        let refused = stream.refusals_until("reauthenticate").await.pop().expect("an answer");
        assert_eq!(refused.reason(), reason, "{refused:?}");
        assert!(!refused.message.contains(&token), "{refused:?}");
    }
    world.clock.advance(GRACE * 2);
    stream.closes_with(ClosingReason::TokenExpired).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_revoked_meanwhile_ends_the_stream_that_it_is_brought_into() {
    let world = World::with(WorldConfig { nodes: 2, no_poll: true, ..WorldConfig::default() }).await;
    let (phone, laptop) = (Guest::of(&world, "ann").await, Guest::of(&world, "ann").await);
    let mut stream = Stream::open(&phone.on(&world.server(1)), v1::Hello::default()).await;
    stream.until_drained().await;
    let request = v1::RevokeDeviceSessionRequest { device_id: phone.caller.device_id.clone() };
    laptop.calls.identity().revoke_device_session(laptop.calls.request(request)).await.expect("revoked");
    // Its node has not heard of it, because nobody polls here; it looks when it is asked.
    reauthenticate(&stream, &fresh(&world, "ann", &phone.session)).await;
    stream.closes_with(ClosingReason::Revoked).await;
    world.end().await;
}

/// A browser's stream, with what its calls name.
pub async fn watch(guest: &Guest) -> (Stream, v1::Welcome) {
    let mut stream = Stream::watch(guest, v1::Hello::default()).await.expect("a stream");
    let Frame::Welcome(welcome) = stream.next().await else { panic!("the first frame is no Welcome") };
    stream.until_drained().await;
    (stream, welcome)
}

fn renewal(welcome: &v1::Welcome) -> v1::ReauthenticateRequest {
    v1::ReauthenticateRequest { session_id: welcome.session_id.clone(), node: welcome.node.clone() }
}

const REAUTHENTICATE: &str = "/madang.v1.SyncService/Reauthenticate";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_stream_is_renewed_by_a_call_of_the_same_device_and_no_other() {
    let world = world().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let other_device = Guest::of(&world, "ann").await;
    let (mut stream, welcome) = watch(&ann).await;
    is_asked(&world, &mut stream).await;
    let elsewhere = v1::ReauthenticateRequest { node: "elsewhere".to_owned(), ..renewal(&welcome) };
    let nothing = v1::ReauthenticateRequest { session_id: uuid::Uuid::now_v7().to_string(), ..renewal(&welcome) };
    let with_fresh = |guest: &Guest, login| {
        let token = fresh(&world, login, &guest.session);
        crate::raw::Caller { token, device_id: guest.caller.device_id.clone() }
    };
    let (anns, bobs, others) = (with_fresh(&ann, "ann"), with_fresh(&bob, "bob"), with_fresh(&other_device, "ann"));
    for (caller, request) in
        [(&bobs, renewal(&welcome)), (&others, renewal(&welcome)), (&anns, elsewhere), (&anns, nothing)]
    {
        let answer = ann.wire.ask(caller, REAUTHENTICATE, &request).await;
        answer.is_refused(ErrorReason::SessionElsewhere, "not this stream's");
    }
    let answer = ann.wire.ask(&anns, REAUTHENTICATE, &renewal(&welcome)).await;
    assert_eq!(answer.code(), tonic::Code::Ok, "{answer:?}");
    world.clock.advance(HOUR);
    is_not_closed(&mut stream).await;
    world.end().await;
}

/// The next word about a token is a question, not the end.
async fn is_not_closed(stream: &mut Stream) {
    let next = stream.until(|frame| match frame {
        Frame::TokenExpiring(_) => Some(None),
        Frame::Closing(closing) => Some(Some(closing)),
        _ => None,
    });
    assert_eq!(next.await, None);
}

/// Whoever ends the first sign-in at the issuer ends its stream; one that lives on a second sign-in's token would stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_stream_takes_no_token_of_another_sign_in() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let (mut stream, welcome) = watch(&ann).await;
    is_asked(&world, &mut stream).await;
    let again = world.stack.issuer.session("ann").expect("a session");
    let caller = crate::raw::Caller { token: fresh(&world, "ann", &again), device_id: ann.caller.device_id.clone() };
    let answer = ann.wire.ask(&caller, REAUTHENTICATE, &renewal(&welcome)).await;
    assert!([ErrorReason::TokenInvalid, ErrorReason::SessionElsewhere].contains(&answer.reason()), "{answer:?}");
    world.clock.advance(GRACE * 2);
    stream.closes_with(ClosingReason::TokenExpired).await;
    world.end().await;
}

async fn two_streams() -> World {
    World::with(WorldConfig { settings: Some(|config| config.streams_per_person = 2), ..WorldConfig::default() }).await
}

async fn is_live(stream: &mut Stream) {
    reauthenticate(stream, "x").await;
    stream.refusals_until("reauthenticate").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_too_many_closes_the_oldest() {
    let world = two_streams().await;
    let devices = [Guest::of(&world, "ann").await, Guest::of(&world, "ann").await, Guest::of(&world, "ann").await];
    let bob = Guest::of(&world, "bob").await;
    let mut bobs = Stream::open(&bob, v1::Hello::default()).await;
    bobs.until_drained().await;
    let mut streams = Vec::new();
    for device in &devices {
        let mut stream = Stream::open(device, v1::Hello::default()).await;
        stream.until_drained().await;
        streams.push(stream);
    }
    streams.remove(0).closes_with(ClosingReason::TooManyStreams).await;
    for stream in &mut streams {
        is_live(stream).await;
    }
    is_live(&mut bobs).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_stream_of_a_device_replaces_the_first() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let mut first = Stream::open(&ann, v1::Hello::default()).await;
    first.until_drained().await;
    let mut second = Stream::open(&ann, v1::Hello::default()).await;
    second.until_drained().await;
    first.closes_with(ClosingReason::Replaced).await;
    is_live(&mut second).await;
    let (mut third, _) = watch(&ann).await;
    second.closes_with(ClosingReason::Replaced).await;
    let fourth = Stream::open(&ann, v1::Hello::default()).await;
    third.closes_with(ClosingReason::Replaced).await;
    drop(fourth);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_comes_back_costs_no_other_device_its_stream() {
    let world = two_streams().await;
    let (phone, laptop) = (Guest::of(&world, "ann").await, Guest::of(&world, "ann").await);
    let mut phones = Stream::open(&phone, v1::Hello::default()).await;
    phones.until_drained().await;
    let mut laptops = Stream::open(&laptop, v1::Hello::default()).await;
    laptops.until_drained().await;
    for _ in 0..5 {
        let mut again = Stream::open(&laptop, v1::Hello::default()).await;
        again.until_drained().await;
        laptops.closes_with(ClosingReason::Replaced).await;
        laptops = again;
        is_live(&mut phones).await;
    }
    world.end().await;
}
