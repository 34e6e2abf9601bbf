//! Each way in which the launcher, step.sh, gets the Step's binary: `cargo test --test launcher`. The tests
//! need openssl, rustup and, to change the owners of files, root.
//!
//! In these tests, the Step is a program of a few lines, so that cargo builds it in a second.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this is a test")]

mod build;
mod cache;
mod environment;
mod released;
mod support;
