//! The web app's files as they were built into this program.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use rust_embed::{Embed, EmbeddedFile};
use tonic::body::Body;

use crate::rpc::{Request, Response};

/// What `npm run build` in `web/` has made.
#[derive(Embed)]
#[folder = "../web/dist"]
struct App;

/// How the build has compressed files, the smallest first: what a browser calls it, and the end of the file's name.
const COMPRESSED: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Answers a GET or HEAD with a file, or that it is not there.
pub(super) fn show(request: &Request, name: &str) -> Response {
    let Some(plain) = App::get(name) else { return empty(StatusCode::NOT_FOUND) };
    let (encoding, file) =
        compressed(request.headers(), name).map_or((None, plain.clone()), |(encoding, file)| (Some(encoding), file));
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(file.metadata.sha256_hash()));
    let mut response = if knows(request.headers(), &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let bytes = bytes(file.data);
        let length = bytes.len();
        let body = if *request.method() == Method::HEAD { Bytes::new() } else { bytes };
        let mut response = Response::new(Body::new(Full::new(body)));
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    for (name, value) in [(header::ETAG, &*tag), (header::CONTENT_TYPE, plain.metadata.mimetype())] {
        headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
    }
    headers.extend(encoding.map(|encoding| (header::CONTENT_ENCODING, HeaderValue::from_static(encoding))));
    response
}

/// The file in the form that the browser takes and that is the smallest.
fn compressed(headers: &HeaderMap, name: &str) -> Option<(&'static str, EmbeddedFile)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let takes = |encoding: &str| {
        accepted.split(',').any(|one| {
            let (name, weight) = one.split_once(';').unwrap_or((one, ""));
            name.trim() == encoding && !["q=0", "q=0.0", "q=0.00", "q=0.000"].contains(&weight.trim())
        })
    };
    let mut fit = COMPRESSED.into_iter().filter(|(encoding, _)| takes(encoding));
    fit.find_map(|(encoding, end)| Some((encoding, App::get(&format!("{name}{end}"))?)))
}

/// Whether the browser holds this content.
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let held = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    held.into_iter().any(|tags| tags.contains(tag))
}

fn bytes(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::site::files::Files;

    async fn ask(method: Method, path: &str, header: Option<(header::HeaderName, &str)>) -> (Response, Bytes) {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a path");
        request.headers_mut().extend(header.map(|(name, value)| (name, value.parse().expect("a value"))));
        let files = Files::of(None).expect("they are built in");
        let (head, body) = files.serve(request).await.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.expect("a body").to_bytes();
        (Response::from_parts(head, Body::empty()), body)
    }

    fn said(response: &Response, name: header::HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    #[tokio::test]
    async fn the_page_and_what_it_fetches_are_in_the_program_and_nothing_else_is() {
        let (page, html) = ask(Method::GET, "/", None).await;
        assert_eq!((page.status(), said(&page, header::CONTENT_TYPE)), (StatusCode::OK, "text/html"));
        assert_eq!(ask(Method::GET, "/rooms/1", None).await.1, html);
        let script = App::iter().find(|name| name.starts_with("assets/") && name.ends_with(".js")).expect("a script");
        let path = format!("/{script}");
        let (plain, whole) = ask(Method::GET, &path, None).await;
        assert_eq!(said(&plain, header::CONTENT_TYPE), "text/javascript");
        assert_eq!(said(&plain, header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        let (small, pressed) = ask(Method::GET, &path, Some((header::ACCEPT_ENCODING, "gzip, br;q=0.9"))).await;
        assert_eq!((said(&small, header::CONTENT_ENCODING), pressed.len() < whole.len()), ("br", true));
        let (refused, _) = ask(Method::GET, &path, Some((header::ACCEPT_ENCODING, "br;q=0"))).await;
        assert_eq!(said(&refused, header::CONTENT_ENCODING), "");
        let (held, nothing) = ask(Method::GET, &path, Some((header::IF_NONE_MATCH, said(&plain, header::ETAG)))).await;
        assert_eq!((held.status(), nothing.len()), (StatusCode::NOT_MODIFIED, 0));
        let (bare, nothing) = ask(Method::HEAD, &path, None).await;
        assert_eq!((said(&bare, header::CONTENT_LENGTH), nothing.len()), (&*whole.len().to_string(), 0));
        for gone in ["/assets/gone.js", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets/../../package.json"] {
            assert_eq!(ask(Method::GET, gone, None).await.0.status(), StatusCode::NOT_FOUND, "{gone}");
        }
    }
}
