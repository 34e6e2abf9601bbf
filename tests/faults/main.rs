//! Faults of network and disk, signals, and leaks of secrets.
//!
//! Tests that wait for real time limits, or need a mount or `strace`, are ignored. `.ci/run` runs them with
//! `cargo test --test faults -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test fails"
)]

mod faults;
mod leaks;
mod machine;
mod signals;
mod time_limits;
