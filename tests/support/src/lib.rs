//! Runs the Step as a build does: the binary, with real files, sockets and signals, against the stand-in for
//! Bitrise and Apple.
//!
//! [`Step`] builds a run and [`Outcome`] is its result. Every run is checked: neither its log nor its summary has a
//! secret. A failed run ends with an error of one line and at most 45 words, exports nothing and leaves no file behind.
//! A successful run writes its outputs as quoted YAML, marks the secret ones, and turns off variable expansion for all
//! of them.
//!
//! [`snapshots`] compares what users read with files in `tests/snapshots`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a panic is how a test fails"
)]

pub mod demo;
mod fixtures;
mod in_process;
mod outcome;
pub mod pictures;
pub mod snapshots;
mod step;
pub mod strategies;

pub use fixtures::*;
pub use outcome::{
    Entry, Outcome, envman, files_below, find_leak, hex, make_fifo, mode, names_in, print_with_envman,
    set_mode,
};
pub use step::{Step, errors_of, in_parallel};
