//! Faults of network and disk, signals, and a search for leaks.
//!
//! What waits for real time limits, or needs a mount or `strace`, is marked `ignored`:
//! `cargo test --test faults -- --ignored` runs it, and so does `.ci/run`, always.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test says that it failed"
)]

mod faults;
mod leaks;
mod machine;
mod signals;
mod time_limits;
