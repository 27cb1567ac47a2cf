//! Random strings and bytes from the operating system.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::rand_core::{OsRng, RngCore};

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut raw = [0; N];
    OsRng.fill_bytes(&mut raw);
    raw
}

/// A random id in the form of a UUID.
pub(crate) fn id() -> String {
    uuid::Builder::from_random_bytes(bytes()).into_uuid().to_string()
}

/// A string of 32 random bytes in base64url: fit for addresses and header fields without quoting.
pub(crate) fn token() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}
