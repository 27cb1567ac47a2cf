//! The people who can sign in.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Somebody who can sign in at the issuer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Person {
    /// The name to sign in with.
    pub login: String,
    /// The password, in the clear: nobody real signs in here.
    pub password: String,
    /// The first name.
    pub given_name: String,
    /// The last name.
    pub family_name: String,
    /// The number in the `employee_no` claim.
    pub employee_no: String,
    /// The roles in `realm_access.roles`.
    pub roles: Vec<String>,
    /// Whether `aud` is the array `["madang","account"]`, as Keycloak writes it for people with its default roles,
    /// instead of the string `"madang"`.
    pub account_audience: bool,
}

impl Person {
    /// A person with the role `USER`, whose password is the login and whose first name is the login with a capital.
    pub fn new(login: &str, family_name: &str) -> Self {
        let mut letters = login.chars();
        let given_name = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
        let number = Sha256::digest(login).iter().take(4).fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        Self {
            login: login.to_owned(),
            password: login.to_owned(),
            given_name,
            family_name: family_name.to_owned(),
            employee_no: format!("E{number:010}"),
            roles: vec!["USER".to_owned()],
            account_audience: false,
        }
    }

    /// The same person with one more role.
    #[must_use]
    pub fn with_role(mut self, role: &str) -> Self {
        self.roles.push(role.to_owned());
        self
    }

    /// The same person with the audience written as an array.
    #[must_use]
    pub fn with_account_audience(mut self) -> Self {
        self.account_audience = true;
        self
    }

    /// First and last name.
    pub fn name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }

    /// The `sub` claim: the same for one login at every start and in every issuer.
    pub fn subject(&self) -> String {
        let digest = Sha256::digest(format!("madang-devstack person {}", self.login));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// The people of a new dev stack.
    pub fn everyone() -> Vec<Self> {
        vec![
            Self::new("ann", "Kim"),
            Self::new("bob", "Lee").with_account_audience(),
            Self::new("cat", "Park"),
            Self::new("dan", "Choi").with_account_audience(),
            Self::new("admin", "Han").with_role("SYSTEM_ADMIN").with_account_audience(),
            Self::new("auditor", "Seo").with_role("AUDITOR"),
        ]
    }
}
