//! What holds for every input: the Step accepts or rejects it, in limited time and memory, and never shows
//! a secret.
//!
//! `PROPTEST_CASES` sets the number of cases for each property.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a panic is how a test fails"
)]

mod connection;
mod envstore;
mod key;
mod limits;
mod secrets;
mod session;

use proptest::test_runner::Config;

/// The configuration of every property.
fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256);
    Config { cases, failure_persistence: None, ..Config::default() }
}
