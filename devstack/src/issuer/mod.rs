//! A sign-in server for development and tests: real OpenID Connect over HTTP, with Keycloak's paths and claim names.
//!
//! Authorization code with PKCE, device grant, password grant, refresh with rotation, end of session, key rotation.
//! Always true: it listens on 127.0.0.1 only, every list has a bound, and a server cannot tell it from a Keycloak realm
//! by its tokens. Not here: registration, consent, single sign-on over cookies, back-channel logout.
//! [`Issuer`] also mints what a test needs and no issuer would give out: see [`Issuer::token_with`].

mod authorize;
mod core;
mod device;
mod form;
mod http;
mod keys;
mod listener;
mod pages;
mod person;
mod refusal;
mod saved;
mod store;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use person::Person;

use self::core::{Core, header};
use keys::{Key, KeyRing};
use listener::Listener;
use store::Store;

/// The client id of Madang's applications: the `azp` of their tokens.
pub const CLIENT_ID: &str = "madang-app";

/// The audience of their access tokens.
pub const AUDIENCE: &str = "madang";

/// How an issuer is run.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// The port; `None` takes any free one.
    pub port: Option<u16>,
    /// Who can sign in.
    pub people: Vec<Person>,
    /// How long an access token is good: five minutes, as in Keycloak, unless told otherwise.
    pub access_token_lifetime: Duration,
    /// How long a session lives without a refresh: half an hour, as in Keycloak, unless told otherwise.
    pub session_idle: Duration,
    /// How long a device waits between two questions: five seconds (RFC 8628), unless told otherwise.
    pub device_interval: Duration,
    /// Where keys and sessions are kept over a restart; `None` keeps nothing.
    pub state_file: Option<PathBuf>,
}

impl Default for IssuerConfig {
    fn default() -> Self {
        Self {
            port: None,
            people: Person::everyone(),
            access_token_lifetime: Duration::from_mins(5),
            session_idle: Duration::from_mins(30),
            device_interval: Duration::from_secs(5),
            state_file: None,
        }
    }
}

/// What somebody has who is signed in. Times are seconds.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For the server.
    pub access_token: String,
    /// For the next tokens, once.
    pub refresh_token: String,
    /// Who signed in, for the application; only with the scope `openid`.
    pub id_token: Option<String>,
    /// The session, as in the claim of that name.
    pub sid: String,
    /// The scope that was granted.
    pub scope: String,
    /// Seconds the access token is good.
    pub expires_in: i64,
    /// Seconds the refresh token is good.
    pub refresh_expires_in: i64,
}

/// A running issuer. It ends when the value goes; [`Issuer::stop`] also writes the last changes.
pub struct Issuer {
    core: Arc<Core>,
    listener: Listener,
    keeper: JoinSet<()>,
    state_file: Option<PathBuf>,
    port: u16,
}

impl Issuer {
    /// Starts an issuer. Fails when the port is taken.
    pub async fn start(config: IssuerConfig) -> Result<Self> {
        let wanted = config.port.unwrap_or(0);
        let socket = TcpListener::bind(("127.0.0.1", wanted));
        let socket = socket.await.with_context(|| format!("listen on port {wanted} for the issuer"))?;
        let port = socket.local_addr()?.port();
        let file = config.state_file.clone();
        let load = move || file.map_or_else(|| Ok((KeyRing::shared()?, Store::default())), |file| saved::load(&file));
        let (keys, store) = tokio::task::spawn_blocking(load).await??;
        let url = format!("http://127.0.0.1:{port}{}", http::REALM);
        let core = Arc::new(Core::new(url, &config, keys, store));
        let mut keeper = JoinSet::new();
        if let Some(file) = config.state_file.clone() {
            keeper.spawn(saved::keep(file, core.clone()));
        }
        let listener = Listener::start(socket, http::router(core.clone()));
        Ok(Self { core, listener, keeper, state_file: config.state_file, port })
    }

