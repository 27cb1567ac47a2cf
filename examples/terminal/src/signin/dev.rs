//! The development stack's people, who sign in by the password grant.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, anyhow};
use async_trait::async_trait;
use madang_sdk_core::{ClientError, TokenProvider};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    SignedIn,
    http::{self, Tokens},
};

/// What the development stack wrote when it was ready.
#[derive(Debug, Deserialize)]
struct Stack {
    nodes: Vec<String>,
    issuer: String,
    client_id: String,
    people: Vec<DevPerson>,
}

#[derive(Debug, Deserialize)]
struct DevPerson {
    login: String,
    password: String,
}

/// Tokens by the password grant, then by refreshing.
#[derive(Debug)]
struct PasswordTokens {
    http: reqwest::Client,
    endpoint: String,
    client_id: String,
    login: String,
    password: String,
    held: Mutex<Option<Tokens>>,
}

/// Reads what the stack runs and prepares to sign in; the first call does.
pub(super) fn sign_in(file: &Path, node: usize, login: &str) -> Result<SignedIn> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}; is the development stack running?", file.display()))?;
    let stack: Stack =
        serde_json::from_str(&text).with_context(|| format!("{} is not what it should be", file.display()))?;
    let logins: Vec<&str> = stack.people.iter().map(|person| person.login.as_str()).collect();
    let known = logins.join(", ");
    let person = stack.people.into_iter().find(|person| person.login == login);
    let person = person.ok_or_else(|| anyhow!("nobody is called {login} there; people: {known}"))?;
    let count = stack.nodes.len();
    let server = stack.nodes.into_iter().nth(node.wrapping_sub(1));
    let server = server.with_context(|| format!("there is no server {node}; the stack has {count}"))?;
    let tokens = PasswordTokens {
        http: http::client()?,
        endpoint: format!("{}/protocol/openid-connect/token", stack.issuer.trim_end_matches('/')),
        client_id: stack.client_id,
        login: person.login,
        password: person.password,
        held: Mutex::default(),
    };
    Ok(SignedIn { server, login: login.to_owned(), tokens: Arc::new(tokens) })
}

#[async_trait]
impl TokenProvider for PasswordTokens {
    async fn token(&self, fresh: bool) -> Result<String, ClientError> {
        let mut held = self.held.lock().await;
        if let Some(tokens) = held.as_ref().filter(|tokens| !fresh && tokens.are_good()) {
            return Ok(tokens.access.clone());
        }
        let refresh = held.take().and_then(|tokens| tokens.refresh);
        let tokens = match refresh {
            Some(refresh) => match self.refresh(&refresh).await {
                Ok(tokens) => tokens,
                Err(_) => self.sign_in().await?,
            },
            None => self.sign_in().await?,
        };
        Ok(held.insert(tokens).access.clone())
    }
}

impl PasswordTokens {
    async fn refresh(&self, refresh: &str) -> Result<Tokens, ClientError> {
        let form = [("grant_type", "refresh_token"), ("client_id", &self.client_id), ("refresh_token", refresh)];
        http::ask(&self.http, &self.endpoint, &form).await
    }

    async fn sign_in(&self) -> Result<Tokens, ClientError> {
        let form = [
            ("grant_type", "password"),
            ("client_id", &self.client_id),
            ("username", &self.login),
            ("password", &self.password),
            ("scope", "openid"),
        ];
        http::ask(&self.http, &self.endpoint, &form).await
    }
}
