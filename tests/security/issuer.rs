//! The issuer's keys: they change, and the issuer goes away, without anybody who may come in being kept out.

use std::{sync::Arc, time::Duration};

use madang_devstack::issuer::{Issuer, IssuerConfig};
use madang_proto::v1::{self, ErrorReason};
use madang_server::app::{App, Running};
use madang_tests::World;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::Code;

use crate::raw::{Answer, Caller, Wire};

/// A server with an issuer of its own, which may be disturbed.
struct Own {
    world: World,
    issuer: Issuer,
    server: Running,
    wire: Wire,
}

impl Own {
    async fn start() -> Self {
        let issuer = Issuer::start(IssuerConfig::default()).await.expect("an issuer");
        Self::with(issuer).await
    }

    async fn with(issuer: Issuer) -> Self {
        let world = World::new().await;
        let mut config = world.server_config();
        issuer.url().clone_into(&mut config.issuer);
        config.device_sessions_per_person = 1_000;
        let server = App::start(config, Arc::clone(&world.clock) as _).await.expect("a server");
        let wire = Wire::to(&format!("http://{}", server.grpc));
        Self { world, issuer, server, wire }
    }

    async fn me(&self, token: &str) -> Answer {
        self.wire.ask(&Caller::new(token), "/madang.v1.IdentityService/GetMe", &v1::GetMeRequest {}).await
    }

    async fn is_let_in(&self, token: &str) {
        let answer = self.me(token).await;
        assert_eq!(answer.code(), Code::Ok, "{answer:?}");
    }

    async fn is_refused(&self, token: &str, reason: ErrorReason, check: &str) {
        let answer = self.me(token).await;
        let refusal = answer.refusal();
        let named = refusal.metadata.get("check").map(String::as_str).unwrap_or_default();
        assert_eq!((refusal.reason, named), (reason, check), "{refusal:?}");
    }

    /// A good token, good for a day.
    fn token(&self) -> String {
        let token = self.issuer.token_with("ann", |claims, _| {
            claims["exp"] = json!(claims["iat"].as_i64().expect("a time") + 86_400);
        });
        token.expect("a token")
    }

    /// A token that names a key which nobody has.
    fn strange(&self, key: &str) -> String {
        self.issuer.token_with("ann", |_, header| header["kid"] = json!(key)).expect("a token")
    }

    /// Lets the time pass after which an unknown key may be asked for again.
    fn wait(&self) {
        self.world.clock.advance(Duration::from_secs(11));
    }

    async fn end(self) {
        self.server.shutdown().await;
        self.world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_without_a_restart_and_old_tokens_stay_good_while_their_key_is_published() {
    let own = Own::start().await;
    let old = own.token();
    own.is_let_in(&old).await;
    for _ in 0..2 {
        own.wait();
        own.issuer.rotate_keys().await.expect("a new key");
        own.is_let_in(&own.token()).await;
        own.is_let_in(&old).await;
    }
    own.issuer.forget_old_keys();
    // Keys are looked at anew after five minutes, behind the back of whoever calls then.
    own.world.clock.advance(Duration::from_mins(6));
    own.is_let_in(&own.token()).await;
    madang_tests::world::eventually("the withdrawn key is forgotten", async || {
        (own.me(&old).await.code() == Code::Unauthenticated).then_some(())
    })
    .await;
    own.wait();
    own.is_refused(&old, ErrorReason::TokenInvalid, "kid").await;
    own.is_let_in(&own.token()).await;
    own.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_are_asked_for_at_most_once_in_ten_seconds_however_many_are_named() {
    let own = Arc::new(Own::start().await);
    own.is_let_in(&own.token()).await;
    own.wait();
    for round in 0..3 {
        let before = own.issuer.key_fetches();
        let mut calls = JoinSet::new();
        for n in 0..50 {
            let own = Arc::clone(&own);
            let token = own.strange(&format!("nobody's {round} {n}"));
            calls.spawn(async move { own.is_refused(&token, ErrorReason::TokenInvalid, "kid").await });
        }
        while let Some(call) = calls.join_next().await {
            call.expect("refused");
        }
        assert_eq!(own.issuer.key_fetches() - before, 1, "round {round}");
        // Four seconds are not enough; the rest of the ten is left to a machine that is slow.
        own.world.clock.advance(Duration::from_secs(4));
        own.is_refused(&own.strange("nobody's once more"), ErrorReason::TokenInvalid, "kid").await;
        assert_eq!(own.issuer.key_fetches() - before, 1, "round {round}");
        own.is_let_in(&own.token()).await;
        own.world.clock.advance(Duration::from_secs(7));
    }
    Arc::into_inner(own).expect("all calls have ended").end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_away_keeps_out_nobody_whose_key_is_known() {
    let own = Own::start().await;
    own.is_let_in(&own.token()).await;
    own.issuer.pause();
    own.is_let_in(&own.token()).await;
    own.wait();
    own.issuer.rotate_keys().await.expect("a new key");
    let (new, before) = (own.token(), own.issuer.key_fetches());
    own.is_refused(&new, ErrorReason::TokenInvalid, "kid").await;
    assert_eq!(own.issuer.key_fetches(), before, "nobody answered");
    // Long after the keys are due to be looked at.
    own.world.clock.advance(Duration::from_hours(2));
    own.is_refused(&new, ErrorReason::TokenInvalid, "kid").await;
    own.issuer.resume();
    own.wait();
    own.is_let_in(&new).await;
    own.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_saw_the_issuer_says_so_and_serves_as_soon_as_it_does() {
    let issuer = Issuer::start(IssuerConfig::default()).await.expect("an issuer");
    issuer.pause();
    let own = Own::with(issuer).await;
    let token = own.token();
    for _ in 0..3 {
        let answer = own.me(&token).await;
        answer.is_refused(ErrorReason::IssuerUnavailable, "no key is known");
        own.world.clock.advance(Duration::from_secs(2));
    }
    // What needs no key needs no issuer.
    let info = own.wire.call(crate::raw::Call::to("/madang.v1.IdentityService/GetServerInfo", &[])).await;
    assert_eq!(info.code(), Code::Ok, "{info:?}");
    own.is_refused("nonsense", ErrorReason::TokenInvalid, "form").await;
    own.issuer.resume();
    own.world.clock.advance(Duration::from_secs(2));
    own.is_let_in(&token).await;
    own.end().await;
}

/// A clock that is wrong by more than the leeway makes tokens of the future.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_may_differ_by_half_a_minute_and_no_more() {
    let own = Own::start().await;
    for (seconds, good) in [(20, true), (-20, true), (45, false)] {
        own.issuer.set_clock_offset(seconds);
        let token = own.issuer.token("bob").expect("a token");
        if good {
            own.is_let_in(&token).await;
        } else {
            own.is_refused(&token, ErrorReason::TokenInvalid, "iat").await;
        }
    }
    own.issuer.set_clock_offset(-(300 + 20));
    own.is_let_in(&own.issuer.token("bob").expect("a token")).await;
    own.issuer.set_clock_offset(-(300 + 45));
    own.is_refused(&own.issuer.token("bob").expect("a token"), ErrorReason::TokenExpired, "").await;
    own.end().await;
}
