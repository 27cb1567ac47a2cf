//! Signing in at a real issuer, with PKCE either way: by a code that the person types into any browser, or by the browser
//! of this machine.

use anyhow::{Context as _, Result, anyhow};
use madang_sdk_core::v1::ServerInfo;
use openidconnect::{
    AdditionalProviderMetadata, AuthenticationFlow, ClientId, CsrfToken, DeviceAuthorizationUrl, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, ProviderMetadata, RedirectUrl, Scope,
    TokenResponse as _,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
        CoreDeviceAuthorizationResponse, CoreGrantType, CoreIdTokenClaims, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType, CoreTokenResponse,
    },
};
use serde::{Deserialize, Serialize};

use super::{http, kept::Account, redirect::Redirect};
use crate::{screen::line, words::Language};

/// What discovery says beside the usual: where codes are given out.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct DeviceEndpoint {
    device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
}

impl AdditionalProviderMetadata for DeviceEndpoint {}

type Metadata = ProviderMetadata<
    DeviceEndpoint,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A request of the library, through the client that everything here uses.
async fn carry(http: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let answer = http.execute(request.try_into()?).await?;
    let mut response = HttpResponse::new(Vec::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = answer.bytes().await?.to_vec();
    Ok(response)
}

async fn discover(info: &ServerInfo, http: &reqwest::Client) -> Result<Metadata> {
    let issuer = IssuerUrl::new(info.issuer.clone()).context("the server names no issuer")?;
    let call = |request| carry(http, request);
    Metadata::discover_async(issuer, &call).await.with_context(|| format!("the issuer {} does not answer", info.issuer))
}

fn scopes() -> [Scope; 2] {
    // Refresh tokens that outlive the browser's session.
    ["profile", "offline_access"].map(|scope| Scope::new(scope.into()))
}

/// The device grant: the person opens an address anywhere and confirms a code.
pub(super) async fn by_code(info: &ServerInfo, language: Language) -> Result<Account> {
    let http = http::client()?;
    let metadata = discover(info, &http).await?;
    let device = metadata.additional_metadata().device_authorization_endpoint.clone();
    let device = device.ok_or_else(|| anyhow!("the issuer knows no sign-in by code: use --browser"))?;
    let token_endpoint = token_endpoint(&metadata)?;
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(info.client_id.clone()), None)
        .set_device_authorization_url(device);
    // Clients that demand PKCE demand it here too, which the library does not know.
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let call = |request| carry(&http, request);
    let asked: CoreDeviceAuthorizationResponse = client
        .exchange_device_code()
        .add_scopes(scopes())
        .add_extra_param("code_challenge", challenge.as_str().to_owned())
        .add_extra_param("code_challenge_method", challenge.method().as_str().to_owned())
        .request_async(&call)
        .await
        .context("the issuer gives no code")?;
    let address = asked
        .verification_uri_complete()
        .map_or_else(|| asked.verification_uri().as_str().to_owned(), |complete| complete.secret().clone());
    let open = language.say("open this address and confirm the code", "이 주소를 열고 코드를 확인하세요");
    line(&format!("# {open} {}: {address}", asked.user_code().secret()));
    let tokens = client
        .exchange_device_access_token(&asked)
        .context("the issuer's description is not whole")?
        .add_extra_param("code_verifier", verifier.secret().clone())
        .request_async(&call, tokio::time::sleep, None)
        .await
        .context("the sign-in was not confirmed")?;
    let id = tokens.id_token().context("the issuer gave no ID token")?;
    // This grant has no nonce: the code came over the issuer's own connection.
    let claims = id.claims(&client.id_token_verifier(), |_: Option<&Nonce>| Ok(()))?;
    account(info, token_endpoint, &tokens, login(claims))
}

/// The browser of this machine, which comes back to a port of this program.
pub(super) async fn by_browser(info: &ServerInfo, language: Language) -> Result<Account> {
    let http = http::client()?;
    let metadata = discover(info, &http).await?;
    let token_endpoint = token_endpoint(&metadata)?;
    let redirect = Redirect::listen().await?;
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(info.client_id.clone()), None)
        .set_redirect_uri(RedirectUrl::new(redirect.address())?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (address, state, nonce) = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scopes(scopes())
        .set_pkce_challenge(challenge)
        .url();
    line(&format!("# {}: {address}", language.say("open this address here", "이 컴퓨터에서 이 주소를 여세요")));
    let code = redirect.code(&state, language).await?;
    let call = |request| carry(&http, request);
    let tokens = client
        .exchange_code(code)?
        .set_pkce_verifier(verifier)
        .request_async(&call)
        .await
        .context("the issuer does not take its own code")?;
    let id = tokens.id_token().context("the issuer gave no ID token")?;
    let claims = id.claims(&client.id_token_verifier(), &nonce).context("the ID token is not for this sign-in")?;
    account(info, token_endpoint, &tokens, login(claims))
}

fn token_endpoint(metadata: &Metadata) -> Result<String> {
    let endpoint = metadata.token_endpoint().context("the issuer has no token endpoint")?;
    Ok(endpoint.as_str().to_owned())
}

/// The server checks every token; here the name only tells files apart.
fn login(claims: &CoreIdTokenClaims) -> String {
    claims.preferred_username().map_or_else(|| claims.subject().to_string(), |name| name.to_string())
}

fn account(info: &ServerInfo, token_endpoint: String, tokens: &CoreTokenResponse, login: String) -> Result<Account> {
    let refresh_token = tokens.refresh_token().context("the issuer gave no refresh token")?.secret().clone();
    Ok(Account { login, token_endpoint, client_id: info.client_id.clone(), refresh_token })
}
