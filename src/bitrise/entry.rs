//! An entry of the envstore.

use std::borrow::Cow;

use secrecy::SecretString;

use crate::redact::{self, Text};

/// An output to set or unset for later Steps.
#[derive(Debug)]
pub struct Entry {
    pub key: Cow<'static, str>,
    /// `None` unsets the variable.
    pub value: Option<SecretString>,
    /// Whether the Bitrise CLI redacts the value in the logs of later Steps.
    pub is_sensitive: bool,
}

impl Entry {
    /// The key for log and errors. It names an output of this Step, so it can be shown.
    #[must_use]
    pub(crate) fn name(&self) -> Text {
        redact::checked(&self.key, |_| true)
    }
}
