//! Each check of a token, against a small issuer with keys of its own.

use std::{
    convert::Infallible,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use p256::pkcs8::EncodePrivateKey as _;
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey as _, traits::PublicKeyParts as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
struct StillClock(AtomicUsize);

impl StillClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(usize::try_from(by.as_secs()).expect("a short time"), Ordering::Relaxed);
    }
}

impl Clock for StillClock {
    fn now(&self) -> DateTime<Utc> {
        let seconds = i64::try_from(self.0.load(Ordering::Relaxed)).expect("a short time");
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }
}

/// Making an RSA key is slow.
static RSA: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key"));

#[derive(Clone)]
struct TestKey {
    published: Value,
    private: EncodingKey,
}

fn rsa_key(kid: &str) -> TestKey {
    let der = RSA.to_pkcs1_der().expect("der");
    let (n, e) = (URL_SAFE_NO_PAD.encode(RSA.n().to_bytes_be()), URL_SAFE_NO_PAD.encode(RSA.e().to_bytes_be()));
    let published = json!({ "kid": kid, "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": e });
    TestKey { published, private: EncodingKey::from_rsa_der(der.as_bytes()) }
}

fn ec_key(kid: &str, seed: u8) -> TestKey {
    let secret = p256::SecretKey::from_slice(&[seed; 32]).expect("a scalar");
    let point = p256::ecdsa::SigningKey::from(&secret).verifying_key().to_encoded_point(false);
    let (x, y) = (point.x().map(|x| URL_SAFE_NO_PAD.encode(x)), point.y().map(|y| URL_SAFE_NO_PAD.encode(y)));
    let published = json!({ "kid": kid, "kty": "EC", "crv": "P-256", "use": "sig", "x": x, "y": y });
    let der = secret.to_pkcs8_der().expect("der");
    TestKey { published, private: EncodingKey::from_ec_der(der.as_bytes()) }
}

/// An issuer that counts how often it was asked for its keys.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    clock: Arc<StillClock>,
}

impl Issuer {
    async fn start(keys: &[&TestKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::serve(listener, keys)
    }

    fn serve(listener: TcpListener, keys: &[&TestKey]) -> Self {
        let url = format!("http://{}/realms/test", listener.local_addr().expect("an address"));
        let keys = Arc::new(Mutex::new(keys.iter().map(|key| key.published.clone()).collect::<Vec<_>>()));
        let asked = Arc::new(AtomicUsize::new(0));
        let issuer = Self { url, keys, asked, clock: Arc::default() };
        tokio::spawn(serve(listener, issuer.url.clone(), Arc::clone(&issuer.keys), Arc::clone(&issuer.asked)));
        issuer
    }

    fn config(&self) -> Config {
        Config { issuer: self.url.clone(), ..Config::default() }
    }

    fn identity(&self, config: &Config) -> Identity {
        Identity::new(config, Arc::clone(&self.clock) as Arc<dyn Clock>).expect("a client")
    }

    fn publish(&self, keys: &[&TestKey]) {
        *self.keys.lock().expect("not poisoned") = keys.iter().map(|key| key.published.clone()).collect();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn claims(&self) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": self.url, "aud": ["account", "madang"], "azp": "madang-app", "sub": "ann-subject", "typ": "Bearer",
            "sid": "session", "iat": now, "exp": now + 300, "preferred_username": "ann", "name": "Ann Kim",
            "email": "ann@example.org", "employee_no": "7", "realm_access": { "roles": ["USER", "offline_access"] },
        })
    }

    /// The claims with one field set, or taken out by null.
    fn with(&self, field: &str, value: Value) -> Value {
        let mut claims = self.claims();
        let fields = claims.as_object_mut().expect("an object");
        if value.is_null() {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), value);
        }
        claims
    }
}

