//! What a run says as it goes.

use crate::bitrise::build_log;
use crate::redaction::Text;

/// Says things in the build log at once, and keeps what the summary repeats.
#[derive(Debug, Default)]
pub struct Journal {
    facts: Vec<(&'static str, Text)>,
    warnings: Vec<Text>,
}

impl Journal {
    /// Says a line.
    pub fn say(&self, text: &Text) {
        build_log::info(text);
    }

    /// Says what describes the credential, such as its team, with a label.
    pub fn fact(&mut self, label: &'static str, value: Text) {
        build_log::info(&crate::redaction::text!("- {}: {}", label, value));
        self.facts.push((label, value));
    }

    /// Says what the user chose, or has to act on.
    pub fn warn(&mut self, text: Text) {
        build_log::warn(&text);
        self.warnings.push(text);
    }

    /// Label and value of what was found out about the credential, in order.
    #[must_use]
    pub fn facts(&self) -> &[(&'static str, Text)] {
        &self.facts
    }

    /// What was warned of so far, in order.
    #[must_use]
    pub fn warnings(&self) -> &[Text] {
        &self.warnings
    }
}
