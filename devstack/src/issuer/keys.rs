//! The issuer's keys: signing, publishing and turning over.
//!
//! Always true: the newest key signs, every key that was published stays published, and the secret of refresh tokens
//! never leaves this module.

use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Bits of an RSA key, as Keycloak makes them.
const BITS: usize = 2048;

/// Signing keys kept; the oldest is no longer published when more are made.
const KEYS: usize = 8;

/// One RSA key and the name it is published under.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) kid: String,
    private: RsaPrivateKey,
    signing: EncodingKey,
}

impl Key {
    pub(super) fn generate() -> Result<Self> {
        Self::new(RsaPrivateKey::new(&mut OsRng, BITS).context("make an RSA key")?)
    }

    /// A key made once a process: making one takes a tenth of a second to a second.
    fn once(place: &OnceLock<Key>) -> Result<Self> {
        if let Some(key) = place.get() {
            return Ok(key.clone());
        }
        let key = Self::generate()?;
        Ok(place.get_or_init(|| key).clone())
    }

    fn new(private: RsaPrivateKey) -> Result<Self> {
        let der = private.to_pkcs1_der().context("write an RSA key")?;
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(private.n().to_bytes_be()));
        Ok(Self { kid, signing: EncodingKey::from_rsa_der(der.as_bytes()), private })
    }

    fn public(&self) -> RsaPublicKey {
        self.private.to_public_key()
    }

    fn published(&self, purpose: &str, algorithm: &str) -> Value {
        json!({
            "kid": self.kid,
            "kty": "RSA",
            "alg": algorithm,
            "use": purpose,
            "n": URL_SAFE_NO_PAD.encode(self.private.n().to_bytes_be()),
            "e": URL_SAFE_NO_PAD.encode(self.private.e().to_bytes_be()),
        })
    }

    /// Header and claims as they are, with the signature the header's `alg` asks for.
    ///
    /// `none` leaves the signature out, and HS256 and its kin take the public key as their secret: the two oldest
    /// attacks on token checks, for tests.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> Result<String> {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = match header["alg"].as_str() {
            Some("none") => String::new(),
            Some(name) => {
                let algorithm: Algorithm = name.parse().context("an algorithm the issuer does not know")?;
                let secret = self.public().to_public_key_pem(LineEnding::LF).context("write a public key")?;
                match algorithm {
                    Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                        crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret.as_bytes()), algorithm)?
                    }
                    _ => crypto::sign(message.as_bytes(), &self.signing, algorithm)?,
                }
            }
            None => bail!("a token's header names its algorithm"),
        };
        Ok(format!("{message}.{signature}"))
    }
}

/// Everything the issuer signs with.
pub(super) struct KeyRing {
    /// Oldest first; the last one signs.
    keys: Vec<Key>,
    encryption: Key,
    secret: Vec<u8>,
}

/// The part of a [`KeyRing`] that outlives the process.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedKeys {
    signing: Vec<String>,
    refresh_secret: String,
}

static FIRST: OnceLock<Key> = OnceLock::new();
static ENCRYPTION: OnceLock<Key> = OnceLock::new();
static STRANGER: OnceLock<Key> = OnceLock::new();

impl KeyRing {
    /// A ring with one key: the same for all issuers of this process, as their addresses tell their tokens apart.
    pub(super) fn shared() -> Result<Self> {
        Self::with(vec![Key::once(&FIRST)?], crate::random::token())
    }

    /// A ring with one new key.
    pub(super) fn generate() -> Result<Self> {
        Self::with(vec![Key::generate()?], crate::random::token())
    }

    pub(super) fn load(saved: &SavedKeys) -> Result<Self> {
        let read = |text: &String| -> Result<Key> {
            let der = STANDARD.decode(text).context("read a saved key")?;
            Key::new(RsaPrivateKey::from_pkcs1_der(&der).context("read a saved key")?)
        };
        let keys = saved.signing.iter().map(read).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            bail!("no key was saved");
        }
        Self::with(keys, saved.refresh_secret.clone())
    }

    fn with(keys: Vec<Key>, secret: String) -> Result<Self> {
        Ok(Self { keys, encryption: Key::once(&ENCRYPTION)?, secret: secret.into_bytes() })
    }

    pub(super) fn save(&self) -> Result<SavedKeys> {
        let write = |key: &Key| Ok(STANDARD.encode(key.private.to_pkcs1_der()?.as_bytes()));
        let signing = self.keys.iter().map(write).collect::<Result<_>>()?;
        Ok(SavedKeys { signing, refresh_secret: String::from_utf8_lossy(&self.secret).into_owned() })
    }

    /// The key that signs now.
    pub(super) fn current(&self) -> &Key {
        self.keys.last().expect("a ring has at least one key")
    }

    /// Lets a new key sign; the older ones stay published.
    pub(super) fn add(&mut self, key: Key) {
        self.keys.push(key);
        let surplus = self.keys.len().saturating_sub(KEYS);
        self.keys.drain(..surplus);
    }

    /// No longer publishes any key but the one that signs, as an administrator does who disables the old ones.
    pub(super) fn forget_old(&mut self) {
        let surplus = self.keys.len() - 1;
        self.keys.drain(..surplus);
    }

    /// A key that this issuer never published, under the name of the one that signs.
    pub(super) fn stranger(&self) -> Result<Key> {
        Ok(Key { kid: self.current().kid.clone(), ..Key::once(&STRANGER)? })
    }

    /// The key set: the newest first, and a key for encryption, as Keycloak publishes one too.
    pub(super) fn published(&self) -> Value {
        let mut keys: Vec<_> = self.keys.iter().rev().map(|key| key.published("sig", "RS256")).collect();
        keys.push(self.encryption.published("enc", "RSA-OAEP"));
        json!({ "keys": keys })
    }

    /// The claims of a token that a key of this ring signed. Times are not looked at.
    pub(super) fn verify(&self, token: &str) -> Option<Value> {
        let (header, claims) = parts(token)?;
        let key = self.keys.iter().find(|key| header["kid"] == key.kid.as_str())?;
        let public = key.public();
        let decoding = DecodingKey::from_rsa_raw_components(&public.n().to_bytes_be(), &public.e().to_bytes_be());
        let (message, signature) = token.rsplit_once('.')?;
        let sound = header["alg"] == "RS256"
            && crypto::verify(signature, message.as_bytes(), &decoding, Algorithm::RS256).unwrap_or(false);
        sound.then_some(claims)
    }

    /// A refresh token: for this issuer only, so a secret signs it.
    pub(super) fn sign_refresh(&self, claims: &Value) -> Result<String> {
        let header = json!({ "alg": "HS512", "typ": "JWT" });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(&self.secret), Algorithm::HS512)?;
        Ok(format!("{message}.{signature}"))
    }

    /// The claims of a refresh token of this ring.
    pub(super) fn verify_refresh(&self, token: &str) -> Option<Value> {
        let (header, claims) = parts(token)?;
        let (message, signature) = token.rsplit_once('.')?;
        let key = DecodingKey::from_secret(&self.secret);
        let sound = header["alg"] == "HS512"
            && crypto::verify(signature, message.as_bytes(), &key, Algorithm::HS512).unwrap_or(false);
        sound.then_some(claims)
    }
}

fn parts(token: &str) -> Option<(Value, Value)> {
    let mut parts = token.split('.');
    let mut part = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
    Some((part()?, part()?))
}
