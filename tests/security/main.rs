//! Refusals: what strangers, former members, bad tokens and bad input get to see, and that nobody else notices.

mod access;
mod accounts;
mod blocks;
mod cancel;
mod conformance;
mod expiry;
mod fields;
mod floods;
mod frames;
mod h2;
mod hostile;
mod issuer;
mod logs;
mod names;
mod pages;
mod people;
mod rates;
mod raw;
mod requests;
mod revoking;
mod rooms;
mod slow_database;
mod snapshot;
mod streams;
mod tokens;
mod web;
