//! The stand-in is as strict as Bitrise and Apple: a lenient one would hide bugs of the Step.
//!
//! These tests cover only mistakes of the stand-in that no test of the Step would notice.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test fails"
)]

mod apple;
mod bitrise;
mod client;
mod delivery;
