//! A sign-in as a browser does it: Keycloak's page, its form, its cookies, and the code that comes back (RFC 6749, RFC 7636).

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, StatusCode, header, redirect};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The desktop's client of the realm, and where it is told its code.
pub const CLIENT: &str = "madang-desktop";
const REDIRECT: &str = "http://127.0.0.1/signed-in";

/// What a sign-in gives.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub id: String,
}

/// A browser without pages to show.
#[derive(Debug)]
pub struct Browser {
    http: Client,
    endpoint: String,
}

impl Browser {
    /// One without cookies.
    pub fn new(issuer: &str) -> Self {
        let http = Client::builder().redirect(redirect::Policy::none()).build().expect("a client");
        Self { http, endpoint: format!("{issuer}/protocol/openid-connect") }
    }

    /// Signs somebody in. Fails with what the page says when Keycloak takes no such name and password.
    pub async fn sign_in(&self, login: &str, password: &str) -> Result<Tokens> {
        let verifier = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let asked = [
            ("client_id", CLIENT),
            ("response_type", "code"),
            ("scope", "openid"),
            ("redirect_uri", REDIRECT),
            ("state", "here"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let url = reqwest::Url::parse_with_params(&format!("{}/auth", self.endpoint), asked)?;
        let page = self.http.get(url).send().await?.error_for_status()?;
        // They are for https, which a browser grants to loopback.
        let cookies: Vec<String> = page
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|cookie| Some(cookie.to_str().ok()?.split(';').next()?.to_owned()))
            .collect();
        let action = form_action(&page.text().await?)?;
        let form = [("username", login), ("password", password), ("credentialId", "")];
        let answer = self.http.post(action).header(header::COOKIE, cookies.join("; ")).form(&form).send().await?;
        ensure!(answer.status() == StatusCode::FOUND, "not signed in: {}", trouble(&answer.text().await?));
        let back = answer.headers().get(header::LOCATION).context("where to")?.to_str()?;
        let back = reqwest::Url::parse(back)?;
        let said = |name: &str| back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        ensure!(said("state").as_deref() == Some("here"), "another sign-in came back: {back}");
        let code = said("code").with_context(|| format!("no code: {back}"))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", &*verifier),
        ];
        self.ask("/token", &form).await
    }

    /// The next tokens. Fails when the session is over.
    pub async fn refresh(&self, refresh: &str) -> Result<Tokens> {
        self.ask("/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
    }

    /// Signs out of the issuer.
    pub async fn sign_out(&self, tokens: &Tokens) -> Result<()> {
        let form = [("client_id", CLIENT), ("refresh_token", &*tokens.refresh)];
        self.http.post(format!("{}/logout", self.endpoint)).form(&form).send().await?.error_for_status()?;
        Ok(())
    }

    /// An access token of a client that takes passwords.
    pub async fn of_client(&self, client: &str, login: &str, password: &str) -> Result<String> {
        let form = [("grant_type", "password"), ("client_id", client), ("username", login), ("password", password)];
        let answer = self.http.post(format!("{}/token", self.endpoint)).form(&form).send().await?.error_for_status()?;
        let said: Value = answer.json().await?;
        said["access_token"].as_str().map(str::to_owned).with_context(|| format!("no token: {said}"))
    }

    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Result<Tokens> {
        let form = [form, &[("client_id", CLIENT)]].concat();
        let answer = self.http.post(format!("{}{path}", self.endpoint)).form(&form).send().await?;
        let status = answer.status();
        let said: Value = answer.json().await?;
        if !status.is_success() {
            bail!("{status}: {said}");
        }
        let text = |name: &str| said[name].as_str().map(str::to_owned).with_context(|| format!("no {name}: {said}"));
        Ok(Tokens { access: text("access_token")?, refresh: text("refresh_token")?, id: text("id_token")? })
    }
}

/// Where the page's form goes.
fn form_action(page: &str) -> Result<String> {
    let (_, rest) = page.split_once("id=\"kc-form-login\"").context("no form to sign in with")?;
    let (_, rest) = rest.split_once("action=\"").context("the form goes nowhere")?;
    let (action, _) = rest.split_once('"').context("the form goes nowhere")?;
    Ok(action.replace("&amp;", "&"))
}

/// What the page says went wrong.
fn trouble(page: &str) -> String {
    let said = page.split_once("id=\"input-error").map_or(page, |(_, rest)| rest);
    said.chars().take(300).collect()
}
