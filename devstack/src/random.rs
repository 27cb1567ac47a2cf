//! Random strings and bytes from the operating system.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::rand_core::{OsRng, RngCore};

/// A string of `bytes` random bytes in base64url: fit for addresses and header fields without quoting.
pub(crate) fn token(bytes: usize) -> String {
    let mut raw = vec![0; bytes];
    OsRng.fill_bytes(&mut raw);
    URL_SAFE_NO_PAD.encode(raw)
}
