//! The token endpoint: every grant that ends in tokens (RFC 6749, section 3.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Tokens;
use super::core::Core;
use super::form::{Fields, Form, check_client, field};
use super::refusal::Refusal;

pub(super) async fn token(State(core): State<Arc<Core>>, fields: Form) -> Result<Response, Refusal> {
    let fields = fields.read()?;
    check_client(&fields)?;
    let tokens = match field(&fields, "grant_type") {
        "authorization_code" => {
            core.redeem(field(&fields, "code"), field(&fields, "redirect_uri"), field(&fields, "code_verifier"))
        }
        "refresh_token" => core.refresh(field(&fields, "refresh_token")),
        "password" => password(&core, &fields),
        "urn:ietf:params:oauth:grant-type:device_code" => {
            core.poll(field(&fields, "device_code"), field(&fields, "code_verifier"))
        }
        "" => Err(Refusal::request("Missing form parameter: grant_type")),
        _ => Err(Refusal::new("unsupported_grant_type", "Unsupported grant_type")),
    }?;
    Ok(answer(&tokens))
}

/// The password grant, which lets command line tools play along; a real realm has it switched off.
fn password(core: &Core, fields: &Fields) -> Result<Tokens, Refusal> {
    let login = field(fields, "username");
    if core.store().check(login, field(fields, "password")).is_none() {
        return Err(Refusal::unauthorized("invalid_grant", "Invalid user credentials"));
    }
    core.begin(login, field(fields, "scope"), None).map_err(|e| Refusal::fault(&e))
}

fn answer(tokens: &Tokens) -> Response {
    let mut body = json!({
        "access_token": tokens.access_token, "expires_in": tokens.expires_in,
        "refresh_token": tokens.refresh_token, "refresh_expires_in": tokens.refresh_expires_in,
        "token_type": "Bearer", "not-before-policy": 0, "session_state": tokens.sid, "scope": tokens.scope,
    });
    if let Some(id_token) = &tokens.id_token {
        body["id_token"] = json!(id_token);
    }
    ([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(body)).into_response()
}