    /// The issuer's address, the `iss` of its tokens.
    pub fn url(&self) -> &str {
        &self.core.url
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A good access token of a person, in a new session.
    pub fn token(&self, login: &str) -> Result<String> {
        Ok(self.session(login)?.access_token)
    }

    /// Signs a person in and gives what an application would have.
    pub fn session(&self, login: &str) -> Result<Tokens> {
        self.core.begin(login, "openid", None)
    }

    /// The next tokens for a refresh token, as the token endpoint gives them.
    pub fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        self.core.refresh(refresh_token).map_err(|refusal| anyhow::anyhow!("{}", refusal.description()))
    }

    /// An access token whose claims and header were changed before it was signed.
    ///
    /// The header's `alg` decides on the signature: `none` leaves it out, `HS256` signs with the public key as the
    /// secret, others sign with the issuer's key.
    pub fn token_with(&self, login: &str, edit: impl FnOnce(&mut Value, &mut Value)) -> Result<String> {
        let (claims, header) = self.edited(login, edit)?;
        self.core.keys().current().sign(&header, &claims)
    }

    /// The same, signed by a key that this issuer never published, under the name of the one that it did.
    pub fn token_by_stranger(&self, login: &str, edit: impl FnOnce(&mut Value, &mut Value)) -> Result<String> {
        let (claims, header) = self.edited(login, edit)?;
        let stranger = self.core.keys().stranger()?;
        stranger.sign(&header, &claims)
    }

    fn edited(&self, login: &str, edit: impl FnOnce(&mut Value, &mut Value)) -> Result<(Value, Value)> {
        let session = self.session(login)?;
        let session = self.core.session(&session.sid).context("a session that has just begun")?;
        let mut claims = self.core.access_claims(&self.core.person(login)?, &session);
        let mut head = header(&self.core.keys());
        edit(&mut claims, &mut head);
        Ok((claims, head))
    }

    /// Adds a person, or replaces the one with this login.
    pub fn add_person(&self, person: Person) {
        self.core.store().people.insert(person.login.clone(), person);
    }

    /// Takes a person away: nothing more is given to them, and their sessions refresh no more.
    pub fn remove_person(&self, login: &str) {
        self.core.store().people.remove(login);
    }

    /// Changes a person's roles, from their next token on.
    pub fn set_roles(&self, login: &str, roles: &[&str]) -> Result<()> {
        let mut store = self.core.store();
        let person = store.people.get_mut(login).with_context(|| format!("the issuer knows no person {login:?}"))?;
        person.roles = roles.iter().map(|&role| role.to_owned()).collect();
        Ok(())
    }

    /// Ends a session; tells whether there was one.
    pub fn end_session(&self, sid: &str) -> bool {
        self.core.end(sid)
    }

    /// Lets a new key sign. The old ones stay published, so that older tokens stay good.
    pub async fn rotate_keys(&self) -> Result<()> {
        self.core.rotate(tokio::task::spawn_blocking(Key::generate).await??);
        Ok(())
    }

    /// Publishes no key but the one that signs now: tokens of older ones are bad from here on.
    pub fn forget_old_keys(&self) {
        self.core.keys().forget_old();
        self.core.changed();
    }

    /// Lets the issuer's clock go wrong by so many seconds: negative is in the past.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.core.set_clock_offset(seconds);
    }

    /// How long the next access tokens are good.
    pub fn set_access_token_lifetime(&self, lifetime: Duration) {
        self.core.set_access_lifetime(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 4));
    }

    /// How often the key set was fetched.
    pub fn key_fetches(&self) -> u64 {
        self.core.key_fetches.load(Ordering::Relaxed)
    }

    /// How often the discovery document was fetched.
    pub fn discovery_fetches(&self) -> u64 {
        self.core.discovery_fetches.load(Ordering::Relaxed)
    }

    /// Cuts every connection and answers none, until [`Issuer::resume`]. The port stays taken.
    pub fn pause(&self) {
        self.listener.cut();
    }

    /// Answers again.
    pub fn resume(&self) {
        self.listener.mend();
    }

    /// Writes the last changes and closes the port.
    pub async fn stop(mut self) -> Result<()> {
        self.listener.close().await?;
        self.keeper.shutdown().await;
        match &self.state_file {
            Some(file) => saved::save(file, &self.core),
            None => Ok(()),
        }
    }
}
