//! The issuer as clients and servers see it: over HTTP.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use madang_devstack::issuer::{CLIENT_ID, Issuer, IssuerConfig, Person};
use reqwest::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};

const CALLBACK: &str = "http://127.0.0.1:4711/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-letters-0123";

struct Caller {
    http: reqwest::Client,
    realm: String,
}

impl Caller {
    fn new(issuer: &Issuer) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, realm: issuer.url().to_owned() }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.realm)
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let answer = self.http.post(self.at(path)).form(form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    async fn token(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let client = [("client_id", CLIENT_ID)];
        self.post("/protocol/openid-connect/token", &[&client, form].concat()).await
    }

    async fn password(&self, login: &str, scope: &str) -> Value {
        let form = [("grant_type", "password"), ("username", login), ("password", login), ("scope", scope)];
        let (status, body) = self.token(&form).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    async fn refresh(&self, tokens: &Value) -> (StatusCode, Value) {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())])
            .await
    }

    async fn keys(&self) -> Value {
        self.http.get(self.at("/protocol/openid-connect/certs")).send().await.unwrap().json().await.unwrap()
    }

    /// What a careful server makes of a token.
    async fn claims(&self, token: &str, audience: &str) -> Result<Value, String> {
        let keys: JwkSet = serde_json::from_value(self.keys().await).unwrap();
        let kid = decode_header(token).map_err(|e| e.to_string())?.kid.ok_or("no kid")?;
        let key = DecodingKey::from_jwk(keys.find(&kid).ok_or("unknown kid")?).unwrap();
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&[audience]);
        rules.set_issuer(&[&self.realm]);
        decode::<Value>(token, &key, &rules).map(|data| data.claims).map_err(|e| e.to_string())
    }

    async fn login_page(&self, more: &[(&str, &str)]) -> reqwest::Response {
        let query = [&[("client_id", CLIENT_ID), ("response_type", "code"), ("redirect_uri", CALLBACK)], more].concat();
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let address = self.at(&format!("/protocol/openid-connect/auth?{}", query.join("&")));
        self.http.get(address).send().await.unwrap()
    }

    /// Signs ann in through the page and gives the code.
    async fn code(&self) -> String {
        let challenge = challenge();
        let asked = [("scope", "openid"), ("state", "s%20t"), ("nonce", "n1"), ("code_challenge", &challenge)];
        let page = self.login_page(&[&asked[..], &[("code_challenge_method", "S256")]].concat()).await;
        let page = page.text().await.unwrap();
        let attempt = page.split("name=\"attempt\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let form = |password| [("attempt", attempt), ("login", "ann"), ("password", password)];
        let path = self.at("/login-actions/authenticate");
        let wrong = self.http.post(&path).form(&form("wrong")).send().await.unwrap();
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
        assert!(wrong.text().await.unwrap().contains("role=\"alert\""));
        let answer = self.http.post(&path).form(&form("ann")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        let target = answer.headers()["location"].to_str().unwrap().to_owned();
        assert!(target.starts_with(CALLBACK) && target.contains("&state=s%20t&iss=http%3A%2F%2F127"), "{target}");
        target.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned()
    }

    async fn redeem(&self, code: &str, verifier: &str) -> (StatusCode, Value) {
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        self.token(&[&form[..], &[("code_verifier", verifier)]].concat()).await
    }

    async fn device(&self) -> Value {
        let challenge = challenge();
        let form = [("client_id", CLIENT_ID), ("code_challenge", &challenge), ("code_challenge_method", "S256")];
        self.post("/protocol/openid-connect/auth/device", &form).await.1
    }

    async fn poll(&self, device: &Value) -> Value {
        let code = device["device_code"].as_str().unwrap();
        let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
        self.token(&[grant, ("device_code", code), ("code_verifier", VERIFIER)]).await.1
    }

    async fn answer(&self, device: &Value, answer: &str) -> StatusCode {
        let code = device["user_code"].as_str().unwrap().to_lowercase();
        let form = [("user_code", code.as_str()), ("login", "bob"), ("password", "bob"), ("answer", answer)];
        self.post("/device", &form).await.0
    }
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

async fn issuer() -> (Issuer, Caller) {
    let issuer = Issuer::start(IssuerConfig::default()).await.unwrap();
    let caller = Caller::new(&issuer);
    (issuer, caller)
}

#[tokio::test]
async fn an_access_token_verifies_with_the_published_keys() {
    let (issuer, caller) = issuer().await;
    let tokens = caller.password("ann", "openid").await;
    let claims = caller.claims(tokens["access_token"].as_str().unwrap(), "madang").await.unwrap();
    assert_eq!(claims["typ"], "Bearer");
    assert_eq!(claims["azp"], CLIENT_ID);
    assert_eq!(claims["aud"], "madang");
    assert_eq!(claims["preferred_username"], "ann");
    assert_eq!(claims["name"], "Ann Kim");
    assert_eq!(claims["sid"], tokens["session_state"]);
    assert_eq!(claims["realm_access"]["roles"], serde_json::json!(["USER"]));
    assert_eq!(claims.get("nbf"), None);
    let id = caller.claims(tokens["id_token"].as_str().unwrap(), CLIENT_ID).await.unwrap();
    assert_eq!((&id["typ"], &id["sub"]), (&Value::from("ID"), &claims["sub"]));
    let array = caller.claims(&issuer.token("bob").unwrap(), "madang").await.unwrap();
    assert_eq!(array["aud"], serde_json::json!(["madang", "account"]));
    let keys = caller.keys().await;
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["use"] == "enc"));
    assert!(issuer.key_fetches() >= 3);
}

