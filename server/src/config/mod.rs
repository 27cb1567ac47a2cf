//! Settings: one table says each setting's name, type, default and meaning; the file, the environment and the page
//! `docs/configuration.md` are read from it.
//!
//! Always true: a server never starts with a setting it does not understand, and all mistakes are named at once. The
//! environment wins over the file.

mod check;
mod load;
mod page;
mod value;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

pub use self::{
    load::Mistakes,
    page::page,
    value::{Rate, Value},
};
use crate::sabotage::Guards;

/// One row of the table of settings.
#[derive(Debug)]
pub struct Setting {
    /// Key in the file; in the environment in capitals after `MADANG_`.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static [&'static str],
    /// What it looks like.
    pub kind: fn() -> String,
    /// The value when nothing is said, as one would write it; empty: none.
    pub default: fn() -> String,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr;)+) => {
        /// What a server is told at its start.
        #[derive(Clone)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: $kind,)+
            /// The guards as a test leaves them, with its gates; no setting.
            #[cfg(feature = "sabotage")]
            pub held: Guards,
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $($name: $default,)+
                    #[cfg(feature = "sabotage")]
                    held: Guards::default(),
                }
            }
        }

        /// All settings, in the order of the page.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            name: stringify!($name),
            doc: &[$($doc),+],
            kind: || <$kind as Value>::kind(),
            default: || Value::show(&{ let value: $kind = $default; value }),
        },)+];

        impl Config {
            /// Sets one setting; `None`: there is none with this name.
            fn set(&mut self, name: &str, value: &toml::Value) -> Option<Result<(), String>> {
                match name {
                    $(stringify!($name) => Some(Value::read(value).map(|value| self.$name = value)),)+
                    _ => None,
                }
            }
        }
    };
}

