//! The form of a token, and its signature.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{invalid, signature::PublicKey};
use crate::error::Result;

/// Longest token in bytes: Keycloak's with many roles stay below 4 KiB.
const MOST_BYTES: usize = 8 * 1024;

/// Algorithms with a public key that an issuer may sign with; never `none`, never one with a shared secret.
const ALGORITHMS: [(&str, Algorithm); 7] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What a token is for; its header says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To call with.
    Access,
    /// The issuer ended a session.
    Logout,
}

/// A token of the right form; nothing in it is believed yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// Which key is said to have signed it.
    pub(super) key_id: String,
    /// With which algorithm.
    pub(super) algorithm: Algorithm,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// Refuses what is too long to be looked at.
pub(super) fn check_length(token: &str) -> Result<()> {
    if token.len() > MOST_BYTES { Err(invalid("length")) } else { Ok(()) }
}

impl<'a> Token<'a> {
    /// Takes it apart.
    pub(super) fn parse(token: &'a str, wanted: Use) -> Result<Self> {
        check_length(token)?;
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| invalid("form"))?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| invalid("form"))?;
        let header = object(header)?;
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let (_, algorithm) = ALGORITHMS.iter().find(|(name, _)| *name == algorithm).ok_or_else(|| invalid("alg"))?;
        // RFC 7515 4.1.11: whoever does not know a critical field refuses the token; we know none.
        if header.contains_key("crit") {
            return Err(invalid("crit"));
        }
        if !header.get("typ").is_none_or(|typ| wanted.is_named(typ)) {
            return Err(invalid("typ"));
        }
        let key_id = header.get("kid").and_then(Value::as_str).ok_or_else(|| invalid("kid"))?;
        Ok(Self { key_id: key_id.to_owned(), algorithm: *algorithm, signed, payload, signature })
    }

    /// Checks the signature with a key that fits the algorithm.
    pub(super) fn check_signature(&self, key: &PublicKey) -> Result<()> {
        let right = key.has_signed(self.signed.as_bytes(), self.signature, self.algorithm);
        if right { Ok(()) } else { Err(invalid("signature")) }
    }

    /// What it says.
    pub(super) fn payload(&self) -> Result<Map<String, Value>> {
        object(self.payload)
    }
}

impl Use {
    /// Whether a header's type is that of such a token: access tokens by RFC 9068 and Keycloak's, logout tokens by OpenID Connect
    /// Back-Channel Logout 1.0.
    fn is_named(self, typ: &Value) -> bool {
        let own = match self {
            Self::Access => "at+jwt",
            Self::Logout => "logout+jwt",
        };
        typ.as_str().is_some_and(|typ| {
            let typ = typ.to_ascii_lowercase();
            let typ = typ.strip_prefix("application/").unwrap_or(&typ);
            typ == "jwt" || typ == own
        })
    }
}

fn object(part: &str) -> Result<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid("form"))?;
    serde_json::from_slice(&bytes).map_err(|_| invalid("form"))
}
