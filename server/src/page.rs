//! Pages: sizes within bounds, and tokens that say where the next one begins.

use crate::error::{Error, Reason, Result};

/// The size of a page: 0 is the default, above the maximum is the maximum.
pub fn size(asked: i32, default: i64, maximum: i64) -> i64 {
    match i64::from(asked) {
        0 => default,
        asked => asked.clamp(1, maximum),
    }
}

/// A token of the key after which the next page begins.
pub fn token(key: &[&str]) -> String {
    key.join("\u{1f}")
}

/// Reads a token; empty is the first page.
pub fn after(token: &str, parts: usize) -> Result<Option<Vec<String>>> {
    if token.is_empty() {
        return Ok(None);
    }
    let key: Vec<String> = token.split('\u{1f}').map(str::to_owned).collect();
    if key.len() == parts { Ok(Some(key)) } else { Err(invalid()) }
}

/// A token that this server did not give.
pub fn invalid() -> Error {
    crate::error::Refusal::new(Reason::PageTokenInvalid, "page_token: not given by this server for this call")
        .with("field", "page_token")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stay_within_their_bounds() {
        assert_eq!(size(0, 50, 200), 50);
        assert_eq!(size(1_000_000, 50, 200), 200);
        assert_eq!(size(7, 50, 200), 7);
    }

    #[test]
    fn a_token_comes_back_as_its_key_and_a_foreign_one_is_refused() {
        assert_eq!(after(&token(&["a", "b"]), 2).expect("ours"), Some(vec!["a".into(), "b".into()]));
        assert!(after("foreign", 2).is_err_and(|e| e.is(Reason::PageTokenInvalid)));
    }
}
