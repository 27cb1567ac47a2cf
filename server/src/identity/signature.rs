//! Public keys of an issuer, and the check of a signature. ring does it: of a crowd that comes back at once, the pure Rust
//! arithmetic behind jsonwebtoken took a quarter of the server's processor for the signatures of its tokens.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, jwk::AlgorithmParameters};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};

/// First byte of a point whose coordinates are both written out (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A public key.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    /// Modulus and exponent.
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// A point of a curve.
    Point(Vec<u8>),
}

/// With what an algorithm is checked.
enum Check {
    Rsa(&'static RsaParameters),
    Point(&'static dyn VerificationAlgorithm),
}

impl PublicKey {
    /// The key that an issuer publishes; `None` when it is of a kind that we do not take, or is written wrongly.
    pub(super) fn of(parameters: &AlgorithmParameters) -> Option<Self> {
        Some(match parameters {
            AlgorithmParameters::RSA(key) => {
                Self::Rsa(RsaPublicKeyComponents { n: number(&key.n)?, e: number(&key.e)? })
            }
            AlgorithmParameters::EllipticCurve(key) => {
                Self::Point([vec![UNCOMPRESSED], bytes(&key.x)?, bytes(&key.y)?].concat())
            }
            AlgorithmParameters::OctetKeyPair(key) => Self::Point(bytes(&key.x)?),
            _ => return None,
        })
    }

    /// Whether the owner of the key has signed this.
    pub(super) fn has_signed(&self, said: &[u8], signature: &str, algorithm: Algorithm) -> bool {
        let Some(signature) = bytes(signature) else { return false };
        let checked = match (check(algorithm), self) {
            (Some(Check::Rsa(how)), Self::Rsa(key)) => key.verify(how, said, &signature),
            (Some(Check::Point(how)), Self::Point(key)) => UnparsedPublicKey::new(how, key).verify(said, &signature),
            _ => return false,
        };
        checked.is_ok()
    }
}

fn check(algorithm: Algorithm) -> Option<Check> {
    Some(match algorithm {
        Algorithm::RS256 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Check::Rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::ES256 => Check::Point(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Check::Point(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Check::Point(&ED25519),
        _ => return None,
    })
}

fn bytes(base64: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(base64).ok()
}

/// A number without the zeros that some issuers put in front of it, and ring does not take.
fn number(base64: &str) -> Option<Vec<u8>> {
    let bytes = bytes(base64)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}
