//! What an administrator of the realm does, by Keycloak's own interface.

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::issuer::Person;

/// A signed-in administrator.
#[derive(Debug)]
pub struct Admin {
    http: Client,
    realm: String,
    token: String,
}

impl Admin {
    pub(super) async fn sign_in(http: &Client, url: &str, realm: &str, who: (&str, &str)) -> Result<Self> {
        let form = [("grant_type", "password"), ("client_id", "admin-cli"), ("username", who.0), ("password", who.1)];
        let answer = http.post(format!("{url}/realms/master/protocol/openid-connect/token")).form(&form).send().await?;
        let said: Value = answer.error_for_status()?.json().await?;
        let token = said["access_token"].as_str().context("a token")?.to_owned();
        Ok(Self { http: http.clone(), realm: format!("{url}/admin/realms/{realm}"), token })
    }

    /// The administrator's own token: of Keycloak's realm `master`.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether there is somebody with this name.
    pub async fn knows(&self, login: &str) -> Result<bool> {
        Ok(!self.find(login).await?.is_null())
    }

    /// Adds somebody, with the roles beyond those that everybody has; their id at Keycloak, which is the `sub` of their tokens.
    pub async fn add_person(&self, person: &Person) -> Result<String> {
        let body = json!({
            "username": person.login, "enabled": true, "email": format!("{}@example.org", person.login), "emailVerified": true,
            "firstName": person.given_name, "lastName": person.family_name, "attributes": { "employee_no": [person.employee_no] },
            "credentials": [{ "type": "password", "value": person.password, "temporary": false }],
        });
        self.say(Method::POST, "/users", &body).await?;
        let id = self.find(&person.login).await?;
        let id = id["id"].as_str().context("the id of who was added")?.to_owned();
        let mut roles = Vec::new();
        for role in person.roles.iter().filter(|role| *role != "USER") {
            roles.push(self.ask(&format!("/roles/{role}")).await?);
        }
        if !roles.is_empty() {
            self.say(Method::POST, &format!("/users/{id}/role-mappings/realm"), &json!(roles)).await?;
        }
        Ok(id)
    }

    async fn find(&self, login: &str) -> Result<Value> {
        let mut found = self.ask(&format!("/users?exact=true&username={login}")).await?;
        Ok(found.get_mut(0).map(Value::take).unwrap_or_default())
    }

    /// Ends all sessions of somebody; Keycloak tells clients of one of them.
    pub async fn log_out(&self, id: &str) -> Result<()> {
        self.say(Method::POST, &format!("/users/{id}/logout"), &json!({})).await.map(drop)
    }

    /// Lets nobody sign in as this person, or lets them again; no client is told.
    pub async fn enable(&self, id: &str, enabled: bool) -> Result<()> {
        self.say(Method::PUT, &format!("/users/{id}"), &json!({ "enabled": enabled })).await.map(drop)
    }

    /// Changes settings of the realm.
    pub async fn set(&self, settings: &Value) -> Result<()> {
        self.say(Method::PUT, "", settings).await.map(drop)
    }

    /// Adds a key that signs from now on; the older ones go on being shown.
    pub async fn add_key(&self) -> Result<()> {
        let realm = self.ask("").await?;
        let component = json!({
            "name": "newer", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "parentId": realm["id"],
            "config": { "priority": ["200"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"], "keySize": ["2048"] },
        });
        self.say(Method::POST, "/components", &component).await.map(drop)
    }

    /// Adds a client.
    pub async fn add_client(&self, client: &Value) -> Result<()> {
        self.say(Method::POST, "/clients", client).await.map(drop)
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.realm)).bearer_auth(&self.token).send().await?;
        Ok(taken(path, answer).await?.json().await?)
    }

    async fn say(&self, method: Method, path: &str, body: &Value) -> Result<Response> {
        let request = self.http.request(method, format!("{}{path}", self.realm)).bearer_auth(&self.token).json(body);
        taken(path, request.send().await?).await
    }
}

async fn taken(what: &str, answer: Response) -> Result<Response> {
    let status = answer.status();
    if !status.is_success() {
        bail!("Keycloak refused {what}: {status}: {}", answer.text().await.unwrap_or_default());
    }
    Ok(answer)
}
