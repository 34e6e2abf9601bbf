//! A value on its way to later Steps, as the envstore and envman take it.

use secrecy::{ExposeSecret as _, SecretString};

/// A value on its way to later Steps.
#[derive(Debug)]
pub struct Entry {
    pub key: &'static str,
    /// `None` takes the variable away from later Steps.
    pub value: Option<SecretString>,
    /// Whether the Bitrise CLI redacts it in later Steps' logs.
    pub is_sensitive: bool,
}

impl Entry {
    #[must_use]
    pub fn unset(key: &'static str) -> Self {
        Self { key, value: None, is_sensitive: false }
    }

    /// How much of envman's limits it takes.
    #[must_use]
    pub(crate) fn value_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.expose_secret().len())
    }
}
