//! What a company sees of sign-in.

use std::time::{Duration, Instant};

use madang_proto::v1::{self, ErrorReason};
use madang_sdk_core::{Client, ClientErrorKind, ConnectionState, NewRoom};
use madang_tests::world::eventually;
use serde_json::json;

use crate::company::{Company, PASSWORD};

/// How long a stream may outlive its session at the issuer.
const AT_ONCE: Duration = Duration::from_secs(1);

fn reason(status: &tonic::Status) -> Option<ErrorReason> {
    Some(madang_proto::Refusal::of(status)?.reason)
}

async fn live(device: &Client) {
    eventually("the device is live", async || (device.state() == ConnectionState::Live).then_some(())).await;
}

/// The kind of the reason for which it ended.
async fn ended(device: &Client) -> ClientErrorKind {
    let look = async || match device.state() {
        ConnectionState::Ended { reason } => Some(reason.kind),
        ConnectionState::SignedOut => Some(ClientErrorKind::Unauthenticated),
        _ => None,
    };
    eventually("the device is out", look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_in_at_keycloaks_page_is_here_with_name_number_and_roles() {
    let company = Company::open().await;
    let (ann, admin) = (company.employee("ann", &[]).await, company.employee("boss", &["SYSTEM_ADMIN"]).await);
    let session = company.sign_in(&ann).await;
    let me = company.me(&session.tokens().await.access).await.expect("she is a user by being in the realm");
    assert_eq!((&me.login, &me.display_name), (&ann.person.login, &ann.person.name()));
    assert_eq!(me.employee_no, ann.person.employee_no);
    // Roles are the token's: a call for administrators is refused to her and answered to him.
    let revoke = async |token: String| {
        let calls = company.calls(&token);
        let request = v1::RevokeUserSessionsRequest { user_id: me.id.clone() };
        calls.identity().revoke_user_sessions(calls.request(request)).await
    };
    let refused = revoke(session.tokens().await.access).await.expect_err("she is no administrator");
    assert_eq!(reason(&refused), Some(ErrorReason::RoleMissing));
    let his = company.sign_in(&admin).await.tokens().await.access;
    company.me(&his).await.expect("he is here");
    revoke(his).await.expect("he is an administrator");
    company.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_from_one_to_another_and_streams_outlive_their_first_tokens() {
    let company = Company::open().await;
    company.admin().await.set(&json!({ "accessTokenLifespan": 8 })).await.expect("short tokens");
    let (ann, bob) = (company.employee("ann", &[]).await, company.employee("bob", &[]).await);
    let (anns, bobs) = (company.sign_in(&ann).await, company.sign_in(&bob).await);
    let (on_anns, on_bobs) = (company.device(&anns).await, company.device(&bobs).await);
    live(&on_anns).await;
    live(&on_bobs).await;
    let bob_id = company.me(&bobs.tokens().await.access).await.expect("a profile").id;
    let room = NewRoom { name: "plans".to_owned(), members: vec![bob_id], ..NewRoom::default() };
    let room_id = on_anns.create_room(room).await.expect("a room");
    on_bobs.set_focus([room_id.clone()]);
    // Longer than three tokens live.
    for n in 0..5 {
        on_anns.send(&room_id, format!("message {n}")).await.expect("in the outbox");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let texts = async || {
        let store = on_bobs.snapshot().await.ok()?;
        let room = store.rooms.get(&room_id)?;
        let texts: Vec<_> = room.messages.values().filter_map(|message| Some(message.body.clone()?.text)).collect();
        (texts.len() >= 5).then_some(texts)
    };
    let texts = eventually("all five are there", texts).await;
    assert_eq!(texts, (0..5).map(|n| format!("message {n}")).collect::<Vec<_>>());
    assert!(anns.renewed() >= 2 && bobs.renewed() >= 2, "{} and {} renewals", anns.renewed(), bobs.renewed());
    company.admin().await.set(&json!({ "accessTokenLifespan": 300 })).await.expect("as before");
    company.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_at_keycloak_ends_the_sessions_stream_at_once_and_no_other_persons() {
    let company = Company::open().await;
    let (ann, bob) = (company.employee("ann", &[]).await, company.employee("bob", &[]).await);
    let (anns, bobs) = (company.sign_in(&ann).await, company.sign_in(&bob).await);
    let (on_anns, on_bobs) = (company.device(&anns).await, company.device(&bobs).await);
    live(&on_anns).await;
    live(&on_bobs).await;
    company.browser().sign_out(&anns.tokens().await).await.expect("signed out");
    let said = Instant::now();
    assert_eq!(ended(&on_anns).await, ClientErrorKind::Unauthenticated);
    assert!(said.elapsed() < AT_ONCE, "{:?} after Keycloak had answered", said.elapsed());
    let refused = company.me(&anns.tokens().await.access).await.expect_err("its token is of no use");
    assert_eq!(reason(&refused), Some(ErrorReason::SessionRevoked));
    live(&on_bobs).await;
    company.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_persons_devices_are_out_when_keycloak_names_one_of_their_sessions() {
    let company = Company::open().await;
    let ann = company.employee("ann", &[]).await;
    let mut devices = Vec::new();
    for _ in 0..3 {
        let session = company.sign_in(&ann).await;
        devices.push(company.device(&session).await);
    }
    for device in &devices {
        live(device).await;
    }
    // Tokens say whole seconds: the end is of a later one.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    company.admin().await.log_out(&ann.subject).await.expect("logged out");
    let said = Instant::now();
    for device in &devices {
        eventually("the stream ends", async || (device.state() != ConnectionState::Live).then_some(())).await;
    }
    assert!(said.elapsed() < AT_ONCE, "{:?} after Keycloak had answered", said.elapsed());
    for device in &devices {
        assert_eq!(ended(device).await, ClientErrorKind::Unauthenticated);
    }
    // Back again, on one of them.
    let again = company.device(&company.sign_in(&ann).await).await;
    live(&again).await;
    company.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_taken_without_a_restart_and_older_tokens_stay_good() {
    let company = Company::open().await;
    let ann = company.employee("ann", &[]).await;
    let session = company.sign_in(&ann).await;
    let old = session.tokens().await.access;
    company.me(&old).await.expect("with the old key");
    company.admin().await.add_key().await.expect("a key");
    let new = company.sign_in(&ann).await.tokens().await.access;
    let header = |token: &str| token.split('.').next().map(str::to_owned);
    assert_ne!(header(&old), header(&new), "Keycloak signs with the new key");
    company.me(&new).await.expect("with the new key");
    company.me(&old).await.expect("with the old key");
    company.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_was_disabled_is_out_when_the_token_ends() {
    let company = Company::open().await;
    company.admin().await.set(&json!({ "accessTokenLifespan": 5 })).await.expect("short tokens");
    let ann = company.employee("ann", &[]).await;
    let session = company.sign_in(&ann).await;
    let device = company.device(&session).await;
    live(&device).await;
    company.admin().await.enable(&ann.subject, false).await.expect("disabled");
    let refused = company.browser().sign_in(&ann.person.login, PASSWORD).await.expect_err("Keycloak lets nobody in");
    assert!(format!("{refused:#}").contains("not signed in"), "{refused:#}");
    let look = async || match device.state() {
        ConnectionState::Ended { .. } | ConnectionState::SignedOut => Some(()),
        _ => None,
    };
    tokio::time::timeout(Duration::from_mins(1), async {
        while look().await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("out with the token");
    company.admin().await.set(&json!({ "accessTokenLifespan": 300 })).await.expect("as before");
    company.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_another_realm_of_another_audience_and_id_tokens_open_nothing() {
    let company = Company::open().await;
    let ann = company.employee("ann", &[]).await;
    let session = company.sign_in(&ann).await;
    let refusal = async |token: &str| reason(&company.me(token).await.expect_err("refused"));
    assert_eq!(refusal(company.admin().await.token()).await, Some(ErrorReason::TokenInvalid), "another realm");
    assert_eq!(refusal(&session.tokens().await.id).await, Some(ErrorReason::TokenInvalid), "an ID token");
    assert_eq!(refusal(&session.tokens().await.refresh).await, Some(ErrorReason::TokenInvalid), "a refresh token");
    let other = json!({ "clientId": "payroll", "publicClient": true, "directAccessGrantsEnabled": true });
    company.admin().await.add_client(&other).await.expect("a client that knows nothing of Madang");
    let token = company.browser().of_client("payroll", &ann.person.login, PASSWORD).await.expect("a token");
    assert_eq!(refusal(&token).await, Some(ErrorReason::TokenInvalid), "another audience");
    company.me(&session.tokens().await.access).await.expect("the right one");
    company.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_lock_the_account_and_the_right_one_does_not_open_it() {
    let company = Company::open().await;
    let ann = company.employee("ann", &[]).await;
    let browser = company.browser();
    browser.sign_in(&ann.person.login, PASSWORD).await.expect("the right one");
    for _ in 0..5 {
        browser.sign_in(&ann.person.login, "a wrong one, again").await.expect_err("a wrong one");
    }
    browser.sign_in(&ann.person.login, PASSWORD).await.expect_err("locked");
    company.world.end().await;
}
