//! What browsers are told about the page: scripts and styles come from here alone, connections go here and to the issuer alone,
//! nobody frames it, and nothing becomes HTML that is not text first.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::Config;

/// The headers of every answer that is no call.
#[derive(Debug, Clone)]
pub(super) struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    pub(super) fn new(config: &Config) -> Self {
        let mut headers = vec![
            (header::CONTENT_SECURITY_POLICY, policy(&config.issuer)),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
            (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
            (
                HeaderName::from_static("permissions-policy"),
                HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
            ),
        ];
        if config.has_tls() {
            let year = HeaderValue::from_static("max-age=31536000");
            headers.push((header::STRICT_TRANSPORT_SECURITY, year));
        }
        Self(headers)
    }

    pub(super) fn add(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            headers.insert(name.clone(), value.clone());
        }
    }
}

fn policy(issuer: &str) -> HeaderValue {
    let issuer = reqwest::Url::parse(issuer).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
         connect-src 'self' {issuer}; manifest-src 'self'; worker-src 'self'; form-action 'self' {issuer}; base-uri 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types madang"
    );
    // The settings hold only an issuer that is a URL, and its origin is ASCII.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_connects_to_its_own_node_and_the_issuer_and_nowhere_else() {
        let issuer = "https://sso.example.com:8443/realms/company".to_owned();
        let mut headers = HeaderMap::new();
        Headers::new(&Config { issuer, ..Config::default() }).add(&mut headers);
        let policy = headers["content-security-policy"].to_str().expect("ASCII");
        assert!(policy.contains("connect-src 'self' https://sso.example.com:8443;"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!headers.contains_key("strict-transport-security"));
    }
}
