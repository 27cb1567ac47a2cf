//! Stories through the real client core against real servers.

mod chat;
mod explain;
mod life;
mod lists;
mod log_bytes;
mod network;
mod nodes;
mod outage;
mod outbox;
mod plans;
mod proxy;
mod raw;
mod rules;
mod statements;
mod writing;
