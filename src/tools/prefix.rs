//! Input `output_prefix`.

use std::borrow::Cow;

use super::output_names;
use crate::env::Env;
use crate::redact::{self, Text, text};

/// The start of the name of every output. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputPrefix(String);

impl OutputPrefix {
    /// Parses the input.
    ///
    /// # Errors
    /// Why the value is not a valid prefix. Completes a sentence that begins with the input's name.
    pub fn parse(value: &str) -> Result<Self, Text> {
        if !is_prefix(value) {
            return Err(text!(
                "is not a prefix for variables: use at most 40 capital letters, digits and underscores, ending with an underscore and not starting with a digit, like CUSTOMER_"
            ));
        }
        // With CUSTOMER_EXPO_, APPLE_ID would get the same name as EXPO_APPLE_ID with CUSTOMER_.
        let names = output_names();
        for &from in &names {
            for &to in &names {
                if let Some(end) = to.strip_suffix(from)
                    && !end.is_empty()
                    && value.ends_with(end)
                {
                    return Err(text!(
                        "ends in {}, which turns {} into {}, another output of this Step: use another prefix, like CUSTOMER_",
                        end,
                        from,
                        to
                    ));
                }
            }
        }
        Ok(Self(value.to_owned()))
    }

    /// The prefix in the name of a variable, if the name is a prefix followed by `output`.
    pub(crate) fn from_variable(variable: &str, output: &str) -> Option<Self> {
        variable.strip_suffix(output).filter(|prefix| is_prefix(prefix)).map(|prefix| Self(prefix.to_owned()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of an output with this prefix.
    #[must_use]
    pub fn key(&self, output: &'static str) -> Cow<'static, str> {
        if self.is_empty() { output.into() } else { format!("{}{output}", self.0).into() }
    }

    /// The same as [`Self::key`], for the log, errors and the summary.
    #[must_use]
    pub fn name(&self, output: &'static str) -> Text {
        text!("{}{}", redact::checked(&self.0, |_| true), output)
    }

    /// The value that the environment has for an output with this prefix, if any.
    pub(crate) fn variable<'a>(&self, output: &'static str, env: &'a Env) -> Option<&'a str> {
        env.var(&self.key(output))
    }
}

/// Whether a value has the form of a prefix. Values of more than 40 characters are rejected, because they can be secrets.
fn is_prefix(value: &str) -> bool {
    value.len() <= 40
        && !value.starts_with(|c: char| c.is_ascii_digit())
        && value.ends_with('_')
        && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
