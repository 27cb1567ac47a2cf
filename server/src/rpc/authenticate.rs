//! Who calls, from where, and with which database in mind: what the metadata say.

use std::net::IpAddr;

use http::{HeaderMap, header};
use madang_proto::MethodPolicy;

use super::{Head, accept::Peer};
use crate::{
    config::Config,
    database::Database,
    error::{Error, Reason, Refusal, Result},
    ids::DeviceId,
    users::Origin,
};

/// Most bytes of what a client says about itself.
const MOST_BYTES: usize = 200;

/// The bearer token of a call.
pub(super) fn token(head: &Head) -> Result<&str> {
    let missing = || Error::refused(Reason::TokenMissing, "the call has no bearer token");
    let mut values = head.headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next().ok_or_else(missing)?, values.next()) else { return Err(missing()) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
    // RFC 9110 11.1: the scheme's case does not count.
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(missing()) }
}

/// The device that calls. Refused with `DEVICE_ID_MISSING`.
pub(super) fn origin(head: &Head, config: &Config) -> Result<Origin> {
    let headers = &head.headers;
    let device_id = headers.get("madang-device-id").and_then(|id| id.to_str().ok()).and_then(DeviceId::parse);
    let missing = || {
        Refusal::new(Reason::DeviceIdMissing, "the metadata madang-device-id must be the UUID of the installation")
            .with("field", "madang-device-id")
    };
    Ok(Origin {
        device_id: device_id.ok_or_else(missing)?,
        platform: text(headers, "madang-platform"),
        app_version: text(headers, "madang-app-version"),
        address: address(head, config).map(|address| address.to_string()).unwrap_or_default(),
        user_agent: text(headers, "user-agent"),
    })
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Visible ASCII only, so any byte is a boundary.
    value[..value.len().min(MOST_BYTES)].to_owned()
}

/// The caller's network address; behind a trusted proxy the last one that it names which is no such proxy.
pub(super) fn address(head: &Head, config: &Config) -> Option<IpAddr> {
    let peer = head.extensions.get::<Peer>()?.address;
    let is_proxy = |address: &IpAddr| config.trusted_proxies.contains(address);
    if !is_proxy(&peer) {
        return Some(peer);
    }
    let named = head.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut caller = peer;
    for address in named.iter().rev() {
        let Ok(address) = address.parse() else { break };
        caller = address;
        if !is_proxy(&address) {
            break;
        }
    }
    Some(caller)
}

/// Refuses a client that knows another history of the database. Streams say it in their Hello.
pub(super) fn check_epoch(head: &Head, policy: &MethodPolicy, database: &Database) -> Result<()> {
    let Some(said) = head.headers.get("madang-epoch") else { return Ok(()) };
    let epoch = database.epoch().borrow().clone();
    if policy.streams || said.as_bytes() == epoch.as_bytes() {
        return Ok(());
    }
    Err(Refusal::new(Reason::EpochChanged, "the database has another history").with("epoch", epoch).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &str)], peer: &str) -> Head {
        let mut request = http::Request::new(()).into_parts().0;
        for (name, value) in headers {
            request.headers.append(*name, value.parse().expect("a header"));
        }
        request.extensions.insert(Peer { address: peer.parse().expect("an address") });
        request
    }

    #[test]
    fn a_call_has_exactly_one_bearer_token() {
        let token_of = |values: &[&str]| {
            let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
            token(&request(&headers, "127.0.0.1")).map(str::to_owned).ok()
        };
        assert_eq!(token_of(&["Bearer a.b.c"]).as_deref(), Some("a.b.c"));
        assert_eq!(token_of(&["bearer a.b.c"]).as_deref(), Some("a.b.c"));
        for wrong in [&[][..], &["a.b.c"], &["Basic a"], &["Bearer "], &["Bearer"], &["Bearer a", "Bearer b"]] {
            assert_eq!(token_of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_who_called() {
        let proxies = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().expect("an address"));
        let config = Config { trusted_proxies: proxies.to_vec(), ..Config::default() };
        let caller = |peer: &str, named: &str| {
            let headers = if named.is_empty() { vec![] } else { vec![("x-forwarded-for", named)] };
            address(&request(&headers, peer), &config).map(|address| address.to_string()).unwrap_or_default()
        };
        assert_eq!(caller("1.2.3.4", "9.9.9.9"), "1.2.3.4");
        assert_eq!(caller("10.0.0.1", "9.9.9.9, 8.8.8.8, 10.0.0.2"), "8.8.8.8");
        assert_eq!(caller("10.0.0.1", "9.9.9.9, nonsense"), "10.0.0.1");
        assert_eq!(caller("10.0.0.1", ""), "10.0.0.1");
    }

    #[test]
    fn a_device_id_is_a_uuid() {
        let of = |id: &str| origin(&request(&[("madang-device-id", id)], "127.0.0.1"), &Config::default());
        assert!(of("01890a5d-ac96-774b-bcce-b302099a8057").is_ok());
        assert!(of("phone").is_err_and(|e| e.is(Reason::DeviceIdMissing)));
    }
}
