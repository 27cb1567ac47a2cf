//! Accounts and devices: who is let in although the token is good, and what of a token is kept.

use std::time::Duration;

use madang_devstack::issuer::Person;
use madang_proto::{
    POLICIES,
    v1::{self, ErrorReason},
};
use madang_tests::{World, WorldConfig};
use serde_json::json;
use uuid::Uuid;

use crate::{
    people::Guest,
    raw::{Call, Caller},
    requests::{Contract, Things, encoded},
    streams::Stream,
};

async fn set(world: &World, guest: &Guest, what: &str) {
    let set = format!("update users set {what} where id = $1::uuid");
    sqlx::query(sqlx::AssertSqlSafe(set)).bind(&guest.id).execute(&world.sql().await).await.expect("set");
    // What a node remembers of a person is a second old at most.
    world.clock.advance(Duration::from_secs(1));
}

async fn is_refused_everywhere(guest: &Guest, reason: ErrorReason) {
    let contract = Contract::read();
    let id = || Uuid::now_v7().to_string();
    let things = Things { room_id: id(), user_id: id(), device_id: id() };
    for policy in POLICIES.iter().filter(|policy| policy.roles.contains(&v1::Role::User)) {
        let request = match policy.method {
            "Connect" => crate::access::hello(),
            _ => encoded(&contract.good(&contract.method(policy), &things)),
        };
        let answer = guest.wire.call(Call::to(policy.path, &request).by(&guest.caller)).await;
        answer.is_refused(reason, policy.path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_shut_is_refused_on_every_method_until_it_is_open_again() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    for (what, reason) in [
        ("state = 2", ErrorReason::AccountDisabled),
        ("state = 3, locked_until = null", ErrorReason::AccountLocked),
        ("state = 3, locked_until = now() + interval '1 hour'", ErrorReason::AccountLocked),
        ("state = 4", ErrorReason::AccountExpired),
        ("state = 5", ErrorReason::AccountDisabled),
        ("state = 1, expires_at = now() - interval '1 second'", ErrorReason::AccountExpired),
    ] {
        set(&world, &ann, what).await;
        is_refused_everywhere(&ann, reason).await;
        bob.me().await.expect("somebody else");
        set(&world, &ann, "state = 1, locked_until = null, expires_at = null").await;
        ann.me().await.expect("open again");
    }
    // A lock ends by itself, and says when.
    set(&world, &ann, "state = 3, locked_until = now() + interval '2 minutes'").await;
    let locked = ann.wire.call(Call::to("/madang.v1.IdentityService/GetMe", &[]).by(&ann.caller)).await.refusal();
    assert!(locked.metadata["until"].ends_with('Z'), "{locked:?}");
    world.clock.advance(Duration::from_mins(2));
    ann.me().await.expect("the lock has ended");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_device_too_many_is_refused_until_another_is_revoked() {
    let settings = |config: &mut madang_server::config::Config| config.device_sessions_per_person = 3;
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let devices = [Guest::of(&world, "ann").await, Guest::of(&world, "ann").await, Guest::of(&world, "ann").await];
    let fourth = Caller::new(world.stack.issuer.token("ann").expect("a token"));
    let get_me = || Call::to("/madang.v1.IdentityService/GetMe", &[]).by(&fourth);
    for call in [get_me(), Call::to("/madang.v1.SyncService/Connect", &crate::access::hello()).by(&fourth)] {
        let refusal = devices[0].wire.call(call).await.refusal();
        assert_eq!((refusal.reason, refusal.metadata["limit"].as_str()), (ErrorReason::TooManyDevices, "3"));
    }
    for device in &devices {
        device.me().await.expect("those who are in stay in");
    }
    let bob = Guest::of(&world, "bob").await;
    bob.me().await.expect("somebody else");
    let request = v1::RevokeDeviceSessionRequest { device_id: devices[2].caller.device_id.clone() };
    devices[0].calls.identity().revoke_device_session(devices[0].calls.request(request)).await.expect("revoked");
    assert_eq!(devices[0].wire.call(get_me()).await.code(), tonic::Code::Ok, "a place is free");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_role_in_a_new_token_holds_at_once_and_is_audited() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let with = |roles: &[&str]| {
        let (roles, sid) = (json!(roles), ann.session.sid.clone());
        let token = world.stack.issuer.token_with("ann", |claims, _| {
            claims["realm_access"] = json!({ "roles": roles });
            claims["sid"] = json!(sid);
            // Roles are taken from the newest token: one second is the issuer's measure of newer.
            claims["iat"] = json!(claims["iat"].as_i64().expect("a time") + 2);
        });
        Caller { token: token.expect("a token"), device_id: ann.caller.device_id.clone() }
    };
    let admin = with(&["USER", "SYSTEM_ADMIN"]);
    let path = "/madang.v1.IdentityService/RevokeUserSessions";
    let nobody = v1::RevokeUserSessionsRequest { user_id: Uuid::now_v7().to_string() };
    ann.wire.ask(&ann.caller, path, &nobody).await.is_refused(ErrorReason::RoleMissing, "before");
    ann.wire.ask(&admin, path, &nobody).await.is_refused(ErrorReason::UserNotFound, "an admin");
    // The older token gives no more than it says, and takes nothing away from the newer one.
    ann.wire.ask(&ann.caller, path, &nobody).await.is_refused(ErrorReason::RoleMissing, "the older token");
    let audited =
        sqlx::query_as::<_, (String, String)>("select action, target from audit_events where actor_id = $1::uuid");
    let audited = audited.bind(&ann.id).fetch_all(&world.sql().await).await.expect("the audit log");
    assert_eq!(audited, [("roles_changed".to_owned(), "ROLE_USER,ROLE_SYSTEM_ADMIN".to_owned())]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_issuers_name_of_a_person_and_their_sessions_elsewhere_are_told_to_nobody() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = ann.room(&[&bob]).await;
    ann.calls.send(&room_id, "hello").await.expect("sent");
    let subject = Person::new("ann", "Kim").subject();
    let contract = Contract::read();
    let things = Things { room_id, user_id: ann.id.clone(), device_id: ann.caller.device_id.clone() };
    for guest in [&ann, &bob] {
        for policy in POLICIES.iter().filter(|policy| !["SignOut", "LeaveRoom", "Connect"].contains(&policy.method)) {
            let request = encoded(&contract.good(&contract.method(policy), &things));
            let answer = guest.wire.call(Call::to(policy.path, &request).by(&guest.caller)).await;
            let said =
                String::from_utf8_lossy(&answer.messages.concat()).into_owned() + &format!("{:?}", answer.metadata);
            assert!(!said.contains(&subject), "{}: {said}", policy.path);
            let own_session = guest.id == ann.id && policy.service == "IdentityService";
            assert!(own_session || !said.contains(&ann.session.sid), "{}: {said}", policy.path);
            assert!(own_session || !said.contains(&ann.caller.device_id), "{}: {said}", policy.path);
        }
    }
    world.end().await;
}

/// By the twins of the frames nobody reaches a stream that is not their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_about_the_stream_of_somebody_else_is_dropped_like_one_about_none() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = ann.room(&[&bob]).await;
    let (mut stream, welcome) = crate::expiry::watch(&ann).await;
    let node = || welcome.node.clone();
    let mut answers = Vec::new();
    for session_id in [welcome.session_id.clone(), Uuid::now_v7().to_string()] {
        let typing = Some(v1::Typing { room_id: room_id.clone() });
        let typing = v1::SetTypingRequest { session_id: session_id.clone(), node: node(), typing };
        let focus = Some(v1::Focus { room_ids: vec![Uuid::now_v7().to_string()], ..Default::default() });
        let focus = v1::SetFocusRequest { session_id: session_id.clone(), node: node(), focus };
        let delivered = vec![v1::DeliveredSeq { room_id: room_id.clone(), seq: i64::MAX }];
        let ack = v1::AckRequest {
            session_id: session_id.clone(),
            node: node(),
            ack: Some(v1::Ack { delivered, ..Default::default() }),
        };
        let renew = v1::ReauthenticateRequest { session_id, node: node() };
        answers.push([
            bob.wire.ask(&bob.caller, "/madang.v1.SyncService/SetTyping", &typing).await.visible(),
            bob.wire.ask(&bob.caller, "/madang.v1.SyncService/SetFocus", &focus).await.visible(),
            bob.wire.ask(&bob.caller, "/madang.v1.SyncService/Ack", &ack).await.visible(),
            bob.wire.ask(&bob.caller, "/madang.v1.SyncService/Reauthenticate", &renew).await.visible(),
        ]);
    }
    assert_eq!(answers[0], answers[1]);
    ann.calls.send(&room_id, "unharmed").await.expect("sent");
    stream.until(|frame| matches!(frame, v1::server_frame::Frame::RoomEvent(_)).then_some(())).await;
    drop(Stream::open(&bob, v1::Hello::default()).await);
    world.end().await;
}