async fn serve(listener: TcpListener, url: String, keys: Arc<Mutex<Vec<Value>>>, asked: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (url, keys, asked) = (url.clone(), Arc::clone(&keys), Arc::clone(&asked));
        tokio::spawn(async move {
            let service = service_fn(move |request: http::Request<Incoming>| {
                let body = if request.uri().path().ends_with("/certs") {
                    asked.fetch_add(1, Ordering::Relaxed);
                    json!({ "keys": *keys.lock().expect("not poisoned") })
                } else {
                    json!({ "issuer": url, "jwks_uri": format!("{url}/certs") })
                };
                async move { Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(body.to_string())))) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn sign(header: &Value, claims: &Value, key: &TestKey, algorithm: Algorithm) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = crypto::sign(signed.as_bytes(), &key.private, algorithm).expect("a signature");
    format!("{signed}.{signature}")
}

fn header(key: &TestKey) -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": key.published["kid"] })
}

fn token(claims: &Value, key: &TestKey) -> String {
    sign(&header(key), claims, key, Algorithm::RS256)
}

fn es_token(claims: &Value, key: &TestKey) -> String {
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": key.published["kid"] });
    sign(&header, claims, key, Algorithm::ES256)
}

async fn check_of(identity: &Identity, token: &str) -> String {
    match identity.verify(token).await {
        Ok(_) => "taken".to_owned(),
        Err(error) => {
            let refusal = error.into_refusal();
            refusal.metadata.get("check").cloned().unwrap_or_else(|| refusal.reason.rule().name.to_owned())
        }
    }
}

#[tokio::test]
async fn a_right_token_says_who_calls() {
    let key = rsa_key("a");
    let issuer = Issuer::start(&[&key]).await;
    let claims = issuer.identity(&issuer.config()).verify(&token(&issuer.claims(), &key)).await.expect("right");
    assert_eq!((claims.subject.as_str(), claims.sid.as_str()), ("ann-subject", "session"));
    assert_eq!((claims.login.as_str(), claims.name.as_str()), ("ann", "Ann Kim"));
    assert_eq!(claims.roles, [Role::User]);
    assert_eq!(claims.expires_at - claims.issued_at, chrono::TimeDelta::seconds(300));
}

#[tokio::test]
async fn every_claim_is_checked_by_type_and_value() {
    let key = ec_key("a", 7);
    let issuer = Issuer::start(&[&key]).await;
    let identity = issuer.identity(&issuer.config());
    let now = issuer.clock.now().timestamp();
    let cases = [
        ("iss", json!("https://evil.example"), "iss"),
        ("iss", json!([issuer.url]), "iss"),
        ("iss", Value::Null, "iss"),
        ("aud", json!("account"), "aud"),
        ("aud", json!(["account"]), "aud"),
        ("aud", json!({ "madang": true }), "aud"),
        ("aud", json!(7), "aud"),
        ("aud", Value::Null, "aud"),
        ("aud", json!("madang"), "taken"),
        ("typ", json!("ID"), "token_type"),
        ("typ", json!("Refresh"), "token_type"),
        ("typ", json!("Logout"), "token_type"),
        ("typ", json!(["Bearer"]), "token_type"),
        ("typ", Value::Null, "taken"),
        ("sub", Value::Null, "sub"),
        ("sub", json!(""), "sub"),
        ("sub", json!(7), "sub"),
        ("sub", json!("a\u{0}b"), "sub"),
        ("sub", json!("a".repeat(256)), "sub"),
        ("sub", json!("a".repeat(255)), "taken"),
        ("sid", json!("a\u{7}"), "sid"),
        ("sid", Value::Null, "taken"),
        ("exp", Value::Null, "exp"),
        ("exp", json!("tomorrow"), "exp"),
        ("exp", json!(1e300), "exp"),
        ("exp", json!(-1), "exp"),
        ("exp", json!(now + 10), "taken"),
        ("exp", json!(now - 29), "taken"),
        ("exp", json!(now - 31), "TOKEN_EXPIRED"),
        ("nbf", json!(now + 25), "taken"),
        ("nbf", json!(now + 60), "nbf"),
        ("nbf", json!([now]), "nbf"),
        ("iat", Value::Null, "iat"),
        ("iat", json!(now + 60), "iat"),
        ("iat", json!(f64::from(u32::try_from(now).expect("now")) + 0.5), "taken"),
    ];
    for (field, value, expected) in cases {
        let found = check_of(&identity, &es_token(&issuer.with(field, value.clone()), &key)).await;
        assert_eq!(found, expected, "{field} = {value}");
    }
}

#[tokio::test]
async fn only_clients_of_the_list_are_taken_when_there_is_one() {
    let key = ec_key("a", 7);
    let issuer = Issuer::start(&[&key]).await;
    let identity = issuer.identity(&Config { allowed_clients: vec!["madang-app".into()], ..issuer.config() });
    assert_eq!(check_of(&identity, &es_token(&issuer.claims(), &key)).await, "taken");
    assert_eq!(check_of(&identity, &es_token(&issuer.with("azp", json!("other")), &key)).await, "azp");
    assert_eq!(check_of(&identity, &es_token(&issuer.with("azp", Value::Null), &key)).await, "azp");
}

#[tokio::test]
async fn the_header_and_the_signature_are_checked() {
    let (key, stranger, rsa) = (ec_key("a", 7), ec_key("a", 8), rsa_key("rsa"));
    let mut encryption = rsa_key("encryption");
    encryption.published["use"] = json!("enc");
    let issuer = Issuer::start(&[&key, &encryption, &rsa]).await;
    let identity = issuer.identity(&issuer.config());
    let claims = issuer.claims();
    let headed = |header: Value| sign(&header, &claims, &key, Algorithm::ES256);
    let (head, rest) =
        (URL_SAFE_NO_PAD.encode(br#"{"alg":"none","kid":"a"}"#), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let hmac = TestKey { published: Value::Null, private: EncodingKey::from_secret(b"public key") };
    let tampered = es_token(&claims, &key).replacen('.', ".A", 1);
    for (token, expected) in [
        (es_token(&claims, &key), "taken"),
        (es_token(&claims, &stranger), "signature"),
        (tampered, "signature"),
        (format!("{head}.{rest}."), "alg"),
        (sign(&json!({ "alg": "HS256", "kid": "a" }), &claims, &hmac, Algorithm::HS256), "alg"),
        (sign(&json!({ "alg": "RS256", "kid": "a" }), &claims, &rsa, Algorithm::RS256), "alg"),
        (headed(json!({ "alg": "ES256", "kid": "rsa" })), "alg"),
        (headed(json!({ "alg": "ES256" })), "kid"),
        (headed(json!({ "alg": "ES256", "kid": 1 })), "kid"),
        (sign(&json!({ "alg": "RS256", "kid": "encryption" }), &claims, &rsa, Algorithm::RS256), "kid"),
        (headed(json!({ "alg": "ES256", "kid": "a", "crit": ["exp"] })), "crit"),
        (headed(json!({ "alg": "ES256", "kid": "a", "typ": "logout+jwt" })), "typ"),
        (headed(json!({ "alg": "ES256", "kid": "a", "typ": "at+jwt" })), "taken"),
        ("a.b".to_owned(), "form"),
        ("a.b.c".to_owned(), "form"),
        (String::new(), "form"),
        ("a".repeat(8 * 1024 + 1), "length"),
    ] {
        assert_eq!(check_of(&identity, &token).await, expected, "{token}");
    }
}

/// A key of another kind than the two above, by the other implementation's form of it.
fn key_of(algorithm: Algorithm) -> TestKey {
    let random = ring::rand::SystemRandom::new();
    let name = format!("{algorithm:?}");
    match algorithm {
        Algorithm::ES256 => ec_key(&name, 7),
        Algorithm::ES384 => {
            let how = &ring::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
            let der = ring::signature::EcdsaKeyPair::generate_pkcs8(how, &random).expect("a key");
            let pair = ring::signature::EcdsaKeyPair::from_pkcs8(how, der.as_ref(), &random).expect("a pair");
            let (x, y) = ring::signature::KeyPair::public_key(&pair).as_ref()[1..].split_at(48);
            let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
            let published = json!({ "kid": name, "kty": "EC", "crv": "P-384", "use": "sig", "x": x, "y": y });
            TestKey { published, private: EncodingKey::from_ec_der(der.as_ref()) }
        }
        Algorithm::EdDSA => {
            let der = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
            let pair = ring::signature::Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("a pair");
            let x = URL_SAFE_NO_PAD.encode(ring::signature::KeyPair::public_key(&pair).as_ref());
            let published = json!({ "kid": name, "kty": "OKP", "crv": "Ed25519", "use": "sig", "x": x });
            TestKey { published, private: EncodingKey::from_ed_der(der.as_ref()) }
        }
        _ => {
            let mut key = rsa_key(&name);
            key.published["alg"] = json!(name);
            key
        }
    }
}

#[tokio::test]
async fn signatures_of_every_algorithm_are_checked_as_another_implementation_makes_them() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, RS256, RS384, RS512};
    let algorithms = [RS256, RS384, RS512, PS256, ES256, ES384, EdDSA];
    let mut keys: Vec<TestKey> = algorithms.into_iter().map(key_of).collect();
    // As some issuers write it.
    let modulus = [vec![0], RSA.n().to_bytes_be()].concat();
    keys[0].published["n"] = json!(URL_SAFE_NO_PAD.encode(modulus));
    let issuer = Issuer::start(&keys.iter().collect::<Vec<_>>()).await;
    let identity = issuer.identity(&issuer.config());
    for (algorithm, key) in algorithms.into_iter().zip(&keys) {
        let header = json!({ "alg": key.published["kid"], "kid": key.published["kid"] });
        let token = sign(&header, &issuer.claims(), key, algorithm);
        assert_eq!(check_of(&identity, &token).await, "taken", "{algorithm:?}");
        let (signed, _) = token.rsplit_once('.').expect("three parts");
        let other = sign(&header, &issuer.with("sub", json!("bob")), key, algorithm);
        let (_, signature) = other.rsplit_once('.').expect("three parts");
        assert_eq!(check_of(&identity, &format!("{signed}.{signature}")).await, "signature", "{algorithm:?}");
        assert_eq!(check_of(&identity, &format!("{signed}.")).await, "signature", "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_remembered_token_still_expires() {
    let key = ec_key("a", 7);
    let issuer = Issuer::start(&[&key]).await;
    let (identity, token) = (issuer.identity(&issuer.config()), es_token(&issuer.claims(), &key));
    assert_eq!(check_of(&identity, &token).await, "taken");
    issuer.clock.advance(Duration::from_secs(329));
    assert_eq!(check_of(&identity, &token).await, "taken");
    issuer.clock.advance(Duration::from_secs(2));
    assert_eq!(check_of(&identity, &token).await, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_new_key_is_fetched_at_most_once_in_ten_seconds_and_by_one_for_all() {
    let (old, new) = (ec_key("old", 7), ec_key("new", 8));
    let issuer = Issuer::start(&[&old]).await;
    let identity = Arc::new(issuer.identity(&issuer.config()));
    assert_eq!(check_of(&identity, &es_token(&issuer.claims(), &old)).await, "taken");
    let by_new = es_token(&issuer.claims(), &new);
    assert_eq!((check_of(&identity, &by_new).await.as_str(), issuer.asked()), ("kid", 2));
    issuer.publish(&[&old, &new]);
    assert_eq!((check_of(&identity, &by_new).await.as_str(), issuer.asked()), ("kid", 2));
    issuer.clock.advance(Duration::from_secs(11));
    let calls: Vec<_> = (0..20).map(|_| (Arc::clone(&identity), by_new.clone())).collect();
    let calls = calls.into_iter().map(|(identity, token)| async move { check_of(&identity, &token).await });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer == "taken"), "{answers:?}");
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn the_first_callers_share_one_fetch() {
    let key = ec_key("a", 7);
    let issuer = Issuer::start(&[&key]).await;
    let (identity, token) = (issuer.identity(&issuer.config()), es_token(&issuer.claims(), &key));
    let answers = futures_util::future::join_all((0..20).map(|_| check_of(&identity, &token))).await;
    assert!(answers.iter().all(|answer| answer == "taken"), "{answers:?}");
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_withdrawn_key_is_not_believed_for_long_not_even_for_remembered_tokens() {
    let (old, new) = (ec_key("old", 7), ec_key("new", 8));
    let issuer = Issuer::start(&[&old, &new]).await;
    let identity = issuer.identity(&issuer.config());
    let mut claims = issuer.claims();
    claims["exp"] = json!(issuer.clock.now().timestamp() + 3600);
    let by_old = es_token(&claims, &old);
    assert_eq!(check_of(&identity, &by_old).await, "taken");
    issuer.publish(&[&new]);
    issuer.clock.advance(Duration::from_mins(6));
    // The first call only begins the refresh, in the background.
    let refreshed = async {
        while check_of(&identity, &by_old).await == "taken" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refreshed).await.expect("refused in the end");
    assert_eq!(check_of(&identity, &by_old).await, "kid");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_said_so_until_it_answers_and_known_keys_go_on() {
    let key = ec_key("a", 7);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let config = Config { issuer: format!("http://{address}/realms/test"), ..Config::default() };
    let clock: Arc<StillClock> = Arc::default();
    let identity = Identity::new(&config, Arc::clone(&clock) as Arc<dyn Clock>).expect("a client");
    let now = clock.now().timestamp();
    let claims = json!({ "iss": config.issuer, "aud": "madang", "sub": "s", "iat": now, "exp": now + 900 });
    let token = es_token(&claims, &key);
    assert_eq!(check_of(&identity, &token).await, "ISSUER_UNAVAILABLE");
    let issuer = Issuer::serve(TcpListener::bind(address).await.expect("the same port"), &[&key]);
    clock.advance(Duration::from_secs(2));
    assert_eq!(check_of(&identity, &token).await, "taken");
    issuer.publish(&[]);
    clock.advance(Duration::from_secs(20));
    assert_eq!(check_of(&identity, &token).await, "taken");
}

#[tokio::test]
async fn weak_unusable_and_strange_keys_are_skipped() {
    let key = ec_key("a", 7);
    let mut weak = rsa_key("weak");
    weak.published["n"] = json!(URL_SAFE_NO_PAD.encode([0xff_u8; 128]));
    let strange =
        TestKey { published: json!({ "kid": "x", "kty": "quantum", "use": "sig" }), private: key.private.clone() };
    let octets = TestKey {
        published: json!({ "kid": "o", "kty": "oct", "use": "sig", "k": "AAAA" }),
        private: key.private.clone(),
    };
    let issuer = Issuer::start(&[&weak, &strange, &octets, &key]).await;
    let identity = issuer.identity(&issuer.config());
    assert_eq!(check_of(&identity, &es_token(&issuer.claims(), &key)).await, "taken");
    assert_eq!(check_of(&identity, &token(&issuer.claims(), &weak)).await, "kid");
}
