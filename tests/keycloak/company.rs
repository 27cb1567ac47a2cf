//! A company: its Keycloak, a server that trusts it, its people.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use anyhow::Result;
use madang_devstack::{
    issuer::Person,
    keycloak::{Admin, Keycloak},
};
use madang_proto::v1;
use madang_sdk_core::{Client, ClientConfig, ClientError, ClientErrorKind, StoreLocation, TokenProvider};
use madang_server::config::Config;
use madang_tests::{World, WorldConfig, person::Calls};
use uuid::Uuid;

use crate::browser::{Browser, CLIENT, Tokens};

/// Long enough for the realm's policy.
pub const PASSWORD: &str = "courtyard-of-the-village";

/// The node that Keycloak tells; the first is one that it does not know.
const NODE: usize = 1;

/// A Keycloak of this process, which ends with it, and where the server of each story is: Keycloak is told at its start.
struct Shared {
    keycloak: Keycloak,
    listen: SocketAddr,
    /// Keycloak ends when nothing holds its standard input any more.
    _child: Child,
}

static SHARED: LazyLock<Shared> = LazyLock::new(start);

/// A server, and Keycloak.
pub struct Company {
    pub world: World,
    pub keycloak: &'static Keycloak,
}

/// Somebody who can sign in.
#[derive(Debug, Clone)]
pub struct Employee {
    pub person: Person,
    /// Their id at Keycloak.
    pub subject: String,
}

/// Tokens of one session at Keycloak, renewed there.
#[derive(Debug)]
pub struct Session {
    browser: Browser,
    tokens: tokio::sync::Mutex<Tokens>,
    /// How often they were renewed.
    renewed: Mutex<u32>,
}

impl Company {
    /// Keycloak starts once; the server is this story's.
    pub async fn open() -> Self {
        let keycloak = &SHARED.keycloak;
        let settings = |config: &mut Config| {
            config.issuer = SHARED.keycloak.issuer();
            config.allowed_clients = vec![CLIENT.to_owned(), "madang-web".to_owned(), "madang-mobile".to_owned()];
            config.web_root = std::env::var_os("MADANG_WEB").map(Into::into);
            config.web_client_id = Some("madang-web".to_owned());
        };
        let mut world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
        world.start_server_at(SHARED.listen).await.expect("the address that Keycloak was told");
        Self { world, keycloak }
    }

    pub async fn admin(&self) -> Admin {
        self.keycloak.admin().await.expect("the administrator signs in")
    }

    /// Adds somebody who was not there.
    pub async fn employee(&self, login: &str, roles: &[&str]) -> Employee {
        let login = format!("{login}-{}", &Uuid::now_v7().simple().to_string()[20..]);
        let mut person = Person { password: PASSWORD.to_owned(), ..Person::new(&login, "Kim") };
        person.roles.extend(roles.iter().map(|role| (*role).to_owned()));
        let subject = self.admin().await.add_person(&person).await.expect("added");
        Employee { person, subject }
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.keycloak.issuer())
    }

    /// Signs somebody in through Keycloak's page.
    pub async fn sign_in(&self, who: &Employee) -> Arc<Session> {
        let browser = self.browser();
        let tokens = browser.sign_in(&who.person.login, PASSWORD).await.expect("Keycloak lets them in");
        Arc::new(Session { browser, tokens: tokens.into(), renewed: Mutex::new(0) })
    }

    /// A device of somebody: the real core, on a session.
    pub async fn device(&self, session: &Arc<Session>) -> Client {
        let config = ClientConfig::new(self.world.server(NODE), StoreLocation::Memory);
        Client::open(config, Arc::clone(session) as Arc<dyn TokenProvider>).await.expect("a client")
    }

    /// Asks who the token's person is.
    pub async fn me(&self, token: &str) -> Result<v1::User, tonic::Status> {
        let calls = self.calls(token);
        let answer = calls.identity().get_me(calls.request(v1::GetMeRequest {})).await?;
        Ok(answer.into_inner().user.expect("a profile"))
    }

    /// Where the server that Keycloak knows is, with its web app.
    pub fn address(&self) -> String {
        self.world.server(NODE)
    }

    /// Calls with a token, on a new device.
    pub fn calls(&self, token: &str) -> Calls {
        Calls::new(&self.world.server(NODE), token.to_owned(), Uuid::now_v7().to_string()).expect("an address")
    }
}

fn start() -> Shared {
    let folder = std::env::var_os("MADANG_KEYCLOAK").expect("MADANG_KEYCLOAK: run `cargo xtask test keycloak`");
    let listen = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let here = format!("http://{listen}");
    let realm = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/keycloak/madang-realm.json");
    let own = std::env::current_exe().expect("this program");
    let program = own.ancestors().nth(2).expect("a folder of programs").join("madang-keycloak");
    let mut command = Command::new(program);
    command.arg("--folder").arg(folder).arg("--realm").arg(realm).args(["--web", &here, "--node", &here]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("madang-keycloak runs");
    let mut line = String::new();
    let read = BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line);
    read.expect("Keycloak starts");
    let said: serde_json::Value = serde_json::from_str(&line).expect("Keycloak says where it is");
    let keycloak = Keycloak::at(said["url"].as_str().expect("an address").to_owned()).expect("a client");
    Shared { keycloak, listen, _child: child }
}

impl Session {
    pub async fn tokens(&self) -> Tokens {
        self.tokens.lock().await.clone()
    }

    pub fn renewed(&self) -> u32 {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl TokenProvider for Session {
    async fn token(&self, fresh: bool) -> Result<String, ClientError> {
        let mut tokens = self.tokens.lock().await;
        if fresh {
            // A refresh token is good for one use: whoever waits at the lock takes what this one gets.
            let renewed = self.browser.refresh(&tokens.refresh).await;
            *tokens = renewed.map_err(|error| ClientError::new(ClientErrorKind::Unauthenticated, error.to_string()))?;
            *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        Ok(tokens.access.clone())
    }
}
