//! A real Keycloak as the issuer, with the realm of `deploy/keycloak`: sign-in, roles, renewal, keys, ends of sessions, refusals.
//!
//! Its folder is said by `MADANG_KEYCLOAK`, that of the built web app by `MADANG_WEB` (`cargo xtask test keycloak` has both). One
//! Keycloak and one server for all stories, each with people of its own.

mod browser;
mod company;
mod stories;
mod web;
