//! What others need to know of a dev stack, as a file.

use std::path::Path;

use anyhow::Result;
use madang_devstack::issuer::Person;
use serde::{Deserialize, Serialize};

use crate::sign_in::SignIn;

/// A person to sign in as.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Somebody {
    pub(crate) login: String,
    pub(crate) password: String,
    pub(crate) roles: Vec<String>,
}

/// The content of the ready file, and of `current.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The server's address, for gRPC.
    pub(crate) grpc: String,
    /// The same address, for gRPC-web.
    pub(crate) web: String,
    /// Addresses of all servers; `grpc` is the first.
    pub(crate) nodes: Vec<String>,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// Whether a token is given for a name and a password.
    pub(crate) takes_passwords: bool,
    pub(crate) database_url: String,
    pub(crate) server_pid: u32,
    pub(crate) people: Vec<Somebody>,
}

impl Ready {
    pub(crate) fn new(nodes: &[std::net::SocketAddr], sign_in: SignIn, database_url: &str, server_pid: u32) -> Self {
        let nodes: Vec<String> = nodes.iter().map(|address| format!("http://{address}")).collect();
        let address = nodes.first().cloned().unwrap_or_default();
        let somebody =
            |person: Person| Somebody { login: person.login, password: person.password, roles: person.roles };
        Self {
            web: address.clone(),
            grpc: address,
            nodes,
            issuer: sign_in.issuer,
            client_id: sign_in.client_id.to_owned(),
            takes_passwords: sign_in.takes_passwords,
            database_url: database_url.to_owned(),
            server_pid,
            people: sign_in.people.into_iter().map(somebody).collect(),
        }
    }

    /// Writes the file; it is there whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        madang_devstack::files::write_private(path, &serde_json::to_vec_pretty(self)?)
    }

    /// Removes the file, unless another stack has written it since.
    pub(crate) fn remove(&self, path: &Path) {
        let text = std::fs::read(path).unwrap_or_default();
        let found: Option<Self> = serde_json::from_slice(&text).ok();
        if found.is_some_and(|found| found.server_pid == self.server_pid) {
            std::fs::remove_file(path).ok();
        }
    }
}
