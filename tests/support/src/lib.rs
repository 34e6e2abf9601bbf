//! Runs the Step as a build does, seen from outside: the real binary, with real files, sockets
//! and signals, against the stand-in for Bitrise and Apple.
//!
//! [`Step`] builds a run, [`Outcome`] is what it did. Whatever a run is about, this is checked:
//! nothing secret is in the log; a run that fails ends with one whole red sentence, exports
//! nothing and leaves no file behind; a run that succeeds quotes, marks and never expands each
//! of its outputs.
//!
//! What users read is compared with files in `tests/snapshots`, see [`snapshots`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a panic is how a test says that it failed"
)]

pub mod demo;
mod fixtures;
mod outcome;
pub mod pictures;
pub mod snapshots;
mod step;
pub mod strategies;

pub use fixtures::*;
pub use outcome::{Entry, Outcome, envman, find_leak, hex, mode, names_in, set_mode};
pub use step::{Step, all_fail, at_once};
