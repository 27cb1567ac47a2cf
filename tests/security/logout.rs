//! The issuer's word that a session has ended: who is out, who must renew, and which words are not believed.

use std::time::{Duration, Instant};

use madang_devstack::issuer::Tokens;
use madang_proto::v1::{self, ClosingReason, ErrorReason};
use madang_tests::{World, WorldConfig, person::Calls};
use serde_json::{Value, json};

use crate::{
    people::Guest,
    streams::Stream,
    web::{self, Page},
};

const PATH: &str = "/oidc/backchannel-logout";

/// How long a stream may outlive the issuer's word, on the node that hears it.
const AT_ONCE: Duration = Duration::from_secs(1);

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

/// Makes an access token's claims those of a logout token, as Keycloak writes them.
fn as_logout(claims: &mut Value, header: &mut Value, sid: &str) {
    header["typ"] = json!("logout+jwt");
    let (issuer, subject) = (claims["iss"].clone(), claims["sub"].clone());
    *claims = json!({
        "iss": issuer, "sub": subject, "sid": sid, "aud": "madang-app", "typ": "Logout", "iat": now(), "exp": now() + 120,
        "jti": uuid::Uuid::now_v7().to_string(),
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
}

fn logout_token(world: &World, login: &str, sid: &str, edit: impl FnOnce(&mut Value, &mut Value)) -> String {
    let token = world.stack.issuer.token_with(login, |claims, header| {
        as_logout(claims, header, sid);
        edit(claims, header);
    });
    token.expect("a person of the issuer")
}

async fn say(world: &World, form: &str) -> Page {
    let form_type = [("content-type", "application/x-www-form-urlencoded")];
    web::call(world, PATH, &form_type, form.as_bytes()).await
}

fn reason(answer: Result<v1::GetMeResponse, tonic::Status>) -> Option<ErrorReason> {
    Some(madang_proto::Refusal::of(&answer.err()?)?.reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_issuer_ended_is_out_and_the_persons_others_show_that_theirs_live() {
    let world = World::with(WorldConfig { nodes: 2, ..WorldConfig::default() }).await;
    let (laptop, phone) = (Guest::of(&world, "ann").await, Guest::of(&world, "ann").await);
    let tablet = Guest::at(&world, "ann", &world.server(1)).await;
    let bob = Guest::of(&world, "bob").await;
    let mut of_laptop = Stream::open(&laptop, v1::Hello::default()).await;
    let mut of_phone = Stream::open(&phone, v1::Hello::default()).await;
    let mut of_tablet = Stream::open(&tablet, v1::Hello::default()).await;
    let mut of_bob = Stream::open(&bob, v1::Hello::default()).await;
    for stream in [&mut of_laptop, &mut of_phone, &mut of_tablet, &mut of_bob] {
        stream.until_drained().await;
    }
    // Tokens say whole seconds: the issuer's word is of a later one.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let token = logout_token(&world, "ann", &laptop.session.sid, |_, _| ());
    let begun = Instant::now();
    let page = say(&world, &format!("logout_token={token}")).await;
    assert_eq!((page.status, page.body.len()), (200, 0), "{page:?}");
    assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    of_laptop.closes_with(ClosingReason::Revoked).await;
    of_phone.closes_with(ClosingReason::TokenExpired).await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    // The other node finds it in the database.
    of_tablet.closes_with(ClosingReason::TokenExpired).await;
    assert_eq!(reason(laptop.me().await), Some(ErrorReason::SessionRevoked));
    assert_eq!(reason(phone.me().await), Some(ErrorReason::TokenExpired));
    assert_eq!(reason(tablet.me().await), Some(ErrorReason::TokenExpired));
    // A session that goes on gives another token, once the issuer has settled which do; the one that has ended does not come back by one.
    let renew = |session: &Tokens| world.stack.issuer.refresh(&session.refresh_token).expect("it lives");
    let early = renew(&phone.session);
    let calls =
        Calls::new(&world.server(0), early.access_token.clone(), phone.caller.device_id.clone()).expect("an address");
    let refused = calls.identity().get_me(calls.request(v1::GetMeRequest {})).await.map(tonic::Response::into_inner);
    assert_eq!(reason(refused), Some(ErrorReason::TokenExpired), "renewed before the issuer has settled");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let again = Guest::with(&world.server(0), renew(&early), phone.caller.device_id.clone()).await;
    let mut live = Stream::open(&again, v1::Hello::default()).await;
    live.until_drained().await;
    let ended = renew(&laptop.session);
    let calls = Calls::new(&world.server(1), ended.access_token, uuid::Uuid::now_v7().to_string());
    let calls = calls.expect("an address");
    let refused = calls.identity().get_me(calls.request(v1::GetMeRequest {})).await.map(tonic::Response::into_inner);
    assert_eq!(reason(refused), Some(ErrorReason::SessionRevoked));
    bob.me().await.expect("nobody else noticed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_is_not_the_issuers_or_not_for_us_ends_nothing() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let sid = ann.session.sid.clone();
    let changed = |edit: fn(&mut Value, &mut Value)| logout_token(&world, "ann", &sid, edit);
    let stranger = world.stack.issuer.token_by_stranger("ann", |claims, header| as_logout(claims, header, &sid));
    let wrong = [
        ("signed by a stranger", stranger.expect("a token")),
        ("another issuer", changed(|claims, _| claims["iss"] = json!("https://sso.example.com/realms/other"))),
        ("issuers as a list", changed(|claims, _| claims["iss"] = json!([claims["iss"]]))),
        ("for another client", changed(|claims, _| claims["aud"] = json!("another-app"))),
        ("for our audience, not our client", changed(|claims, _| claims["aud"] = json!("madang"))),
        ("no event", changed(|claims, _| claims["events"] = json!({}))),
        (
            "an event that is no object",
            changed(|claims, _| {
                claims["events"] = json!({ "http://schemas.openid.net/event/backchannel-logout": 1 });
            }),
        ),
        ("an ID token's nonce", changed(|claims, _| claims["nonce"] = json!("n"))),
        ("nobody", changed(|claims, _| claims["sub"] = json!(""))),
        ("no id", changed(|claims, _| claims["jti"] = Value::Null)),
        ("no end", changed(|claims, _| claims["exp"] = Value::Null)),
        ("over", changed(|claims, _| claims["exp"] = json!(now() - 31))),
        ("of tomorrow", changed(|claims, _| claims["iat"] = json!(now() + 86_400))),
        ("not signed", changed(|_, header| header["alg"] = json!("none"))),
        ("signed with the public key", changed(|_, header| header["alg"] = json!("HS256"))),
        ("of another type", changed(|_, header| header["typ"] = json!("at+jwt"))),
        ("an access token", ann.caller.token.clone()),
        ("no token", "x".to_owned()),
    ];
    for (what, token) in &wrong {
        let page = say(&world, &format!("logout_token={token}")).await;
        assert_eq!(page.status, 400, "{what}: {page:?}");
        let said: Value = serde_json::from_slice(&page.body).expect("JSON");
        assert_eq!(said["error"], "invalid_request", "{what}");
    }
    let huge = format!("logout_token={}", "a".repeat(64 * 1024));
    for form in ["", "logout_token=", "token=x", "\u{0}%ff%00", &huge] {
        assert_eq!(say(&world, form).await.status, 400, "{}", form.chars().take(40).collect::<String>());
    }
    ann.me().await.expect("still in");
    // A call with a logout token is no call.
    let logout = changed(|claims, _| claims["aud"] = json!(["madang", "madang-app"]));
    let calls = Calls::new(&world.server(0), logout, ann.caller.device_id.clone());
    let calls = calls.expect("an address");
    let refused = calls.identity().get_me(calls.request(v1::GetMeRequest {})).await.map(tonic::Response::into_inner);
    assert_eq!(reason(refused), Some(ErrorReason::TokenInvalid));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_was_said_before_is_refused_and_ends_nothing_that_began_later() {
    let world = World::with(WorldConfig { nodes: 2, ..WorldConfig::default() }).await;
    let ann = Guest::of(&world, "ann").await;
    let token = logout_token(&world, "ann", &ann.session.sid, |_, _| ());
    let form = format!("logout_token={token}");
    assert_eq!(say(&world, &form).await.status, 200);
    let again = say(&world, &form).await;
    assert_eq!(again.status, 400, "{again:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let anew = Guest::of(&world, "ann").await;
    assert_eq!(say(&world, &form).await.status, 400);
    anew.me().await.expect("somebody who signed in again is in");
    // Of somebody who was never here.
    let token = logout_token(&world, "cat", "never-here", |_, _| ());
    assert_eq!(say(&world, &format!("logout_token={token}")).await.status, 200);
    world.end().await;
}
