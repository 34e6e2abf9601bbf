//! The server seen from the other end of the wire.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::needless_pass_by_value,
    reason = "a test may panic, and reads better without borrowing its own values"
)]

mod apple;
mod behaviours;
mod bitrise;
mod client;
mod folder;
mod keys;
mod server;
mod tls;
