//! The real binary, seen from outside: run against the stand-in, with temporary envstores.
//!
//! A test's name is the sentence that it proves. What must hold for every run, whatever it is
//! about, is checked in [`test_support`]; what is said is compared with `tests/snapshots`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test says that it failed"
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
mod words;
