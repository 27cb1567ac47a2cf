//! Browsers: gRPC-web, and which origins may call.

use http::{HeaderName, HeaderValue, Method, header, request};
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::Layer as _;
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};

use super::{Door, trace::REQUEST_ID};
use crate::config::Config;

/// Metadata that a page may send.
const ALLOWED: [HeaderName; 11] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::ACCEPT_LANGUAGE,
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("madang-device-id"),
    HeaderName::from_static("madang-epoch"),
    HeaderName::from_static("madang-platform"),
    HeaderName::from_static("madang-app-version"),
];

/// Metadata of an answer that a page may read.
const EXPOSED: [HeaderName; 4] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    REQUEST_ID,
];

/// How long a browser remembers what is allowed.
const MAX_AGE: std::time::Duration = std::time::Duration::from_hours(2);

/// The door as native and web clients see it.
pub(super) type Calls = Cors<GrpcWebService<Door>>;

/// Puts CORS and gRPC-web in front of the door.
pub(super) fn calls(door: Door, config: &Config) -> Calls {
    let origins: Vec<String> = config.public_origins.clone();
    let allowed = move |origin: &HeaderValue, _: &request::Parts| {
        origin.to_str().is_ok_and(|origin| origins.iter().any(|allowed| is_allowed(origin, allowed)))
    };
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::POST])
        .allow_headers(ALLOWED)
        .expose_headers(EXPOSED)
        .max_age(MAX_AGE);
    cors.layer(GrpcWebLayer::new().layer(door))
}

/// `https://host:1`, or `http://127.0.0.1:*` for any port, or `*`.
fn is_allowed(origin: &str, allowed: &str) -> bool {
    if allowed == "*" || origin == allowed {
        return true;
    }
    let Some(host) = allowed.strip_suffix(":*") else { return false };
    let port = origin.strip_prefix(host).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    port.is_some_and(|port| port.bytes().all(|digit| digit.is_ascii_digit()) && port.len() <= 5)
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn an_origin_is_allowed_by_its_whole_name() {
        assert!(is_allowed("https://a.example", "https://a.example"));
        assert!(is_allowed("http://localhost:5173", "http://localhost:*"));
        assert!(is_allowed("http://localhost", "http://localhost:*"));
        assert!(is_allowed("https://anything", "*"));
        for wrong in ["https://a.example.evil", "http://a.example", "https://a.example:8443", "null"] {
            assert!(!is_allowed(wrong, "https://a.example"), "{wrong}");
        }
        for wrong in
            ["http://localhost.evil:80", "http://localhost:80@evil", "http://localhostevil", "https://localhost:1"]
        {
            assert!(!is_allowed(wrong, "http://localhost:*"), "{wrong}");
        }
    }
}
