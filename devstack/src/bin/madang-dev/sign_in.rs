//! Who signs people in: the small issuer, or a Keycloak.

use madang_devstack::issuer::{CLIENT_ID, Person};

/// Long enough for the realm's policy.
const PASSWORD: &str = "madang-courtyard";

/// What others must know of it.
pub(crate) struct SignIn {
    pub(crate) issuer: String,
    /// What native clients are called there.
    pub(crate) client_id: &'static str,
    /// What servers must be told besides.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    pub(crate) people: Vec<Person>,
    /// Whether tools get a token for a name and a password.
    pub(crate) takes_passwords: bool,
}

impl SignIn {
    /// The small issuer: passwords are names, and tools may use them.
    pub(crate) fn by_the_issuer(url: &str) -> Self {
        let people = Person::everyone();
        Self { issuer: url.to_owned(), client_id: CLIENT_ID, settings: &[], people, takes_passwords: true }
    }

    /// Keycloak with the realm of `deploy/keycloak`: people sign in at its page.
    pub(crate) fn by_keycloak(url: &str) -> Self {
        let people = Person::everyone().into_iter();
        Self {
            issuer: url.to_owned(),
            client_id: "madang-desktop",
            settings: &[
                ("MADANG_CLIENT_ID", "madang-desktop"),
                ("MADANG_WEB_CLIENT_ID", "madang-web"),
                ("MADANG_ALLOWED_CLIENTS", "madang-web,madang-desktop,madang-mobile"),
            ],
            people: people.map(|person| Person { password: PASSWORD.to_owned(), ..person }).collect(),
            takes_passwords: false,
        }
    }
}
