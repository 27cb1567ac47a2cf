//! What a client may say on its stream, in every wrong order and form: the stream ends with a reason or goes on, and the
//! server goes on in any case.

use std::time::Duration;

use bytes::Bytes;
use madang_proto::v1::{self, ClosingReason, ErrorReason, client_frame::Frame as Said, server_frame::Frame};
use madang_server::config::Rate;
use madang_tests::{World, WorldConfig};
use prost::Message as _;
use uuid::Uuid;

use crate::{
    hostile::values,
    people::Guest,
    raw::{Answer, Call, framed},
    requests::{Contract, Place, Things, encoded},
    streams::Stream,
};

const CONNECT: &str = "/madang.v1.SyncService/Connect";
const WATCH: &str = "/madang.v1.SyncService/Watch";

async fn world() -> World {
    let settings = |config: &mut madang_server::config::Config| {
        (config.rate_ack, config.rate_typing) =
            (Rate::per_second(100_000, 100_000), Rate::per_second(100_000, 100_000));
        config.hello_timeout = Duration::from_millis(500);
    };
    World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await
}

/// Every frame but Hello, all of them good.
fn all_but_hello() -> Vec<Said> {
    vec![
        Said::Ack(v1::Ack::default()),
        Said::Focus(v1::Focus::default()),
        Said::Typing(v1::Typing { room_id: Uuid::now_v7().to_string() }),
        Said::Reauthenticate(v1::Reauthenticate { token: "x".to_owned() }),
        Said::Pong(v1::Pong {}),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_begins_with_anything_but_hello_ends_at_once() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    for frame in all_but_hello() {
        let mut stream = Stream::try_open(&ann, Some(frame)).await.expect("a stream that says why it ends");
        stream.closes_with(ClosingReason::InvalidFrame).await;
    }
    let mut stream = Stream::try_open_bare(&ann, Some(v1::ClientFrame { frame: None })).await.expect("a stream");
    stream.closes_with(ClosingReason::InvalidFrame).await;
    assert!(world.node(0).hub.sessions().is_empty(), "a stream without a Hello is registered");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_never_says_hello_ends_after_a_while() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let mut stream = Stream::try_open(&ann, None).await.expect("a stream that says why it ends");
    stream.closes_with(ClosingReason::HelloTimeout).await;
    // Whoever hangs up without a word is told that something was due.
    let answer = ann.wire.call_to_end(Call { body: Bytes::new(), ..Call::to(CONNECT, &[]).by(&ann.caller) }).await;
    assert_eq!(closing(&answer).reason(), ClosingReason::InvalidFrame);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_hello_or_a_frame_without_content_ends_the_stream() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    for bad in [v1::ClientFrame { frame: None }, v1::ClientFrame { frame: Some(Said::Hello(v1::Hello::default())) }] {
        let mut stream = Stream::open(&ann, v1::Hello::default()).await;
        stream.until_drained().await;
        stream.say_bare(bad).await;
        stream.closes_with(ClosingReason::InvalidFrame).await;
    }
    // At once behind the first, before anything was read for it.
    let twice = [framed(&hello(v1::Hello::default())), framed(&hello(v1::Hello::default()))].concat();
    let answer = ann.wire.call_to_end(Call { body: twice.into(), ..Call::to(CONNECT, &[]).by(&ann.caller) }).await;
    assert_eq!(closing(&answer).reason(), ClosingReason::InvalidFrame);
    ann.me().await.expect("the server goes on");
    world.end().await;
}

fn hello(hello: v1::Hello) -> Vec<u8> {
    v1::ClientFrame { frame: Some(Said::Hello(hello)) }.encode_to_vec()
}

/// The last frame of an answer, which must be the end.
#[track_caller]
fn closing(answer: &Answer) -> v1::Closing {
    assert_eq!(answer.code(), tonic::Code::Ok, "{answer:?}");
    let last = answer.messages.last().unwrap_or_else(|| panic!("no frame: {answer:?}"));
    let last = v1::ServerFrame::decode(&**last).expect("a frame");
    let Some(Frame::Closing(closing)) = last.frame else { panic!("not the end: {last:?}") };
    closing
}

fn many_rooms(count: usize) -> v1::Hello {
    let cursor = || v1::RoomCursor { room_id: Uuid::now_v7().to_string(), rev: 1, seq: 1 };
    v1::Hello { rooms: (0..count).map(|_| cursor()).collect(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_with_10_000_rooms_is_refused() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let request = v1::WatchRequest { hello: Some(many_rooms(10_000)) };
    let refusal = ann.wire.ask(&ann.caller, WATCH, &request).await.refusal();
    assert_eq!((refusal.reason, refusal.violations[0].field.as_str()), (ErrorReason::InvalidField, "hello.rooms"));
    assert!(refusal.violations[0].limit.contains("200"), "{refusal:?}");
    let mut stream = Stream::open(&ann, many_rooms(10_000)).await;
    stream.closes_with(ClosingReason::InvalidFrame).await;
    // As many as allowed, of none of which the server has heard.
    let mut stream = Stream::open(&ann, many_rooms(200)).await;
    let frames = stream.until_drained().await;
    assert_eq!(frames.iter().filter(|frame| matches!(frame, Frame::RoomSummary(_))).count(), 200);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_frame_ends_the_stream_with_its_field_and_limit() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let mut stream = Stream::open(&ann, many_rooms(10_000)).await;
    let closing = stream.closes_with(ClosingReason::InvalidFrame).await;
    assert_eq!(closing.error(), ErrorReason::InvalidField, "{closing:?}");
    assert!(closing.message.contains("rooms") && closing.message.contains("200"), "{closing:?}");
    let mut stream = Stream::open(&ann, v1::Hello::default()).await;
    stream.until_drained().await;
    stream.say(Said::Typing(v1::Typing { room_id: "nonsense".to_owned() })).await;
    let closing = stream.closes_with(ClosingReason::InvalidFrame).await;
    assert_eq!(closing.error(), ErrorReason::InvalidField, "{closing:?}");
    assert!(closing.message.contains("room_id"), "{closing:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_frame_end_the_stream() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let good = framed(&hello(v1::Hello::default()));
    for (what, bad) in [
        ("no message", framed(&[0xff])),
        ("a text that is not UTF-8", framed(&[0x22, 0x03, 0x0a, 0x01, 0xff])),
        ("a frame that breaks a limit", framed(&[0x22, 0x00])),
    ] {
        for body in [[good.clone(), bad.clone()].concat(), bad.to_vec()] {
            let answer =
                ann.wire.call_to_end(Call { body: body.into(), ..Call::to(CONNECT, &[]).by(&ann.caller) }).await;
            assert_eq!(closing(&answer).reason(), ClosingReason::InvalidFrame, "{what}");
        }
        ann.me().await.expect("the server goes on");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_too_large_or_broken_ends_the_stream_as_invalid() {
    let world = world().await;
    let ann = Guest::of(&world, "ann").await;
    let good = framed(&hello(v1::Hello::default()));
    let compressed = [&[1, 0, 0, 0, 1][..], b"x"].concat();
    for (what, bad) in [
        ("2 MiB", framed(&vec![0; 2 << 20])),
        ("compressed", compressed.into()),
        ("no flag", Bytes::from_static(&[9, 0, 0, 0, 0])),
    ] {
        let body = [good.clone(), bad].concat();
        let answer = ann.wire.call_to_end(Call { body: body.into(), ..Call::to(CONNECT, &[]).by(&ann.caller) }).await;
        assert_eq!(closing(&answer).reason(), ClosingReason::InvalidFrame, "{what}");
        ann.me().await.expect("the server goes on");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_of_the_future_is_refused_and_the_stream_goes_on() {
    let world = world().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = ann.room(&[&bob]).await;
    ann.calls.send(&room_id, "hello").await.expect("sent");
    let mut stream = Stream::open(&bob, v1::Hello::default()).await;
    stream.until_drained().await;
    for seq in [3, 1_000_000, i64::MAX] {
        let delivered = vec![v1::DeliveredSeq { room_id: room_id.clone(), seq }];
        stream.say(Said::Ack(v1::Ack { delivered, ..Default::default() })).await;
        let refused = stream.refusals_until("ack").await.pop().expect("a refusal");
        assert_eq!((refused.reason(), refused.field.as_str()), (ErrorReason::InvalidField, "delivered.seq"));
        assert!(refused.message.contains("at most 2"), "{refused:?}");
    }
    let (mut watched, welcome) = crate::expiry::watch(&bob).await;
    let delivered = vec![v1::DeliveredSeq { room_id: room_id.clone(), seq: i64::MAX }];
    let ack = Some(v1::Ack { delivered, ..Default::default() });
    let request = v1::AckRequest { session_id: welcome.session_id, node: welcome.node, ack };
    let refusal = bob.wire.ask(&bob.caller, "/madang.v1.SyncService/Ack", &request).await.refusal();
    assert_eq!((refusal.reason, refusal.violations[0].field.as_str()), (ErrorReason::InvalidField, "delivered.seq"));
    ann.calls.send(&room_id, "still there?").await.expect("sent");
    watched.until(|frame| matches!(frame, Frame::RoomEvent(_)).then_some(())).await;
    world.end().await;
}

/// Every field of every frame, made bad in every way: a frame that breaks a limit ends its stream with a reason, every other
/// is taken or refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_in_a_frame_the_stream_ends_with_a_reason_or_goes_on() {
    let world = world().await;
    let (contract, ann) = (Contract::read(), Guest::of(&world, "ann").await);
    let room_id = ann.room(&[]).await;
    let things = Things { room_id, user_id: ann.id.clone(), device_id: Uuid::now_v7().to_string() };
    let frame = contract.message("ClientFrame");
    let (mut tried, mut ended, mut wrong) = (0, 0, Vec::new());
    for place in Place::all(&frame).into_iter().filter(|place| place.0.len() > 1 && place.0[0].name() != "hello") {
        for hostile in values(place.field(), &contract.limits(place.field())) {
            let empty = prost_reflect::DynamicMessage::new(frame.clone());
            let bad = encoded(&place.put(&empty, &contract, &things, hostile.value));
            // The last one is always refused, so that an answer comes in any case.
            let last = v1::ClientFrame { frame: None }.encode_to_vec();
            let body = [framed(&hello(v1::Hello::default())), framed(&bad), framed(&last)].concat();
            let answer =
                ann.wire.call_to_end(Call { body: body.into(), ..Call::to(CONNECT, &[]).by(&ann.caller) }).await;
            tried += 1;
            ended += usize::from(hostile.forbidden);
            if answer.code() != tonic::Code::Ok || closing(&answer).reason() != ClosingReason::InvalidFrame {
                wrong.push(format!("{} with {}: {answer:?}", place.name(), hostile.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}: {}", wrong.len(), wrong.join("\n"));
    assert!(tried > 200 && ended > 100, "{tried} frames, {ended} of them forbidden");
    ann.me().await.expect("the server goes on");
    world.end().await;
}

/// By frames nobody gets more than by the calls that stand for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_are_limited_as_the_calls_that_stand_for_them() {
    let settings = |config: &mut madang_server::config::Config| config.rate_write = Rate::per_minute(1, 5);
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let ann = Guest::of(&world, "ann").await;
    for (name, frame) in [
        ("reauthenticate", Said::Reauthenticate(v1::Reauthenticate { token: "x".to_owned() })),
        ("focus", Said::Focus(v1::Focus { room_ids: vec![Uuid::now_v7().to_string()], ..Default::default() })),
    ] {
        let mut stream = Stream::open(&ann, v1::Hello::default()).await;
        stream.until_drained().await;
        for _ in 0..20 {
            stream.say(frame.clone()).await;
        }
        let limited = stream.until(|frame| match frame {
            Frame::Refused(refused) if refused.reason() == ErrorReason::RateLimited => Some(refused),
            _ => None,
        });
        assert_eq!(limited.await.frame, name);
    }
    world.end().await;
}
