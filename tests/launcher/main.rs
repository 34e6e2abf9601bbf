//! The launcher, step.sh, on each way to the Step's binary. `cargo test --test launcher`; it needs
//! curl, wget and openssl, which `.ci/run` installs.
//!
//! The sources here are a program of one line, so that the launcher's own build with cargo takes a
//! second. The server of the downloads is the stand-in, on loopback.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this is a test")]

mod beside;
mod build;
mod cache;
mod concurrent;
mod download;
mod support;
