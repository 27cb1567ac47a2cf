//! The terminal client, driven by pipes.
