//! People: who they are to us, their profiles, and whether their accounts may be used.
//!
//! Always true: a person is made at their first valid token and has one id for good; the issuer's subject never leaves the
//! server; what the issuer says is taken over only from a token that is newer than the last one; a name chosen here stays
//! until the issuer says another. `identity` holds the calls about sign-in and devices, which need both people and sessions.

pub mod identity;
mod people;
pub mod service;
mod sign_in;
mod store;
mod wire;

pub use self::{
    people::{People, Person},
    sign_in::{Origin, SignIn},
};

use unicode_normalization::UnicodeNormalization as _;

/// A name as it is compared: NFC, lower case.
pub fn key(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn names_are_compared_in_nfc_and_lower_case() {
        assert_eq!(key("ANN"), "ann");
        assert_eq!(key("\u{1112}\u{1169}\u{11bc}"), "\u{d64d}");
        assert_eq!(key("É"), key("e\u{301}"));
    }
}