#[tokio::test]
async fn a_code_needs_its_verifier_and_works_once() {
    let (_issuer, caller) = issuer().await;
    for bad in ["", "another-verifier-of-at-least-forty-three-letters"] {
        let code = caller.code().await;
        let (status, body) = caller.redeem(&code, bad).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &Value::from("invalid_grant")));
        // The try has spent it.
        assert_eq!(caller.redeem(&code, VERIFIER).await.0, StatusCode::BAD_REQUEST);
    }
    let code = caller.code().await;
    let (status, tokens) = caller.redeem(&code, VERIFIER).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let id = caller.claims(tokens["id_token"].as_str().unwrap(), CLIENT_ID).await.unwrap();
    assert_eq!(id["nonce"], "n1");
    assert_eq!(caller.redeem(&code, VERIFIER).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn signing_in_without_pkce_is_refused() {
    let (_issuer, caller) = issuer().await;
    let plain = [("code_challenge", "x"), ("code_challenge_method", "plain")];
    for asked in [&[][..], &plain[..]] {
        let answer = caller.login_page(asked).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        let target = answer.headers()["location"].to_str().unwrap();
        assert!(target.starts_with(&format!("{CALLBACK}?error=invalid_request")), "{target}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_registered_gets_nothing() {
    let (_issuer, caller) = issuer().await;
    let address =
        "/protocol/openid-connect/auth?client_id=madang-app&response_type=code&redirect_uri=http://example.org/";
    let answer = caller.http.get(caller.at(address)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn a_second_use_of_a_refresh_token_ends_the_session() {
    let (_issuer, caller) = issuer().await;
    let first = caller.password("ann", "").await;
    let (status, second) = caller.refresh(&first).await;
    assert_eq!((status, &second["session_state"]), (StatusCode::OK, &first["session_state"]));
    let (status, body) = caller.refresh(&first).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["error_description"], "Maximum allowed refresh token reuse exceeded");
    assert_eq!(caller.refresh(&second).await.1["error_description"], "Session not active");
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_wins() {
    let (_issuer, caller) = issuer().await;
    let tokens = caller.password("ann", "").await;
    let (one, two) = tokio::join!(caller.refresh(&tokens), caller.refresh(&tokens));
    let good = [one.0, two.0].into_iter().filter(|status| *status == StatusCode::OK).count();
    assert!(good <= 1);
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let (_issuer, caller) = issuer().await;
    let tokens = caller.password("ann", "openid").await;
    let path = "/protocol/openid-connect/logout";
    let form = [("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    assert_eq!(caller.post(path, &form).await.0, StatusCode::NO_CONTENT);
    assert_eq!(caller.refresh(&tokens).await.0, StatusCode::BAD_REQUEST);
    let tokens = caller.password("ann", "openid").await;
    let hint = tokens["id_token"].as_str().unwrap();
    let query = format!("{path}?id_token_hint={hint}&post_logout_redirect_uri={CALLBACK}&state=x");
    let answer = caller.http.get(caller.at(&query)).send().await.unwrap();
    assert_eq!(answer.headers()["location"], format!("{CALLBACK}?state=x"));
    assert_eq!(caller.refresh(&tokens).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn after_a_rotation_old_tokens_stay_good_until_the_old_key_is_forgotten() {
    let (issuer, caller) = issuer().await;
    let old = issuer.token("ann").unwrap();
    let answer = caller.http.post(format!("http://127.0.0.1:{}/dev/rotate", issuer.port())).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let new = issuer.token("ann").unwrap();
    assert_ne!(decode_header(&old).unwrap().kid, decode_header(&new).unwrap().kid);
    assert!(caller.claims(&old, "madang").await.is_ok());
    assert!(caller.claims(&new, "madang").await.is_ok());
    issuer.forget_old_keys();
    assert_eq!(caller.claims(&old, "madang").await, Err("unknown kid".to_owned()));
}

#[tokio::test]
async fn a_device_waits_until_somebody_signs_it_in() {
    let config = IssuerConfig { device_interval: Duration::ZERO, ..Default::default() };
    let issuer = Issuer::start(config).await.unwrap();
    let caller = Caller::new(&issuer);
    let device = caller.device().await;
    assert_eq!(caller.poll(&device).await["error"], "authorization_pending");
    assert_eq!(caller.answer(&device, "allow").await, StatusCode::OK);
    let tokens = caller.poll(&device).await;
    let claims = caller.claims(tokens["access_token"].as_str().unwrap(), "madang").await.unwrap();
    assert_eq!(claims["preferred_username"], "bob");
    assert_eq!(caller.poll(&device).await["error"], "invalid_grant");
    let refused = caller.device().await;
    assert_eq!(caller.answer(&refused, "deny").await, StatusCode::OK);
    assert_eq!(caller.poll(&refused).await["error"], "access_denied");
}

#[tokio::test]
async fn a_device_that_asks_too_often_or_too_late_is_told() {
    let (issuer, caller) = issuer().await;
    let device = caller.device().await;
    assert_eq!(caller.poll(&device).await["error"], "authorization_pending");
    assert_eq!(caller.poll(&device).await["error"], "slow_down");
    issuer.set_clock_offset(15);
    assert_eq!(caller.poll(&device).await["error"], "authorization_pending");
    issuer.set_clock_offset(700);
    assert_eq!(caller.poll(&device).await["error"], "expired_token");
}

#[tokio::test]
async fn sessions_keys_and_subjects_outlive_a_restart() {
    let folder = std::env::temp_dir().join(format!("madang-issuer-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = IssuerConfig { state_file: Some(folder.join("issuer.json")), ..Default::default() };
    let issuer = Issuer::start(config.clone()).await.unwrap();
    let (port, tokens) = (issuer.port(), issuer.session("ann").unwrap());
    issuer.stop().await.unwrap();
    let issuer = Issuer::start(IssuerConfig { port: Some(port), ..config }).await.unwrap();
    let caller = Caller::new(&issuer);
    let before = caller.claims(&tokens.access_token, "madang").await.unwrap();
    let next = issuer.refresh(&tokens.refresh_token).unwrap();
    let after = caller.claims(&next.access_token, "madang").await.unwrap();
    assert_eq!((&before["sub"], &before["sid"]), (&after["sub"], &after["sid"]));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn bad_tokens_of_every_kind_can_be_made() {
    let (issuer, caller) = issuer().await;
    let good = issuer.token_with("ann", |_, _| {}).unwrap();
    assert!(caller.claims(&good, "madang").await.is_ok());
    let none = issuer.token_with("ann", |_, header| header["alg"] = "none".into()).unwrap();
    assert!(none.ends_with('.'));
    let bad = [
        issuer.token_with("ann", |claims, _| claims["iss"] = "http://example.org".into()),
        issuer.token_with("ann", |claims, _| claims["aud"] = "account".into()),
        issuer.token_with("ann", |claims, _| claims["exp"] = 1.into()),
        issuer.token_with("ann", |_, header| header["alg"] = "HS256".into()),
        issuer.token_with("ann", |_, header| header["kid"] = "nobody".into()),
        issuer.token_by_stranger("ann", |_, _| {}),
    ];
    for token in bad {
        let token = token.unwrap();
        assert!(caller.claims(&token, "madang").await.is_err(), "{token}");
    }
    issuer.set_clock_offset(-3600);
    assert!(caller.claims(&issuer.token("ann").unwrap(), "madang").await.is_err());
}

#[tokio::test]
async fn roles_and_people_change_from_the_next_token_on() {
    let (issuer, caller) = issuer().await;
    issuer.set_roles("ann", &["USER", "AUDITOR"]).unwrap();
    let claims = caller.claims(&issuer.token("ann").unwrap(), "madang").await.unwrap();
    assert_eq!(claims["realm_access"]["roles"], serde_json::json!(["USER", "AUDITOR"]));
    issuer.add_person(Person::new("eve", "Moon"));
    let tokens = issuer.session("eve").unwrap();
    issuer.remove_person("eve");
    assert!(issuer.refresh(&tokens.refresh_token).is_err());
    assert!(issuer.token("eve").is_err());
}

#[tokio::test]
async fn a_paused_issuer_cannot_be_reached_over_old_or_new_connections() {
    let (issuer, caller) = issuer().await;
    caller.keys().await;
    let certs = caller.at("/protocol/openid-connect/certs");
    issuer.pause();
    assert!(caller.http.get(&certs).send().await.is_err());
    assert!(caller.http.get(&certs).send().await.is_err());
    issuer.resume();
    caller.keys().await;
}

#[tokio::test]
async fn pages_of_this_machine_may_call_and_others_may_not() {
    let (_issuer, caller) = issuer().await;
    let certs = caller.at("/protocol/openid-connect/certs");
    for (origin, allowed) in [
        ("http://localhost:5173", true),
        ("http://127.0.0.1:80", true),
        ("http://localhost.example.org", false),
        ("https://example.org", false),
    ] {
        let answer = caller.http.get(&certs).header("origin", origin).send().await.unwrap();
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
}

#[tokio::test]
async fn a_form_that_is_too_large_is_refused() {
    let (_issuer, caller) = issuer().await;
    let long = "x".repeat(70 * 1024);
    let (status, body) = caller.token(&[("grant_type", "password"), ("username", &long)]).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &Value::from("invalid_request")));
}
