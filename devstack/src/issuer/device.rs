//! The device grant (RFC 8628): a device without a browser shows a code, and somebody types it in elsewhere.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::core::{Core, DEVICE_LIFETIME};
use super::form::{Fields, Form, check_client, field};
use super::pages;
use super::refusal::Refusal;
use super::store::{Answer, Device};

/// Letters of a user code: no vowels, so no words, and none that look like digits (RFC 8628, 6.1).
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Starts the grant: gives the device its two codes. As in Keycloak, PKCE that is forced holds here too.
pub(super) async fn start(State(core): State<Arc<Core>>, fields: Form) -> Result<Response, Refusal> {
    let fields = fields.read()?;
    check_client(&fields)?;
    if field(&fields, "code_challenge_method") != "S256" || field(&fields, "code_challenge").len() != 43 {
        return Err(Refusal::request("Missing parameter: code_challenge_method"));
    }
    let device_code = crate::random::token();
    let user_code = user_code();
    let device = Device {
        user_code: user_code.clone(),
        scope: field(&fields, "scope").to_owned(),
        challenge: field(&fields, "code_challenge").to_owned(),
        began: core.now(),
        interval: core.device_interval,
        asked: None,
        answer: Answer::Waiting,
    };
    core.store().devices.insert(device_code.clone(), device);
    let place = format!("{}/device", core.url);
    let body = json!({
        "device_code": device_code, "user_code": user_code, "verification_uri": place,
        "verification_uri_complete": format!("{place}?user_code={user_code}"),
        "expires_in": DEVICE_LIFETIME, "interval": core.device_interval,
    });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Shows the page where the code is typed in.
pub(super) async fn show(State(core): State<Arc<Core>>, Query(fields): Query<Fields>) -> Response {
    pages::device(&core.url, field(&fields, "user_code"), "", None)
}

/// Takes the page's form.
pub(super) async fn answer(State(core): State<Arc<Core>>, fields: Form) -> Response {
    let Ok(fields) = fields.read() else {
        return pages::notice(StatusCode::BAD_REQUEST, "Not understood", "The form could not be read.");
    };
    let typed = field(&fields, "user_code");
    let login = field(&fields, "login");
    let refuse = field(&fields, "answer") == "deny";
    let now = core.now();
    let mut store = core.store();
    if !refuse && store.check(login, field(&fields, "password")).is_none() {
        return pages::device(&core.url, typed, login, Some("The login or the password is wrong."));
    }
    let wanted = plain(typed);
    let waiting = store.devices.find_mut(|device| {
        plain(&device.user_code) == wanted && device.answer == Answer::Waiting && device.began + DEVICE_LIFETIME >= now
    });
    let Some(device) = waiting else {
        return pages::device(&core.url, typed, login, Some("No device waits with this code."));
    };
    device.answer = if refuse { Answer::Denied } else { Answer::Granted { login: login.to_owned() } };
    drop(store);
    if refuse {
        pages::notice(StatusCode::OK, "Refused", "The device was not signed in.")
    } else {
        pages::notice(StatusCode::OK, "Signed in", "The device is signed in. You can close this page.")
    }
}

fn user_code() -> String {
    let letters: Vec<_> =
        crate::random::bytes::<8>().iter().map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()]).collect();
    let text = String::from_utf8_lossy(&letters);
    format!("{}-{}", &text[..4], &text[4..])
}

/// What people type: in any case, with or without the hyphen.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_uppercase()).collect()
}
