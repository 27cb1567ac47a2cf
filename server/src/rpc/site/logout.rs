//! The issuer says that a session has ended (OpenID Connect Back-Channel Logout 1.0, 2.5 to 2.8).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use tonic::body::Body;

use crate::{
    error::{Error, Reason, Result},
    rpc::{Request, Response, limit, services::Parts},
    users::identity::service::Identity,
};

/// Bytes of a form: a token has 8 KiB at most, in a form that escapes none of its letters.
const MOST_BYTES: usize = 16 * 1024;

/// How long the form may take to come: an issuer writes it at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends what the issuer has ended. Answers 200 with nothing; 400 with the reason as JSON when the token is not believed; 503 when
/// the issuer should say it again.
pub(super) async fn hear(parts: &Parts, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let ended = match token(body).await {
        Ok(token) => end(parts, &token).await,
        Err(error) => Err(error),
    };
    let (status, said) = match ended.map_err(|error| limit::refuse(parts, &head, error)) {
        Ok(()) => (StatusCode::OK, Bytes::new()),
        Err(error) => refusal(&error),
    };
    let mut response = Response::new(Body::new(http_body_util::Full::new(said)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn end(parts: &Parts, token: &str) -> Result<()> {
    let logout = parts.sign_in.logout(token).await?;
    Identity::new(parts.node.clone(), Arc::clone(&parts.sessions)).end_issuers(&logout).await?;
    // Only now: what was not carried out may be said again.
    parts.sign_in.logout_is_done(&logout);
    Ok(())
}

/// The field `logout_token` of the form.
async fn token(body: Body) -> Result<String> {
    let missing = || Error::refused(Reason::TokenMissing, "no logout_token in the form");
    let form = tokio::time::timeout(PATIENCE, Limited::new(body, MOST_BYTES).collect()).await.map_err(|_| missing())?;
    let form = form.map_err(|_| missing())?.to_bytes();
    let fields = form_urlencoded::parse(&form);
    let token = fields.into_iter().find(|(name, _)| name == "logout_token").map(|(_, token)| token.into_owned());
    token.filter(|token| !token.is_empty()).ok_or_else(missing)
}

fn refusal(error: &Error) -> (StatusCode, Bytes) {
    let known = [Reason::TokenMissing, Reason::TokenInvalid, Reason::TokenExpired].iter().any(|one| error.is(*one));
    if known {
        let said = serde_json::json!({ "error": "invalid_request", "error_description": error.to_string() });
        return (StatusCode::BAD_REQUEST, said.to_string().into());
    }
    if error.is(Reason::RateLimited) {
        return (StatusCode::TOO_MANY_REQUESTS, Bytes::new());
    }
    tracing::warn!(%error, "a logout of the issuer was not carried out");
    (StatusCode::SERVICE_UNAVAILABLE, Bytes::new())
}
