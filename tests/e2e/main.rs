//! Stories through the real client core against real servers.

mod chat;
mod explain;
mod lists;
mod nodes;
mod outage;
mod raw;
mod rules;
mod writing;
