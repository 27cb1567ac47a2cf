//! Device sessions that are ended: from then on neither their streams nor their tokens are of any use, on any node.

use std::time::{Duration, Instant};

use madang_devstack::issuer::Tokens;
use madang_proto::{
    POLICIES,
    v1::{self, ClosingReason, ErrorReason},
};
use madang_tests::{World, WorldConfig, world::eventually};
use tonic::Code;
use uuid::Uuid;

use crate::{
    people::Guest,
    raw::{Call, Caller},
    requests::{Contract, Things, encoded},
    streams::Stream,
};

/// How long a revocation may take to be known on another node.
const SOON: Duration = Duration::from_secs(2);

async fn two_nodes() -> World {
    World::with(WorldConfig { nodes: 2, ..WorldConfig::default() }).await
}

async fn revoke(by: &Guest, device_id: &str) -> v1::DeviceSession {
    let request = v1::RevokeDeviceSessionRequest { device_id: device_id.to_owned() };
    let answer = by.calls.identity().revoke_device_session(by.calls.request(request)).await.expect("revoked");
    answer.into_inner().session.expect("the session")
}

/// Every call that wants a token, with this one.
async fn is_refused_everywhere(guest: &Guest, server: &str, caller: &Caller) {
    let contract = Contract::read();
    let things = Things {
        room_id: Uuid::now_v7().to_string(),
        user_id: guest.id.clone(),
        device_id: Uuid::now_v7().to_string(),
    };
    let wire = crate::raw::Wire::to(server);
    // A method that the person has no role for is refused for that, whatever became of the session.
    for policy in POLICIES.iter().filter(|policy| !policy.public && policy.roles.contains(&v1::Role::User)) {
        let request = encoded(&contract.good(&contract.method(policy), &things));
        let answer = wire.call(Call::to(policy.path, &request).by(caller)).await;
        answer.is_refused(ErrorReason::SessionRevoked, policy.path);
    }
}

/// Waits until a node knows; answers with the time that took.
async fn until_refused(guest: &Guest) -> Duration {
    let begun = Instant::now();
    eventually("the token is refused", async || match guest.me().await {
        Err(status) => (madang_proto::Refusal::of(&status)?.reason == ErrorReason::SessionRevoked).then_some(()),
        Ok(_) => None,
    })
    .await;
    begun.elapsed()
}

