//! The Markdown page that a Step may add to its build's page.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use crate::host::Host;
use crate::journal::Journal;
use crate::regular_file::{self, ReadError};
use crate::text;

const PATH_VARIABLE: &str = "BITRISE_STEP_FORMATTED_OUTPUT_FILE_PATH";

/// Writes the page where the Bitrise CLI wants it, if it does. That it cannot be written is no
/// reason to fail a build.
pub fn write(markdown: &str, host: &Host, journal: &mut Journal) {
    let Some(path) = host.var(PATH_VARIABLE) else { return };
    let file =
        regular_file::open(Path::new(path), OpenOptions::new().write(true).create(true).truncate(true));
    let written = file.and_then(|mut file| file.write_all(markdown.as_bytes()).map_err(ReadError::from));
    if let Err(error) = written {
        journal.warn(text!(
            "The summary cannot be written to the file that {} names ({}).",
            PATH_VARIABLE,
            error.why()
        ));
    }
}
