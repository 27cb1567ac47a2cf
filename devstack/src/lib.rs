//! What development and tests start on their own: PostgreSQL, a sign-in server, Keycloak, NATS, and the `madang` binary.
//!
//! Everything listens on 127.0.0.1 only and needs nothing installed but a Rust toolchain; NATS is Debian's, and Keycloak wants Java.
//! Nothing here is part of the server: it is never shipped.

pub mod files;
pub mod issuer;
pub mod keycloak;
pub mod nats;
pub mod postgres;
mod random;
pub mod server_process;
