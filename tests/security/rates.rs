//! How often somebody may call: too often is refused with the class, the limit and the time to come back, and costs nobody
//! else anything.

use std::time::Duration;

use madang_devstack::issuer::Person;
use madang_proto::{
    POLICIES, Refusal,
    v1::{self, ClosingReason, ErrorReason, RateClass, client_frame::Frame as Said, server_frame::Frame},
};
use madang_server::config::Rate;
use madang_tests::{World, WorldConfig};
use uuid::Uuid;

use crate::{
    people::Guest,
    raw::{Call, Caller, Wire},
    requests::{Contract, Things, encoded},
    streams::Stream,
};

/// Calls of each class that everybody may make in these worlds at once.
const BURST: usize = 3;

async fn world() -> World {
    let settings = |config: &mut madang_server::config::Config| {
        let slow = Rate::per_minute(1, 3);
        (config.rate_read, config.rate_write, config.rate_send) = (slow, slow, slow);
        (config.rate_mark, config.rate_ack, config.rate_typing) = (slow, slow, slow);
        (config.rate_join, config.rate_search, config.rate_invite) = (slow, slow, slow);
        config.rate_stream = slow;
    };
    World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await
}

#[track_caller]
fn is_limited(refusal: &Refusal, class: &str, what: &str) {
    assert_eq!(refusal.reason, ErrorReason::RateLimited, "{what}: {refusal:?}");
    assert_eq!(refusal.metadata["class"], class, "{what}");
    assert_eq!(refusal.metadata["limit"], "1/m burst 3", "{what}");
    let wait = refusal.retry_after.expect("a time to come back");
    assert!(wait > Duration::ZERO && wait <= Duration::from_mins(4), "{what}: {wait:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_calls_too_often_is_told_when_to_come_back_on_every_method() {
    let world = world().await;
    let (wire, issuer, contract) = (Wire::to(&world.server(0)), &world.stack.issuer, Contract::read());
    let things = Things {
        room_id: Uuid::now_v7().to_string(),
        user_id: Uuid::now_v7().to_string(),
        device_id: Uuid::now_v7().to_string(),
    };
    // Typing and invitations are counted by the room and by the people, and signing out ends the one who counts.
    let elsewhere = [RateClass::Typing, RateClass::Invite, RateClass::Unspecified];
    let methods = POLICIES.iter().filter(|policy| !policy.public && policy.method != "SignOut");
    let mut limited = 0;
    for policy in methods.filter(|policy| !elsewhere.contains(&policy.rate_class)) {
        let class = policy.rate_class.as_str_name().trim_start_matches("RATE_CLASS_");
        issuer.add_person(Person::new(&policy.method.to_lowercase(), "Often").with_role("SYSTEM_ADMIN"));
        issuer.add_person(
            Person::new(&format!("{}-too", policy.method.to_lowercase()), "Often").with_role("SYSTEM_ADMIN"),
        );
        let [often, other] = [policy.method.to_lowercase(), format!("{}-too", policy.method.to_lowercase())]
            .map(|login| Caller::new(issuer.token(&login).expect("a token")));
        let call = |caller: &Caller| {
            let request = match policy.method {
                "Connect" => crate::access::hello(),
                _ => encoded(&contract.good(&contract.method(policy), &things)),
            };
            Call::to(policy.path, &request).by(caller)
        };
        for n in 0..BURST {
            let answer = wire.call(call(&often)).await;
            let limited = Refusal::of(&answer.status).is_some_and(|refusal| refusal.reason == ErrorReason::RateLimited);
            assert!(!limited, "{} the {n}th time: {answer:?}", policy.path);
        }
        is_limited(&wire.call(call(&often)).await.refusal(), class, policy.path);
        let answer = wire.call(call(&other)).await;
        let limited_too = Refusal::of(&answer.status).is_some_and(|refusal| refusal.reason == ErrorReason::RateLimited);
        assert!(!limited_too, "{}: somebody else is limited too: {answer:?}", policy.path);
        limited += 1;
    }
    assert!(limited > 25, "{limited}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_without_a_token_is_counted_by_address() {
    let world = world().await;
    let wire = Wire::to(&world.server(0));
    let ask = || Call::to("/madang.v1.IdentityService/GetServerInfo", &[]);
    for _ in 0..BURST {
        assert_eq!(wire.call(ask()).await.code(), tonic::Code::Ok);
    }
    is_limited(&wire.call(ask()).await.refusal(), "READ", "without a token");
    // Another connection, and another address by a word that nobody trusts.
    let other = Wire::to(&world.server(0)).call(ask().with("x-forwarded-for", "203.0.113.9")).await;
    is_limited(&other.refusal(), "READ", "the same address");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_invited_and_typing_are_counted_one_by_one() {
    let world = world().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let (cat, dan) = (Guest::of(&world, "cat").await, Guest::of(&world, "dan").await);
    let room_id = ann.room(&[&bob]).await;
    let path = "/madang.v1.RoomService/InviteMembers";
    let with = |people: &[&Guest]| {
        let user_ids = people.iter().map(|person| person.id.clone()).collect();
        v1::InviteMembersRequest { room_id: room_id.clone(), user_ids }
    };
    // One of three was used up by the room.
    assert_eq!(ann.wire.ask(&ann.caller, path, &with(&[&cat])).await.code(), tonic::Code::Ok);
    is_limited(
        &ann.wire.ask(&ann.caller, path, &with(&[&cat, &dan])).await.refusal(),
        "INVITE",
        "two of one that is left",
    );
    assert_eq!(ann.wire.ask(&ann.caller, path, &with(&[&dan])).await.code(), tonic::Code::Ok);
    let mut stream = Stream::open(&bob, v1::Hello::default()).await;
    stream.until_drained().await;
    for _ in 0..=BURST {
        stream.say(Said::Typing(v1::Typing { room_id: room_id.clone() })).await;
    }
    let refused = stream.refusals_until("typing").await.pop().expect("a refusal");
    assert_eq!(refused.reason(), ErrorReason::RateLimited, "{refused:?}");
    world.end().await;
}

/// A stream that is answered with nothing but refusals is not cut for it, and its person is not cut off either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_says_too_much_is_refused_and_goes_on() {
    let world = world().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = ann.room(&[&bob]).await;
    let mut stream = Stream::open(&bob, v1::Hello::default()).await;
    stream.until_drained().await;
    for _ in 0..200 {
        stream.say(Said::Ack(v1::Ack::default())).await;
    }
    let refused = stream.refusals_until("ack").await.pop().expect("a refusal");
    assert_eq!(refused.reason(), ErrorReason::RateLimited, "{refused:?}");
    ann.calls.send(&room_id, "still there?").await.expect("sent");
    let heard = stream.until(|frame| match frame {
        Frame::RoomEvent(event) => Some(Ok(event)),
        Frame::Closing(closing) => Some(Err(closing)),
        _ => None,
    });
    let event = heard.await.map_err(|closing| closing.reason());
    assert!(event.is_ok(), "{:?}", event.err().unwrap_or(ClosingReason::Unspecified));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_takes_so_many_messages_from_all_of_its_people_together() {
    let settings = |config: &mut madang_server::config::Config| config.rate_room_send = Rate::per_minute(1, 4);
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let (busy, quiet) = (ann.room(&[&bob]).await, ann.room(&[&bob]).await);
    for n in 0..2 {
        ann.calls.send(&busy, &format!("ann {n}")).await.expect("within the burst");
        bob.calls.send(&busy, &format!("bob {n}")).await.expect("within the burst");
    }
    for guest in [&ann, &bob] {
        let refusal = Refusal::of(&guest.calls.send(&busy, "one more").await.expect_err("too many")).expect("a reason");
        assert_eq!((refusal.reason, refusal.metadata["class"].as_str()), (ErrorReason::RateLimited, "ROOM_SEND"));
        assert_eq!(refusal.metadata["limit"], "1/m burst 4");
        let wait = refusal.retry_after.expect("a time to come back");
        assert!(wait > Duration::from_secs(30) && wait <= Duration::from_mins(1), "{wait:?}");
        guest.calls.send(&quiet, "elsewhere").await.expect("another room");
    }
    let request = v1::ListMessagesRequest { room_id: busy, ..Default::default() };
    let page = ann.calls.messages().list_messages(ann.calls.request(request)).await.expect("a page").into_inner();
    let texts =
        page.messages.iter().filter_map(|message| message.body.as_ref()).filter(|body| body.text.contains("one more"));
    assert_eq!(texts.count(), 0, "what is refused is not written");
    world.end().await;
}