/// Another token of the same session at the issuer, issued later.
fn renewed(world: &World, session: &Tokens) -> Tokens {
    world.stack.issuer.refresh(&session.refresh_token).expect("a session that lives")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_is_out_at_once_here_and_within_two_seconds_elsewhere() {
    let world = two_nodes().await;
    let (laptop, phone) = (Guest::of(&world, "ann").await, Guest::of(&world, "ann").await);
    let there = phone.on(&world.server(1));
    there.me().await.expect("the other node knows the phone");
    let mut here_live = Stream::open(&phone, v1::Hello::default()).await;
    let tablet = Guest::of(&world, "ann").await;
    let mut tablet_live = Stream::open(&tablet.on(&world.server(1)), v1::Hello::default()).await;
    let mut own = Stream::open(&laptop, v1::Hello::default()).await;
    for stream in [&mut here_live, &mut tablet_live, &mut own] {
        stream.until_drained().await;
    }
    let session = revoke(&laptop, &phone.caller.device_id).await;
    assert!(
        session.revoked_at.is_some() && session.device_id == phone.caller.device_id && !session.live,
        "{session:?}"
    );
    let refused = phone.me().await.expect_err("at once on the node that revoked it");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
    here_live.closes_with(ClosingReason::Revoked).await;
    let took = until_refused(&there).await;
    assert!(took < SOON, "{took:?}");
    is_refused_everywhere(&phone, &world.server(0), &phone.caller).await;
    is_refused_everywhere(&phone, &world.server(1), &phone.caller).await;
    let begun = Instant::now();
    revoke(&laptop, &tablet.caller.device_id).await;
    tablet_live.closes_with(ClosingReason::Revoked).await;
    assert!(begun.elapsed() < SOON, "a stream on the other node ended after {:?}", begun.elapsed());
    // Nobody else noticed.
    laptop.me().await.expect("the one who revoked");
    own.say(v1::client_frame::Frame::Reauthenticate(v1::Reauthenticate { token: "x".to_owned() })).await;
    own.refusals_until("reauthenticate").await;
    let listed =
        laptop.calls.identity().list_device_sessions(laptop.calls.request(v1::ListDeviceSessionsRequest {})).await;
    let listed: Vec<_> =
        listed.expect("a list").into_inner().sessions.into_iter().map(|session| session.device_id).collect();
    assert_eq!(listed, [&*laptop.caller.device_id]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_session_does_not_come_back_under_another_device_or_by_a_refresh() {
    let world = World::new().await;
    let (laptop, phone) = (Guest::of(&world, "ann").await, Guest::of(&world, "ann").await);
    let later = renewed(&world, &phone.session);
    revoke(&laptop, &phone.caller.device_id).await;
    let latest = renewed(&world, &later);
    for token in [&phone.session, &later, &latest].map(|tokens| tokens.access_token.clone()) {
        let same = Caller { token: token.clone(), device_id: phone.caller.device_id.clone() };
        is_refused_everywhere(&phone, &world.server(0), &same).await;
        // A thief knows no shame about device ids.
        is_refused_everywhere(&phone, &world.server(0), &Caller::new(token)).await;
    }
    // Somebody who signs in again is let in, on the same device too.
    let again = world.stack.issuer.session("ann").expect("a session");
    let again = Guest::with(&world.server(0), again, phone.caller.device_id.clone()).await;
    assert_eq!(again.id, phone.id);
    is_refused_everywhere(&phone, &world.server(0), &phone.caller).await;
    again.me().await.expect("the new sign-in");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_revokes_a_device_of_others() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let mut live = Stream::open(&ann, v1::Hello::default()).await;
    live.until_drained().await;
    let path = "/madang.v1.IdentityService/RevokeDeviceSession";
    let mut answers = Vec::new();
    for device_id in [ann.caller.device_id.clone(), Uuid::now_v7().to_string()] {
        let answer =
            bob.wire.ask(&bob.caller, path, &v1::RevokeDeviceSessionRequest { device_id: device_id.clone() }).await;
        let refusal = answer.refusal();
        assert_eq!(refusal.reason, ErrorReason::DeviceSessionNotFound);
        answers.push(format!("{refusal:?}").replace(&device_id, "DEVICE"));
    }
    assert_eq!(answers[0], answers[1], "a device of others is told from none");
    let everybody = v1::RevokeUserSessionsRequest { user_id: ann.id.clone() };
    let answer = bob.wire.ask(&bob.caller, "/madang.v1.IdentityService/RevokeUserSessions", &everybody).await;
    answer.is_refused(ErrorReason::RoleMissing, "somebody who is no admin");
    ann.me().await.expect("still there");
    live.say(v1::client_frame::Frame::Reauthenticate(v1::Reauthenticate { token: "x".to_owned() })).await;
    live.refusals_until("reauthenticate").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_revokes_all_of_a_person_even_what_was_never_used() {
    let world = two_nodes().await;
    let issuer = &world.stack.issuer;
    let unused = issuer.session("bob").expect("a session");
    let (phone, laptop) = (Guest::of(&world, "bob").await, Guest::at(&world, "bob", &world.server(1)).await);
    let (ann, admin) = (Guest::of(&world, "ann").await, Guest::of(&world, "admin").await);
    let mut streams =
        [Stream::open(&phone, v1::Hello::default()).await, Stream::open(&laptop, v1::Hello::default()).await];
    for stream in &mut streams {
        stream.until_drained().await;
    }
    // Issuers write whole seconds, and a sign-in in the second of the revocation is let in: let that second be over.
    world.clock.advance(Duration::from_secs(1));
    let request = v1::RevokeUserSessionsRequest { user_id: phone.id.clone() };
    let revoked = admin.calls.identity().revoke_user_sessions(admin.calls.request(request)).await.expect("revoked");
    assert_eq!(revoked.into_inner().revoked, 2);
    let [mut here, mut there] = streams;
    here.closes_with(ClosingReason::Revoked).await;
    there.closes_with(ClosingReason::Revoked).await;
    is_refused_everywhere(&phone, &world.server(0), &phone.caller).await;
    assert!(until_refused(&laptop).await < SOON);
    is_refused_everywhere(&phone, &world.server(0), &Caller::new(unused.access_token)).await;
    ann.me().await.expect("others stay");
    admin.me().await.expect("the admin too");
    let audited =
        sqlx::query_as::<_, (String, String)>("select action, actor_id::text from audit_events where target = $1");
    let audited = audited.bind(&phone.id).fetch_all(&world.sql().await).await.expect("the audit log");
    assert_eq!(audited, [("revoke_user_sessions".to_owned(), admin.id.clone())]);
    let nobody = v1::RevokeUserSessionsRequest { user_id: Uuid::now_v7().to_string() };
    let answer = admin.wire.ask(&admin.caller, "/madang.v1.IdentityService/RevokeUserSessions", &nobody).await;
    answer.is_refused(ErrorReason::UserNotFound, "a person who is not there");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_ends_this_device_and_no_other() {
    let world = World::new().await;
    let (phone, laptop) = (Guest::of(&world, "ann").await, Guest::of(&world, "ann").await);
    let mut streams =
        [Stream::open(&phone, v1::Hello::default()).await, Stream::open(&laptop, v1::Hello::default()).await];
    for stream in &mut streams {
        stream.until_drained().await;
    }
    phone.calls.identity().sign_out(phone.calls.request(v1::SignOutRequest {})).await.expect("out");
    let [mut gone, stays] = streams;
    gone.closes_with(ClosingReason::Revoked).await;
    is_refused_everywhere(&phone, &world.server(0), &phone.caller).await;
    laptop.me().await.expect("the other device");
    stays.say(v1::client_frame::Frame::Pong(v1::Pong {})).await;
    world.end().await;
}

/// Two devices may share a session of the issuer (one browser, two apps): it ends for both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_share_a_sign_in_end_together() {
    let world = World::new().await;
    let (first, other) = (Guest::of(&world, "ann").await, Guest::of(&world, "ann").await);
    let second = Guest::with(&world.server(0), first.session.clone(), Uuid::now_v7().to_string()).await;
    let mut live = Stream::open(&second, v1::Hello::default()).await;
    live.until_drained().await;
    revoke(&other, &first.caller.device_id).await;
    live.closes_with(ClosingReason::Revoked).await;
    is_refused_everywhere(&second, &world.server(0), &second.caller).await;
    other.me().await.expect("another sign-in");
    world.end().await;
}

/// A node learns of a revocation elsewhere by the person's number; a change of the person's here moves it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_elsewhere_is_not_lost_behind_a_change_of_the_person_here() {
    let world = two_nodes().await;
    let (laptop, phone) = (Guest::of(&world, "ann").await, Guest::of(&world, "ann").await);
    let room = laptop.room(&[]).await;
    laptop.calls.send(&room, "hello").await.expect("sent");
    let mut live = Stream::open(&phone.on(&world.server(1)), v1::Hello::default()).await;
    live.until_drained().await;
    let tablet = Guest::at(&world, "ann", &world.server(1)).await;
    revoke(&laptop, &phone.caller.device_id).await;
    // Before the node has looked into the database.
    let request = v1::MarkUnreadRequest { room_id: room, seq: 2, generation: 0 };
    let moved = tablet.calls.reads().mark_unread(tablet.calls.request(request)).await.expect("marked").into_inner();
    assert!(moved.prev_user_rev > 0, "the person's number has moved: {moved:?}");
    let begun = Instant::now();
    live.closes_with(ClosingReason::Revoked).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    world.end().await;
}

/// An account that is shut, or comes to its time, ends its streams with the reason, although nobody called anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_an_account_that_is_shut_end_with_the_reason() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let sql = world.sql().await;
    for (set, reason) in [
        ("state = 2", ErrorReason::AccountDisabled),
        ("state = 3", ErrorReason::AccountLocked),
        ("expires_at = now()", ErrorReason::AccountExpired),
    ] {
        let mut stream = Stream::open(&ann, v1::Hello::default()).await;
        stream.until_drained().await;
        let shut = format!("update users set {set} where id = $1::uuid");
        sqlx::query(sqlx::AssertSqlSafe(shut)).bind(&ann.id).execute(&sql).await.expect("shut");
        let closing = stream.until(|frame| match frame {
            v1::server_frame::Frame::Closing(closing) => Some(closing),
            _ => None,
        });
        let closing = closing.await;
        assert_eq!((closing.reason(), closing.error()), (ClosingReason::Revoked, reason));
        let open = "update users set state = 1, expires_at = null where id = $1::uuid";
        sqlx::query(open).bind(&ann.id).execute(&sql).await.expect("opened");
        eventually("the account is open", async || ann.me().await.ok()).await;
    }
    world.end().await;
}
