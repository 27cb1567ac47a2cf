//! The authorization endpoint: a client sends a browser here, and it goes back with a code (RFC 6749, 4.1; RFC 7636).

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::core::Core;
use super::form::{Fields, Form, field};
use super::store::{Attempt, Code, Request};
use super::{CLIENT_ID, pages};

/// Wrong passwords on one login page before it is of no more use.
const FAILURES: u32 = 5;

/// Seconds a login page can be used, as in Keycloak.
const ATTEMPT_LIFETIME: i64 = 1800;

/// Shows the login page, or sends the browser back with an error.
pub(super) async fn show(State(core): State<Arc<Core>>, Query(fields): Query<Fields>) -> Response {
    let redirect_uri = field(&fields, "redirect_uri");
    // Without a client and an address that are known, an error must not travel to that address.
    if field(&fields, "client_id") != CLIENT_ID {
        return pages::notice(StatusCode::BAD_REQUEST, "Client not found", "This application is not known here.");
    }
    if !is_allowed_redirect(redirect_uri) {
        return pages::notice(StatusCode::BAD_REQUEST, "Invalid parameter", "Invalid parameter: redirect_uri");
    }
    let request = Request {
        redirect_uri: redirect_uri.to_owned(),
        separator: if field(&fields, "response_mode") == "fragment" { '#' } else { '?' },
        state: fields.get("state").cloned(),
        scope: field(&fields, "scope").to_owned(),
        nonce: fields.get("nonce").cloned(),
        challenge: field(&fields, "code_challenge").to_owned(),
    };
    if let Err((error, description)) = check(&fields) {
        return go_back(&core.url, &request, &[("error", error), ("error_description", description)]);
    }
    let attempt = crate::random::token();
    let login = field(&fields, "login_hint");
    let page = pages::login(&core.url, &attempt, login, None);
    core.store().attempts.insert(attempt, Attempt { request, began: core.now(), failures: 0 });
    page
}

fn check(fields: &Fields) -> Result<(), (&'static str, &'static str)> {
    if field(fields, "response_type") != "code" {
        return Err(("unsupported_response_type", "Only response_type=code is supported"));
    }
    if field(fields, "code_challenge_method").is_empty() {
        return Err(("invalid_request", "Missing parameter: code_challenge_method"));
    }
    if field(fields, "code_challenge_method") != "S256" {
        return Err(("invalid_request", "Invalid parameter: code challenge method is not matching the configured one"));
    }
    // The hash of SHA-256 in base64url without padding.
    if field(fields, "code_challenge").len() != 43 {
        return Err(("invalid_request", "Missing parameter: code_challenge"));
    }
    if field(fields, "prompt") == "none" {
        return Err(("login_required", "Nobody is signed in"));
    }
    Ok(())
}

/// Takes the login page's form.
pub(super) async fn authenticate(State(core): State<Arc<Core>>, fields: Form) -> Response {
    let Ok(fields) = fields.read() else { return too_late() };
    let name = field(&fields, "attempt");
    let Some(attempt) = core.store().attempts.get(name).cloned() else { return too_late() };
    if attempt.began + ATTEMPT_LIFETIME < core.now() || attempt.failures >= FAILURES {
        return too_late();
    }
    let login = field(&fields, "login");
    let mut store = core.store();
    if store.check(login, field(&fields, "password")).is_none() {
        if let Some(attempt) = store.attempts.get_mut(name) {
            attempt.failures += 1;
        }
        return pages::login(&core.url, name, login, Some("The login or the password is wrong."));
    }
    if store.attempts.remove(name).is_none() {
        return too_late(); // the same form was sent twice, at once
    }
    let secret = crate::random::token();
    let request = attempt.request;
    let waiting = Code { request: request.clone(), login: login.to_owned(), began: core.now() };
    store.codes.insert(secret.clone(), waiting);
    drop(store);
    go_back(&core.url, &request, &[("code", &secret)])
}

fn too_late() -> Response {
    pages::notice(StatusCode::BAD_REQUEST, "Page has expired", "Go back to the application and sign in again.")
}

/// Back to the client. `iss` tells it which issuer answered (RFC 9207).
fn go_back(issuer: &str, request: &Request, answer: &[(&str, &str)]) -> Response {
    let state = request.state.as_deref().map(|state| ("state", state));
    let fields = answer.iter().copied().chain(state).chain([("iss", issuer)]);
    let query = fields.map(|(name, value)| format!("{name}={}", percent(value))).collect::<Vec<_>>().join("&");
    let separator =
        if request.redirect_uri.contains('?') && request.separator == '?' { '&' } else { request.separator };
    let target = format!("{}{separator}{query}", request.redirect_uri);
    (StatusCode::FOUND, [(header::LOCATION, target), (header::CACHE_CONTROL, "no-store".to_owned())]).into_response()
}

/// The addresses the client has registered: loopback with any port and path (RFC 8252, 7.3), and its private scheme.
pub(super) fn is_allowed_redirect(uri: &str) -> bool {
    if uri.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || b"#@\\\"<>".contains(&byte)) {
        return false;
    }
    let loopback = ["http://127.0.0.1", "http://localhost"].into_iter().find_map(|host| uri.strip_prefix(host));
    let Some(rest) = loopback else { return uri == "com.madang.app:/oauth2redirect" };
    let path =
        rest.strip_prefix(':').map_or(rest, |port| port.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    path.is_empty() || path.starts_with('/')
}

/// A value in an address: everything but the unreserved letters in percent form (RFC 3986, 2.3).
pub(super) fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_to_loopback_and_the_private_scheme_only() {
        for good in
            ["http://127.0.0.1:1/a?b=c", "http://localhost/", "http://127.0.0.1", "com.madang.app:/oauth2redirect"]
        {
            assert!(is_allowed_redirect(good), "{good}");
        }
        for bad in [
            "",
            "https://127.0.0.1/",
            "http://127.0.0.1.example.org/",
            "http://127.0.0.1@example.org/",
            "http://127.0.0.1:1@example.org/",
            "http://localhost:8080#x",
            "http://localhost\\@example.org",
            "http://example.org/",
            "http://localhost/\r\nset-cookie: a=b",
            "com.madang.app:/other",
        ] {
            assert!(!is_allowed_redirect(bad), "{bad}");
        }
    }
}
