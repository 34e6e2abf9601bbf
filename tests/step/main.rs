//! Runs the Step against the stand-in, with temporary envstores.
//!
//! [`test_support`] checks what holds for every run, and compares messages with `tests/snapshots`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test fails"
)]

mod account;
mod annotation;
mod check;
mod connection;
mod documentation;
mod export;
mod files;
mod inputs;
mod key_locations;
mod layout;
mod log;
mod mistakes;
mod outputs;
mod precedence;
mod prefix;
mod reference;
mod removal;
mod rights;
mod runs;
mod sessions;
mod tools;
mod verification;
