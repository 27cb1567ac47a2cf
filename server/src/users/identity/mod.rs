//! The calls of `IdentityService`: what the server says about itself, who the caller is, and where they are signed in. They
//! lie here because they need people, device sessions and streams together.

pub mod service;
mod wire;

pub use self::wire::{device_session, server_limits};