settings! {
    /// Where the database is, as in `postgres://madang:secret@db:5432/madang?sslmode=verify-full`. PostgreSQL 15 or newer
    /// with encoding UTF-8. Keep it in the environment: it holds a password.
    database_url: String = String::new();
    /// Connections to the database that a node keeps at most, 2 or more; two of them, or one of few, serve sends alone.
    database_connections: u32 = 16;
    /// Where the node listens for gRPC and gRPC-web.
    listen: SocketAddr = loopback(7080);
    /// Where the node shows `/metrics`, `/healthz` and `/readyz`; not for the public. Without it they are not shown.
    admin_listen: Option<SocketAddr> = None;
    /// Socket in the file system at which the node answers whoever runs it (`madang explain`): only the user that the node runs
    /// as, and root. Without it they are not answered.
    control_socket: Option<PathBuf> = None;
    /// PEM file of the certificate chain. With it the node speaks TLS; without it, see `plaintext_network`.
    tls_certificate: Option<PathBuf> = None;
    /// PEM file of the certificate's private key.
    tls_key: Option<PathBuf> = None;
    /// Says that the network is isolated (a container network behind a proxy that speaks TLS). Without it, plaintext is
    /// served on loopback only, and the issuer must be https unless it is on loopback.
    plaintext_network: bool = false;
    /// Addresses of proxies whose `x-forwarded-for` is believed; the last address in it that is no such proxy is the
    /// caller's. Without them the header is ignored.
    trusted_proxies: Vec<std::net::IpAddr> = Vec::new();
    /// OIDC issuer, exactly as in the tokens' `iss`, as in `https://sso.example.com/realms/company`.
    issuer: String = String::new();
    /// What a token's `aud` must contain.
    audience: String = "madang".to_owned();
    /// OIDC client id that apps are told to sign in with.
    client_id: String = "madang-app".to_owned();
    /// Clients whose tokens are taken, by the token's `azp`; empty: any client of the issuer.
    allowed_clients: Vec<String> = Vec::new();
    /// Origins whose web pages may call, as in `https://chat.example.com`; on loopback hosts the port may be `*`. A single
    /// `*` allows all and is taken only by a plaintext node on loopback.
    public_origins: Vec<String> = Vec::new();
    /// Folder of the web app, as `web/dist` is after its build; served on the same port as the calls. Without it the app that is
    /// built into a release is.
    web_root: Option<PathBuf> = None;
    /// OIDC client id of the web app, where it is another than `client_id`.
    web_client_id: Option<String> = None;
    /// Whether gRPC reflection answers, so that tools need no proto files.
    reflection: bool = false;
    /// Whether phone, e-mail and employee number of a person are shown to others.
    show_contact: bool = true;
    /// Where NATS is, by which nodes tell each other what was committed, as in `nats://nats:4222` or `tls://user:secret@nats`.
    /// Without it nodes find that in the database, within `poll_interval`; one node needs none. For nodes only: whoever can
    /// speak there can speak to every stream.
    nats_url: Option<String> = None;
    /// First word of all subjects, where several installations share a NATS.
    nats_prefix: String = "madang".to_owned();
    /// Name of the node, unique in the installation; a random one otherwise.
    node_name: Option<String> = None;
    /// What is logged: `error`, `warn`, `info`, `debug` or a filter, as in `info,madang_server=debug`.
    log: String = "info".to_owned();
    /// Live streams a person may have; the oldest is closed.
    streams_per_person: usize = 10;
    /// Calls a person may have in flight on a node.
    calls_in_flight_per_person: usize = 32;
    /// Calls of a person that may use the database at once; others of the same person wait, not other people.
    database_waiters_per_person: usize = 8;
    /// Rooms a person may be in.
    rooms_per_person: i64 = 5_000;
    /// Members of a GROUP room.
    group_members: i64 = 2_000;
    /// Members of an OPEN room.
    open_members: i64 = 100_000;
    /// Whether the eldest member becomes admin when the last admin leaves; otherwise the last admin must hand over first.
    eldest_inherits: bool = false;
    /// Device sessions a person may have; revoked ones do not count.
    device_sessions_per_person: i64 = 20;
    /// Reading calls of a person.
    rate_read: Rate = Rate::per_second(100, 200);
    /// Changes of a person that are none of those below.
    rate_write: Rate = Rate::per_second(20, 40);
    /// Messages of a person.
    rate_send: Rate = Rate::per_second(20, 40);
    /// Read marks of a person.
    rate_mark: Rate = Rate::per_second(10, 40);
    /// Acknowledgements of a person.
    rate_ack: Rate = Rate::per_second(2, 10);
    /// Typing of a person in one room.
    rate_typing: Rate = Rate::per_second(1, 2);
    /// Joins of a person.
    rate_join: Rate = Rate::per_minute(10, 10);
    /// Searches of a person.
    rate_search: Rate = Rate::per_second(5, 10);
    /// People invited by a person.
    rate_invite: Rate = Rate::per_minute(200, 200);
    /// Streams opened by a person.
    rate_stream: Rate = Rate::per_second(1, 20);
    /// Messages to one room, whoever sends them.
    rate_room_send: Rate = Rate::per_second(200, 400);
    /// Calls from one address (IPv6: one /64) without a token, with a bad one or without the role. Above it the address is
    /// blocked for `block_time`, for such calls only: a good token passes, because a company may have one address. A token that
    /// has merely expired does not count.
    rate_bad_token: Rate = Rate::per_minute(50, 50);
    /// Ids that are not there, or not for who asks, and rights that are missing, of a person. Above it all calls of the person
    /// are refused for `block_time`; open streams go on.
    rate_refusal: Rate = Rate::per_minute(100, 200);
    /// How long an address or a person is blocked on a node.
    block_time: Duration = Duration::from_mins(5);
    /// Time between heartbeats of a stream.
    heartbeat: Duration = Duration::from_secs(20);
    /// How long a stream outlives its token.
    token_grace: Duration = Duration::from_secs(30);
    /// Silence of a peer after which its stream is closed.
    peer_timeout: Duration = Duration::from_secs(45);
    /// Time between two looks for what other nodes have changed.
    poll_interval: Duration = Duration::from_secs(1);
    /// The same while nodes hear each other over NATS.
    poll_interval_with_nats: Duration = Duration::from_secs(5);
    /// How long a stopping node waits for calls and streams to end.
    drain_timeout: Duration = Duration::from_secs(10);
    /// Age at which a connection is asked to go, so that load spreads over new nodes; spread by a tenth either way. 0: never.
    connection_age: Duration = Duration::from_hours(1);
    /// How long a reader of a stream may take nothing.
    slow_consumer: Duration = Duration::from_secs(30);
    /// How long a new stream may be silent.
    hello_timeout: Duration = Duration::from_secs(10);
    /// How long receipts are gathered before they are sent.
    receipt_gather: Duration = Duration::from_millis(500);
    /// Members above which a room is large: no receipts, no member rows in deltas.
    large_room_members: i64 = 200;
    /// Members below which a large room is small again.
    small_again_members: i64 = 150;
    /// Members up to which others' read marks are sent.
    receipts_members: i64 = 200;
    /// Members up to which delivery is tracked.
    deliveries_members: i64 = 32;
    /// Calls and streams that one connection may have open.
    streams_per_connection: u32 = 256;
    /// Connections a node takes.
    connections: usize = 50_000;
    /// Connections from one address; loopback is not counted.
    connections_per_address: usize = 2_000;
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Config {
    /// Which guards hold.
    pub fn guards(&self) -> Guards {
        #[cfg(feature = "sabotage")]
        return self.held;
        #[cfg(not(feature = "sabotage"))]
        Guards::default()
    }
}

/// Hides the settings: the database's address holds a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("listen", &self.listen).finish_non_exhaustive()
    }
}
