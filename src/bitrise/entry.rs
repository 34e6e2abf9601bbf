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
    /// The key, for the log and errors. As the name of one of this Step's outputs, it is not a secret.
    pub(crate) fn name(&self) -> Text {
        redact::checked(&self.key, |_| true)
    }
}
