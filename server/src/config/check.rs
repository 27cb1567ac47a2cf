//! What settings must be, one by one and together.

use std::net::{IpAddr, SocketAddr};

use super::Config;

impl Config {
    /// Adds what is wrong, each with the name of its setting.
    pub(super) fn find_mistakes(&self, mistakes: &mut Vec<String>) {
        let mut wrong = |is_wrong: bool, text: &str| {
            if is_wrong {
                mistakes.push(text.to_owned());
            }
        };
        wrong(!self.database_url.starts_with("postgres"), "database_url: must begin with postgres://");
        wrong(self.database_connections < 2, "database_connections: must be 2 or more, one of which serves sends");
        wrong(self.issuer.is_empty(), "issuer: must be the URL of the issuer");
        wrong(!self.issuer.is_empty() && !self.may_fetch(&self.issuer), "issuer: must be https, or http on loopback");
        wrong(self.audience.is_empty(), "audience: must not be empty");
        wrong(self.client_id.is_empty(), "client_id: must not be empty");
        wrong(self.tls_certificate.is_some() != self.tls_key.is_some(), "tls_certificate: goes together with tls_key");
        wrong(
            !self.may_be_plaintext(self.listen) && !self.has_tls(),
            "listen: outside loopback set tls_certificate and tls_key, or plaintext_network when a proxy speaks TLS",
        );
        wrong(self.node_name.as_ref().is_some_and(|name| name.len() > 64), "node_name: at most 64 bytes");
        wrong(
            self.small_again_members > self.large_room_members,
            "small_again_members: must not be above large_room_members",
        );
        self.find_wrong_origins(mistakes);
        self.find_zeros(mistakes);
    }

    /// Whether the node speaks TLS itself.
    pub fn has_tls(&self) -> bool {
        self.tls_certificate.is_some()
    }

    /// Whether plaintext to a URL is allowed, or the URL is https.
    pub fn may_fetch(&self, url: &str) -> bool {
        let Ok(url) = reqwest::Url::parse(url) else { return false };
        let plaintext = self.plaintext_network || url.host_str().is_some_and(is_loopback_host);
        url.scheme() == "https" || (url.scheme() == "http" && plaintext)
    }

    fn may_be_plaintext(&self, address: SocketAddr) -> bool {
        self.plaintext_network || address.ip().is_loopback()
    }

    fn find_wrong_origins(&self, mistakes: &mut Vec<String>) {
        for origin in &self.public_origins {
            if origin == "*" {
                if self.has_tls() || !self.listen.ip().is_loopback() {
                    mistakes.push("public_origins: * is for a plaintext node on loopback".to_owned());
                }
            } else if !is_origin(origin) {
                mistakes.push(format!("public_origins: {origin} is no origin, as in https://chat.example.com"));
            }
        }
    }

    fn find_zeros(&self, mistakes: &mut Vec<String>) {
        let counts = [
            ("streams_per_person", count(self.streams_per_person)),
            ("calls_in_flight_per_person", count(self.calls_in_flight_per_person)),
            ("database_waiters_per_person", count(self.database_waiters_per_person)),
            ("rooms_per_person", self.rooms_per_person),
            ("group_members", self.group_members),
            ("open_members", self.open_members),
            ("device_sessions_per_person", self.device_sessions_per_person),
            ("streams_per_connection", i64::from(self.streams_per_connection)),
            ("connections", count(self.connections)),
            ("connections_per_address", count(self.connections_per_address)),
        ];
        let times = [
            ("heartbeat", self.heartbeat),
            ("peer_timeout", self.peer_timeout),
            ("poll_interval", self.poll_interval),
            ("slow_consumer", self.slow_consumer),
            ("hello_timeout", self.hello_timeout),
            ("receipt_gather", self.receipt_gather),
            ("block_time", self.block_time),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count < 1).map(|(name, _)| name);
        let times = times.into_iter().filter(|(_, time)| time.is_zero()).map(|(name, _)| name);
        mistakes.extend(counts.chain(times).map(|name| format!("{name}: must be above 0")));
    }
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Whether a URL's host is this machine.
pub fn is_loopback_host(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// `scheme://host` or `scheme://host:port`; the port may be `*` on loopback.
fn is_origin(origin: &str) -> bool {
    let any_port = origin.strip_suffix(":*");
    let Ok(url) = reqwest::Url::parse(any_port.unwrap_or(origin)) else { return false };
    let bare = url.path() == "/" && !origin.ends_with('/') && url.query().is_none() && url.username().is_empty();
    let loopback = url.host_str().is_some_and(is_loopback_host);
    bare && matches!(url.scheme(), "http" | "https") && (any_port.is_none() || loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right() -> Config {
        Config {
            database_url: "postgres://localhost/madang".into(),
            issuer: "https://sso.example.com/realms/company".into(),
            ..Config::default()
        }
    }

    fn named(config: &Config, name: &str) -> bool {
        config.check().is_err_and(|mistakes| mistakes.0.iter().all(|mistake| mistake.starts_with(name)))
    }

    #[test]
    fn the_defaults_are_right() {
        assert_eq!(right().check(), Ok(()));
    }

    #[test]
    fn plaintext_is_for_loopback_or_an_isolated_network() {
        let listen = "0.0.0.0:7080".parse().expect("an address");
        assert!(named(&Config { listen, ..right() }, "listen"));
        assert_eq!(Config { listen, plaintext_network: true, ..right() }.check(), Ok(()));
        let tls = Config { listen, tls_certificate: Some("c".into()), tls_key: Some("k".into()), ..right() };
        assert_eq!(tls.check(), Ok(()));
        assert!(named(&Config { tls_key: None, listen: right().listen, ..tls }, "tls_certificate"));
        assert!(named(&Config { issuer: "http://sso.example.com".into(), ..right() }, "issuer"));
    }

    #[test]
    fn any_origin_is_allowed_only_in_development() {
        let any = Config { public_origins: vec!["*".into()], ..right() };
        assert_eq!(any.check(), Ok(()));
        let listen = "0.0.0.0:7080".parse().expect("an address");
        assert!(named(&Config { listen, plaintext_network: true, ..any }, "public_origins"));
        let origins = |origin: &str| Config { public_origins: vec![origin.into()], ..right() };
        assert_eq!(origins("http://127.0.0.1:*").check(), Ok(()));
        for wrong in ["https://chat.example.com/", "https://chat.example.com:*", "chat.example.com", "https://a/b"] {
            assert!(named(&origins(wrong), "public_origins"), "{wrong}");
        }
    }

    #[test]
    fn nothing_that_bounds_is_zero() {
        assert!(named(&Config { streams_per_person: 0, ..right() }, "streams_per_person"));
        assert!(named(&Config { heartbeat: std::time::Duration::ZERO, ..right() }, "heartbeat"));
    }
}
