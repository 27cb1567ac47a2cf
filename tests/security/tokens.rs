//! Every kind of bad token that we could think of, each with the refusal it deserves.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use madang_devstack::issuer::Issuer;
use madang_proto::v1::ErrorReason;
use serde_json::{Value, json};

use ErrorReason::{TokenExpired, TokenInvalid, TokenMissing};

/// A token that must be refused, why, and which check the refusal names.
#[derive(Debug, Clone)]
pub struct Bad {
    pub kind: &'static str,
    pub token: String,
    pub reason: ErrorReason,
    pub check: &'static str,
}

/// What is changed before a token is signed: its claims and its header.
type Edit = fn(&mut Value, &mut Value);

/// Claims and headers that must not pass although the issuer's own key signed them.
const EDITS: &[(&str, &str, Edit)] = &[
    ("another issuer", "iss", |claims, _| claims["iss"] = json!("http://127.0.0.1:1/realms/other")),
    ("the issuer with a slash more", "iss", |claims, _| claims["iss"] = json!(format!("{}/", text(&claims["iss"])))),
    ("the issuer in a list", "iss", |claims, _| claims["iss"] = json!([claims["iss"].clone()])),
    ("a number for an issuer", "iss", |claims, _| claims["iss"] = json!(1)),
    ("no issuer", "iss", |claims, _| remove(claims, "iss")),
    ("no audience", "aud", |claims, _| remove(claims, "aud")),
    ("another audience", "aud", |claims, _| claims["aud"] = json!("account")),
    ("other audiences", "aud", |claims, _| claims["aud"] = json!(["account", "madang2", 7])),
    ("a number for an audience", "aud", |claims, _| claims["aud"] = json!(7)),
    ("an audience as a key", "aud", |claims, _| claims["aud"] = json!({"madang": true})),
    ("the audience in capitals", "aud", |claims, _| claims["aud"] = json!("MADANG")),
    ("a client that is not allowed", "azp", |claims, _| claims["azp"] = json!("another-app")),
    ("no client", "azp", |claims, _| remove(claims, "azp")),
    ("clients in a list", "azp", |claims, _| claims["azp"] = json!([claims["azp"].clone()])),
    ("an end as a text", "exp", |claims, _| claims["exp"] = json!(claims["exp"].to_string())),
    ("no end", "exp", |claims, _| remove(claims, "exp")),
    ("an end that is null", "exp", |claims, _| claims["exp"] = Value::Null),
    ("an end before time", "exp", |claims, _| claims["exp"] = json!(-1)),
    ("an end after all time", "exp", |claims, _| claims["exp"] = json!(1e300)),
    ("valid in an hour", "nbf", |claims, _| claims["nbf"] = json!(number(&claims["iat"]) + 3600)),
    ("valid from a text", "nbf", |claims, _| claims["nbf"] = json!("0")),
    ("issued in an hour", "iat", |claims, _| claims["iat"] = json!(number(&claims["iat"]) + 3600)),
    ("never issued", "iat", |claims, _| remove(claims, "iat")),
    ("no subject", "sub", |claims, _| remove(claims, "sub")),
    ("an empty subject", "sub", |claims, _| claims["sub"] = json!("")),
    ("a number for a subject", "sub", |claims, _| claims["sub"] = json!(42)),
    ("a subject with NUL", "sub", |claims, _| claims["sub"] = json!("ann\u{0}")),
    ("a subject without end", "sub", |claims, _| claims["sub"] = json!("a".repeat(256))),
    ("a session with NUL", "sid", |claims, _| claims["sid"] = json!("s\u{0}")),
    ("an ID token", "token_type", |claims, _| claims["typ"] = json!("ID")),
    ("a refresh token", "token_type", |claims, _| claims["typ"] = json!("Refresh")),
    ("a logout token", "token_type", |claims, _| claims["typ"] = json!("Logout")),
    ("a list of types", "token_type", |claims, _| claims["typ"] = json!(["Bearer"])),
    ("a logout token by its header", "typ", |_, header| header["typ"] = json!("logout+jwt")),
    ("an encrypted token by its header", "typ", |_, header| header["typ"] = json!("JWE")),
    ("a critical field", "crit", |_, header| header["crit"] = json!(["exp"])),
    ("no signature at all", "alg", |_, header| header["alg"] = json!("none")),
    ("the public key as a secret", "alg", |_, header| header["alg"] = json!("HS256")),
    ("another algorithm of the same key", "alg", |_, header| header["alg"] = json!("PS256")),
    ("a longer hash than the key is for", "alg", |_, header| header["alg"] = json!("RS512")),
    ("a key that nobody knows", "kid", |_, header| header["kid"] = json!("nobody")),
    ("no key named", "kid", |_, header| remove(header, "kid")),
    ("a number for a key", "kid", |_, header| header["kid"] = json!(1)),
];

fn remove(object: &mut Value, name: &str) {
    object.as_object_mut().expect("claims are an object").remove(name);
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

/// All of them, for one person. The server must be told which clients are allowed.
pub fn bad(issuer: &Issuer, login: &str) -> Vec<Bad> {
    let invalid = |kind, check, token| Bad { kind, token, reason: TokenInvalid, check };
    let edited = |edit: Edit| issuer.token_with(login, edit).expect("a token");
    let mut all: Vec<Bad> = EDITS.iter().map(|(kind, check, edit)| invalid(kind, check, edited(*edit))).collect();
    let expired = edited(|claims, _| claims["exp"] = json!(number(&claims["iat"]) - 31));
    all.push(Bad { kind: "expired", token: expired, reason: TokenExpired, check: "" });
    let strange = issuer.token_by_stranger(login, |_, _| {}).expect("a token");
    all.push(invalid("another key under the same name", "signature", strange));
    let session = issuer.session(login).expect("a session");
    all.push(invalid("the session's ID token", "aud", session.id_token.expect("the scope openid")));
    all.push(invalid("the session's refresh token", "alg", session.refresh_token));
    let good = session.access_token;
    all.extend(broken(&good).into_iter().map(|(kind, check, token)| invalid(kind, check, token)));
    let missing = |kind, token: &str| Bad { kind, token: token.to_owned(), reason: TokenMissing, check: "" };
    all.push(missing("nothing behind the scheme", ""));
    all
}

/// A good token, broken in ways that no issuer would.
fn broken(good: &str) -> Vec<(&'static str, &'static str, String)> {
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let join = |parts: [&str; 3]| parts.join(".");
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let mut richer: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("claims");
    richer["realm_access"] = json!({"roles": ["USER", "SYSTEM_ADMIN"]});
    vec![
        ("a flipped signature", "signature", join([header, claims, &flipped(signature)])),
        ("a cut signature", "signature", join([header, claims, &signature[..signature.len() / 2]])),
        ("an empty signature", "signature", join([header, claims, ""])),
        ("claims changed after signing", "signature", join([header, &encode(&richer.to_string()), signature])),
        ("claims that are no object", "signature", join([header, &encode("[]"), signature])),
        ("a header that is no JSON", "form", join([&encode("alg"), claims, signature])),
        ("a header that is no base64", "form", join(["$$$", claims, signature])),
        ("four parts", "signature", format!("{header}.{claims}.{signature}.{signature}")),
        ("two parts", "form", format!("{header}.{claims}")),
        ("garbage", "form", "garbage".to_owned()),
        ("dots", "form", "..".to_owned()),
        ("12 KiB", "length", join([header, claims, &"A".repeat(12 * 1024)])),
    ]
}

/// Another first letter: the first bits of the signature.
fn flipped(signature: &str) -> String {
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{first}{}", &signature[1..])
}
