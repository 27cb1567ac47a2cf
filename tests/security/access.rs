//! The access table, walked: every call with every kind of bad token, without a device, without the role.

use http::StatusCode;
use madang_proto::{
    MethodPolicy, POLICIES,
    v1::{ErrorReason, GetMeRequest, Role},
};
use madang_tests::{World, WorldConfig};
use prost::Message as _;
use tonic::Code;
use uuid::Uuid;

use crate::{
    raw::{Answer, Call, Caller, Wire},
    requests::{Contract, Things, encoded},
    tokens,
};

/// A world whose server takes tokens of one client only.
async fn world() -> World {
    let settings = |config: &mut madang_server::config::Config| {
        config.allowed_clients = vec![madang_devstack::issuer::CLIENT_ID.to_owned()];
        config.device_sessions_per_person = 1_000;
    };
    World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await
}

/// Every call with a good request that names things that are not there.
fn calls() -> Vec<(&'static MethodPolicy, Call)> {
    let contract = Contract::read();
    let id = || Uuid::now_v7().to_string();
    let things = Things { room_id: id(), user_id: id(), device_id: id() };
    let call = |policy: &'static MethodPolicy| {
        let request = match policy.method {
            "Connect" => hello(),
            _ => encoded(&contract.good(&contract.method(policy), &things)),
        };
        (policy, Call::to(policy.path, &request))
    };
    POLICIES.iter().map(call).collect()
}

/// A stream's first message.
pub fn hello() -> Vec<u8> {
    use madang_proto::v1::{ClientFrame, Hello, client_frame::Frame};
    ClientFrame { frame: Some(Frame::Hello(Hello::default())) }.encode_to_vec()
}

/// Calls that want a token.
fn closed() -> impl Iterator<Item = (&'static MethodPolicy, Call)> {
    calls().into_iter().filter(|(policy, _)| !policy.public)
}

