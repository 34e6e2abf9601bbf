//! Inputs that nobody thought of: whatever they are, they are taken whole or refused by name,
//! in little time and memory.
//!
//! `PROPTEST_CASES` sets how many cases each property is tried on.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what fails here fails a test; the exemption for tests leaves out their helpers"
)]

mod connection;
mod envstore;
mod key;
mod secrets;
mod session;
mod step;

use proptest::test_runner::Config;

/// How each property is run. What it fails on is printed, cut down to the least that fails.
fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000);
    Config { cases, failure_persistence: None, ..Config::default() }
}
