//! The server seen from the other end of the wire.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::needless_pass_by_value,
    reason = "a test may panic, and reads better without borrowing its own values"
)]

mod annotations;
mod api;
mod app_store_connect;
mod behaviours;
mod bitrise;
mod client;
mod folder;
mod keys;
mod olympus;
mod server;
mod tls;
mod token;
