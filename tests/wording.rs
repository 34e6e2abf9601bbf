//! Collects every sentence in `tests/snapshots/messages` into `tests/snapshots/errors.md`, for proofreading.
//!
//! cargo runs this file after `faults` and `step`, so `SNAPSHOTS=overwrite cargo test` updates `errors.md` last.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use test_support::files_below;
use test_support::snapshots::assert_document;

#[test]
fn errors_md_has_every_sentence_of_the_messages() {
    let mut page = "\
<!-- Made from tests/snapshots/messages: SNAPSHOTS=overwrite cargo test --test wording -->

# Errors and warnings

"
    .to_owned();
    let sentences: BTreeSet<_> =
        files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/messages"))
            .iter()
            .flat_map(|file| sentences_in(&fs::read_to_string(file).unwrap()))
            .collect();
    for sentence in sentences {
        page.extend(["- ", &sentence, "\n"]);
    }
    assert_document("tests/snapshots/errors.md", &page);
}

/// The indented lines that are sentences. Tables of names and values are left out.
fn sentences_in(snapshot: &str) -> Vec<String> {
    let lines = snapshot.lines().filter_map(|line| line.strip_prefix("    "));
    let lines = lines.map(|line| line.trim_start_matches("- "));
    let lines = lines.filter(|line| line.trim_end_matches(')').ends_with(['.', '?']) && line.contains(' '));
    lines.map(str::to_owned).collect()
}