/// Fails unless all answers are the same to the byte.
#[track_caller]
fn all_the_same(what: &str, answers: &[(&'static MethodPolicy, Answer)]) {
    let (first, rest) = answers.split_first().expect("there are calls");
    for (policy, answer) in rest {
        assert_eq!(answer.visible(), first.1.visible(), "{what}: {} is told from {}", policy.path, first.0.path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_token_is_refused_on_every_method() {
    let world = world().await;
    let wire = Wire::to(&world.server(0));
    let token = world.stack.issuer.token("ann").expect("a token");
    let device = || Uuid::now_v7().to_string();
    for (name, value) in [
        ("", ""),
        ("authorization", token.as_str()),
        ("authorization", "Basic YW5uOmFubg=="),
        ("authorization", "Bearer"),
    ] {
        let mut answers = Vec::new();
        for (policy, call) in closed() {
            let call = call.with("madang-device-id", device());
            let call = if name.is_empty() { call } else { call.with(name, value) };
            let answer = wire.call(call).await;
            answer.is_refused(ErrorReason::TokenMissing, policy.path);
            answers.push((policy, answer));
        }
        all_the_same("no token", &answers);
    }
    for (policy, call) in closed() {
        let twice = call.with("authorization", format!("Bearer {token}")).with("authorization", "Bearer x");
        wire.call(twice.with("madang-device-id", device())).await.is_refused(ErrorReason::TokenMissing, policy.path);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_bad_token_is_refused_alike_on_every_method() {
    let world = world().await;
    let wire = Wire::to(&world.server(0));
    let kinds = tokens::bad(&world.stack.issuer, "ann");
    assert!(kinds.len() >= 50, "{} kinds", kinds.len());
    for bad in &kinds {
        let caller = Caller::new(&bad.token);
        let mut answers = Vec::new();
        for (policy, call) in closed() {
            let answer = wire.call(call.by(&caller)).await;
            let what = format!("{} on {}", bad.kind, policy.path);
            answer.is_refused(bad.reason, &what);
            let check = answer.refusal().metadata.get("check").cloned().unwrap_or_default();
            assert_eq!(check, bad.check, "{what}");
            answers.push((policy, answer));
        }
        all_the_same(bad.kind, &answers);
    }
    let people = sqlx::query_scalar::<_, i64>("select count(*) from users").fetch_one(&world.sql().await).await;
    assert_eq!(people.expect("a count"), 0, "a bad token made a person");
    world.end().await;
}

/// What does not fit into the headers that a server takes never reaches anything of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_too_long_for_a_header_is_refused_by_http_and_one_of_100_kb_costs_its_connection() {
    let world = world().await;
    let good = Caller::new(world.stack.issuer.token("ann").expect("a token"));
    let (long, huge) = (Caller::new("a".repeat(20_000)), Caller::new("a".repeat(100_000)));
    let wire = Wire::to(&world.server(0));
    for (policy, call) in closed() {
        let answer = wire.call(call.clone().by(&long)).await;
        assert_eq!(answer.http, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{}: {answer:?}", policy.path);
        assert!(answer.messages.is_empty(), "{}: {answer:?}", policy.path);
        let answer = Wire::to(&world.server(0)).call(call.by(&huge)).await;
        assert!(answer.code() == Code::Unavailable && answer.metadata.is_empty(), "{}: {answer:?}", policy.path);
    }
    let me = wire.ask(&good, "/madang.v1.IdentityService/GetMe", &GetMeRequest {}).await;
    assert_eq!(me.code(), Code::Ok, "{me:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_device_is_refused_on_every_method() {
    let world = world().await;
    let wire = Wire::to(&world.server(0));
    // Somebody with every role, so that nothing else is in the way.
    world.stack.issuer.add_person(madang_devstack::issuer::Person::new("root", "All").with_role("SYSTEM_ADMIN"));
    let token = world.stack.issuer.token("root").expect("a token");
    for device in ["", "phone", "0190f5fe-7c00-7a00-8aaa-0000000000zz", "0190f5fe-7c00-7a00-8aaa-00000000000", "null"] {
        let mut answers = Vec::new();
        for (policy, call) in closed() {
            let call = call.with("authorization", format!("Bearer {token}"));
            let call = if device.is_empty() { call } else { call.with("madang-device-id", device) };
            let answer = wire.call(call).await;
            answer.is_refused(ErrorReason::DeviceIdMissing, policy.path);
            answers.push((policy, answer));
        }
        all_the_same("no device", &answers);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_the_role_is_refused_on_every_method() {
    let world = world().await;
    let wire = Wire::to(&world.server(0));
    let issuer = &world.stack.issuer;
    let with = |roles: &[&str]| {
        let access = serde_json::json!({ "roles": roles });
        issuer.token_with("ann", |claims, _| claims["realm_access"] = access).expect("a token")
    };
    // Keycloak writes roles as they are named: other spellings, other places and other types give none.
    let elsewhere = issuer.token_with("ann", |claims, _| {
        claims["realm_access"] = serde_json::json!("USER SYSTEM_ADMIN");
        claims["roles"] = serde_json::json!(["USER", "SYSTEM_ADMIN"]);
        claims["resource_access"] = serde_json::json!({"madang": {"roles": ["USER", "SYSTEM_ADMIN"]}});
    });
    let tokens: [(&[Role], String); 7] = [
        (&[], with(&[])),
        (&[], with(&["user", "system_admin", "ROLE_USER", "ADMIN", " USER"])),
        (&[], elsewhere.expect("a token")),
        (&[], issuer.token_with("ann", |claims, _| claims["realm_access"] = serde_json::Value::Null).expect("a token")),
        (&[Role::Auditor], with(&["AUDITOR"])),
        (&[Role::User], with(&["USER"])),
        (&[Role::SystemAdmin], with(&["SYSTEM_ADMIN"])),
    ];
    let mut refused = 0;
    for (held, token) in &tokens {
        let caller = Caller::new(token);
        let mut answers = Vec::new();
        for (policy, call) in closed().filter(|(policy, _)| !policy.roles.iter().any(|role| held.contains(role))) {
            let answer = wire.call(call.by(&caller)).await;
            answer.is_refused(ErrorReason::RoleMissing, &format!("{held:?} on {}", policy.path));
            answers.push((policy, answer));
        }
        refused += answers.len();
        all_the_same("no role", &answers);
    }
    assert!(refused > 5 * closed().count(), "{refused}");
    let people = sqlx::query_scalar::<_, i64>("select count(*) from users").fetch_one(&world.sql().await).await;
    assert_eq!(people.expect("a count"), 0, "somebody without a role was made a person");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_with_the_role_passes_the_door_of_every_method() {
    let world = world().await;
    let (wire, issuer) = (Wire::to(&world.server(0)), &world.stack.issuer);
    issuer.add_person(madang_devstack::issuer::Person::new("root", "All").with_role("SYSTEM_ADMIN"));
    for (policy, call) in calls() {
        // A sign-in of its own for each: one of the calls signs out.
        let caller = Caller::new(issuer.token("root").expect("a token"));
        let answer = wire.call(call.by(&caller)).await;
        let stopped =
            [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented, Code::Internal, Code::Unknown];
        assert!(!stopped.contains(&answer.code()), "{}: {answer:?}", policy.path);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_methods_are_open_and_say_nothing_about_anybody() {
    let world = world().await;
    let wire = Wire::to(&world.server(0));
    let open: Vec<_> = calls().into_iter().filter(|(policy, _)| policy.public).collect();
    assert_eq!(open.iter().map(|(policy, _)| policy.method).collect::<Vec<_>>(), ["GetServerInfo"]);
    for (policy, call) in open {
        let anonymous = wire.call(call.clone()).await;
        assert_eq!(anonymous.code(), Code::Ok, "{}: {anonymous:?}", policy.path);
        for bad in tokens::bad(&world.stack.issuer, "ann") {
            let answer = wire.call(call.clone().by(&Caller::new(bad.token))).await;
            assert_eq!(answer.visible(), anonymous.visible(), "{} with {}", policy.path, bad.kind);
        }
    }
    world.end().await;
}
