//! Madang's server. `ARCHITECTURE.md` is the map; `app` puts the parts together.

pub mod access;
pub mod admin;
pub mod app;
pub mod clock;
pub mod config;
pub mod database;
pub mod error;
pub mod identity;
pub mod ids;
pub mod limits;
pub mod messages;
pub mod page;
pub mod reads;
pub mod realtime;
pub mod rooms;
pub mod rpc;
pub mod sabotage;
pub mod sessions;
pub mod sync;
pub mod telemetry;
pub mod timeline;
mod together;
pub mod users;
