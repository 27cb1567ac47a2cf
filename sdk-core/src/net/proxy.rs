//! An HTTP proxy: which, if any, and the tunnel through it (RFC 9110, 9.3.6).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Failure;
use crate::{
    config::Proxy,
    error::{ClientError, ClientErrorKind, LocalReason},
};

/// Longest head of a proxy's answer.
const HEAD: usize = 16 << 10;

/// Where a proxy is, and what it wants to be told.
#[derive(Clone)]
pub(super) struct ProxyRoute {
    pub(super) host: String,
    pub(super) port: u16,
    /// Value of `proxy-authorization`. Never shown.
    authorization: Option<String>,
}

impl std::fmt::Debug for ProxyRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyRoute").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// The proxy to a server, as the host wants it.
pub(super) fn choose(proxy: &Proxy, server: &Uri) -> Result<Option<ProxyRoute>, ClientError> {
    match proxy {
        Proxy::None => Ok(None),
        Proxy::Http { address, credentials } => {
            let uri: Option<Uri> = address.parse().ok();
            let found = uri.as_ref().and_then(|uri| Some((uri, uri.host()?, uri.port_u16()?)));
            let (_, host, port) =
                found.filter(|(uri, ..)| matches!(uri.scheme_str(), None | Some("http"))).ok_or_else(invalid)?;
            let authorization = credentials.as_ref().map(|(name, secret)| basic(name, secret));
            Ok(Some(ProxyRoute { host: bare(host), port, authorization }))
        }
        Proxy::Environment => of_environment(&Matcher::from_env(), server),
    }
}

fn of_environment(environment: &Matcher, server: &Uri) -> Result<Option<ProxyRoute>, ClientError> {
    let Some(found) = environment.intercept(server) else { return Ok(None) };
    if found.uri().scheme_str() != Some("http") {
        return Err(invalid());
    }
    let authorization = found.basic_auth().and_then(|value| value.to_str().ok()).map(str::to_owned);
    let host = found.uri().host().map(bare).ok_or_else(invalid)?;
    Ok(Some(ProxyRoute { host, port: found.uri().port_u16().unwrap_or(80), authorization }))
}

fn invalid() -> ClientError {
    let message = "the proxy's address must be host:port or http://host:port";
    ClientError::local(ClientErrorKind::Invalid, LocalReason::AddressInvalid, message)
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{secret}")))
}

/// A host as a resolver takes it: an IPv6 address without its brackets.
pub(super) fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Asks a proxy for a tunnel. `server` is `host:port`, an IPv6 address in brackets.
pub(super) async fn tunnel(mut socket: TcpStream, proxy: &ProxyRoute, server: &str) -> Result<TcpStream, Failure> {
    let authorization = proxy.authorization.as_ref().map(|value| format!("proxy-authorization: {value}\r\n"));
    let authorization = authorization.unwrap_or_default();
    let ask = format!("CONNECT {server} HTTP/1.1\r\nhost: {server}\r\n{authorization}\r\n");
    socket.write_all(ask.as_bytes()).await.map_err(|error| failed(&error.to_string()))?;
    let mut head = Vec::new();
    // One by one: what follows the head is the server's.
    while !head.ends_with(b"\r\n\r\n") {
        let byte = socket.read_u8().await.map_err(|error| failed(&error.to_string()))?;
        head.push(byte);
        if head.len() > HEAD {
            return Err(failed("its answer is too long"));
        }
    }
    match super::http2::status_of(&head) {
        Some(200..=299) => Ok(socket),
        Some(407) => Err(failed("it wants other credentials")),
        Some(status) => Err(failed(&format!("HTTP {status}"))),
        None => Err(failed("it does not speak HTTP")),
    }
}

pub(super) fn failed(why: &str) -> Failure {
    Failure::new(LocalReason::ProxyFailed, format!("the proxy: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_names_a_proxy_and_those_that_go_without() {
        let environment = Matcher::builder().https("http://ann:secret@proxy.example.com:3128").no("inside.example.com");
        let environment = environment.build();
        let route = |server: &'static str| of_environment(&environment, &Uri::from_static(server)).unwrap();
        let proxy = route("https://chat.example.com").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example.com", 3128));
        assert_eq!(proxy.authorization, Some(basic("ann", "secret")));
        assert!(route("https://chat.inside.example.com").is_none());
        assert!(route("http://chat.example.com").is_none());
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        let server = Uri::from_static("https://chat.example.com");
        let choose = |address: &str| choose(&Proxy::Http { address: address.into(), credentials: None }, &server);
        for good in ["proxy:3128", "http://proxy:3128", "http://[::1]:3128"] {
            assert_eq!(choose(good).unwrap().unwrap().port, 3128, "{good}");
        }
        for wrong in ["proxy", "socks5://proxy:1080", "", "http://"] {
            assert_eq!(choose(wrong).unwrap_err().local, Some(LocalReason::AddressInvalid), "{wrong}");
        }
    }
}
