//! A real Keycloak as the issuer, with the realm of `deploy/keycloak`: sign-in, roles, renewal, keys, ends of sessions, refusals.
//!
//! Its folder is said by `MADANG_KEYCLOAK` (`cargo xtask test keycloak` fetches it). One Keycloak and one server for all stories,
//! each with people of its own.

mod browser;
mod company;
mod stories;
