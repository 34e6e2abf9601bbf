//! The Markdown page that a Step may add to its build's page.

use std::fs;

use crate::host::Host;
use crate::journal::Journal;
use crate::redaction;
use crate::text;

const PATH_VARIABLE: &str = "BITRISE_STEP_FORMATTED_OUTPUT_FILE_PATH";

/// Writes the page where the Bitrise CLI wants it, if it does. That it cannot be written is no
/// reason to fail a build.
pub fn write(markdown: &str, host: &Host, journal: &mut Journal) {
    let Some(path) = host.var(PATH_VARIABLE) else { return };
    if let Err(error) = fs::write(path, markdown) {
        journal.warn(text!(
            "The summary cannot be written to the file that {} names ({}).",
            PATH_VARIABLE,
            redaction::os(&error)
        ));
    }
}
