//! An output as the envstore and envman hold it.

use secrecy::SecretString;

/// An output for later Steps.
#[derive(Debug)]
pub struct Entry {
    pub key: &'static str,
    /// `None` unsets the variable.
    pub value: Option<SecretString>,
    /// Whether the Bitrise CLI redacts the value in the logs of later Steps.
    pub is_sensitive: bool,
}

impl Entry {
    #[must_use]
    pub fn unset(key: &'static str) -> Self {
        Self { key, value: None, is_sensitive: false }
    }
}
