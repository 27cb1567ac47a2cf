//! The issuer's addresses, the same as Keycloak's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::core::Core;
use super::form::{Fields, Form, field};
use super::keys::Key;
use super::refusal::Refusal;
use super::{authorize, device, pages, token};

/// The path of the realm.
pub(super) const REALM: &str = "/realms/madang";

/// Largest form, in bytes: codes, tokens and passwords take a few thousand.
const FORM: usize = 64 * 1024;

pub(super) fn router(core: Arc<Core>) -> Router {
    let connect = format!("{REALM}/protocol/openid-connect");
    // What scripts in a page call. The rest is for browsers to go to.
    let open = Router::new()
        .route(&format!("{REALM}/.well-known/openid-configuration"), get(discovery))
        .route(&format!("{connect}/certs"), get(certs))
        .route(&format!("{connect}/token"), post(token::token))
        .route(&format!("{connect}/userinfo"), get(userinfo).post(userinfo))
        .layer(cors());
    let pages = Router::new()
        .route(&format!("{connect}/auth"), get(authorize::show))
        .route(&format!("{REALM}/login-actions/authenticate"), post(authorize::authenticate))
        .route(&format!("{connect}/auth/device"), post(device::start))
        .route(&format!("{REALM}/device"), get(device::show).post(device::answer))
        .route(&format!("{connect}/logout"), get(logout_link).post(logout_form))
        .route(&format!("{REALM}/style.css"), get(pages::style))
        .route("/dev/rotate", post(rotate));
    open.merge(pages).layer(DefaultBodyLimit::max(FORM)).with_state(core)
}

/// Pages of this machine may call; no others.
fn cors() -> CorsLayer {
    let local = |origin: &HeaderValue, _: &axum::http::request::Parts| {
        let origin = origin.to_str().unwrap_or_default();
        let host = ["http://127.0.0.1", "http://localhost"].into_iter().find_map(|host| origin.strip_prefix(host));
        host.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(local))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
}

async fn discovery(State(core): State<Arc<Core>>) -> Json<Value> {
    core.discovery_fetches.fetch_add(1, Ordering::Relaxed);
    let realm = &core.url;
    let connect = format!("{realm}/protocol/openid-connect");
    Json(json!({
        "issuer": realm,
        "authorization_endpoint": format!("{connect}/auth"),
        "token_endpoint": format!("{connect}/token"),
        "userinfo_endpoint": format!("{connect}/userinfo"),
        "end_session_endpoint": format!("{connect}/logout"),
        "jwks_uri": format!("{connect}/certs"),
        "device_authorization_endpoint": format!("{connect}/auth/device"),
        "grant_types_supported": [
            "authorization_code", "refresh_token", "password", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": [
            "aud", "sub", "iss", "auth_time", "name", "given_name", "family_name", "preferred_username", "email",
            "acr", "employee_no",
        ],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn certs(State(core): State<Arc<Core>>) -> Json<Value> {
    core.key_fetches.fetch_add(1, Ordering::Relaxed);
    Json(core.keys().published())
}

async fn userinfo(State(core): State<Arc<Core>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let refuse = || Refusal::unauthorized("invalid_token", "Token verification failed");
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims = bearer.and_then(|token| core.keys().verify(token)).ok_or_else(refuse)?;
    let fresh = claims["exp"].as_i64().is_some_and(|exp| exp > core.now()) && claims["typ"] == "Bearer";
    let session = claims["sid"].as_str().and_then(|sid| core.session(sid));
    let session = session.filter(|_| fresh).ok_or_else(refuse)?;
    let person = core.person(&session.login).map_err(|_| refuse())?;
    let whole = core.access_claims(&person, &session);
    let shown =
        ["sub", "email", "email_verified", "name", "given_name", "family_name", "preferred_username", "employee_no"];
    Ok(Json(shown.into_iter().map(|name| (name.to_owned(), whole[name].clone())).collect()))
}

async fn logout_link(State(core): State<Arc<Core>>, Query(fields): Query<Fields>) -> Response {
    logout(&core, &fields)
}

async fn logout_form(State(core): State<Arc<Core>>, fields: Form) -> Response {
    match fields.read() {
        Ok(fields) => logout(&core, &fields),
        Err(refusal) => refusal.into_response(),
    }
}

/// Ends a session by its ID token (a browser comes along), or by its refresh token (an application calls).
fn logout(core: &Core, fields: &Fields) -> Response {
    if let Some(token) = fields.get("refresh_token") {
        let Some(claims) = core.keys().verify_refresh(token) else {
            return Refusal::grant("Invalid refresh token").into_response();
        };
        core.end(claims["sid"].as_str().unwrap_or_default());
        return StatusCode::NO_CONTENT.into_response();
    }
    let hint = core.keys().verify(field(fields, "id_token_hint")).filter(|claims| claims["typ"] == "ID");
    let Some(claims) = hint else {
        return pages::notice(StatusCode::BAD_REQUEST, "Not signed out", "Missing or invalid parameter: id_token_hint");
    };
    core.end(claims["sid"].as_str().unwrap_or_default());
    let target = field(fields, "post_logout_redirect_uri");
    if target.is_empty() {
        return pages::notice(StatusCode::OK, "Signed out", "You are signed out.");
    }
    if !authorize::is_allowed_redirect(target) {
        return pages::notice(StatusCode::BAD_REQUEST, "Signed out", "Invalid redirect uri");
    }
    let separator = if target.contains('?') { '&' } else { '?' };
    let state = fields.get("state").map(|state| format!("{separator}state={}", authorize::percent(state)));
    (StatusCode::FOUND, [(header::LOCATION, format!("{target}{}", state.unwrap_or_default()))]).into_response()
}

/// Turns the signing key over, to see what a server does. Not in Keycloak: there an administrator adds a key.
async fn rotate(State(core): State<Arc<Core>>) -> Result<Json<Value>, Refusal> {
    let key = tokio::task::spawn_blocking(Key::generate).await.map_err(|e| Refusal::fault(&e.into()))?;
    core.rotate(key.map_err(|e| Refusal::fault(&e))?);
    Ok(Json(json!({ "kid": core.keys().current().kid })))
}
