//! What the app must know before it can sign anybody in.

use http::{HeaderValue, header};
use tonic::body::Body;

use crate::{config::Config, rpc::Response};

/// The issuer, and the client id of the page there.
pub(super) fn show(config: &Config) -> Response {
    let client_id = config.web_client_id.as_ref().unwrap_or(&config.client_id);
    let said = serde_json::json!({ "issuer": config.issuer, "client_id": client_id });
    let mut response = Response::new(Body::new(http_body_util::Full::from(said.to_string())));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
