//! Input `output_prefix`.

use std::borrow::Cow;

use super::output_names;
use crate::env::Env;
use crate::redact::{self, Text, error_messages};

/// Begins the name of every output of a run. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputPrefix(String);

error_messages! {
    /// Why a value is not a prefix. `Display` completes a sentence that begins with the input's name.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub enum WrongPrefix {
        #[error("is not a prefix for variables: use capital letters, digits and underscores, begin with a letter or an underscore, and end with an underscore, like CUSTOMER_")]
        Form,
        #[error("ends in {end}, which turns {from} into {to}, another output of this Step: use another prefix, like CUSTOMER_")]
        OtherOutput { end: &'static str, from: &'static str, to: &'static str },
    }
}

impl OutputPrefix {
    /// # Errors
    /// [`WrongPrefix`]
    pub fn parse(value: &str) -> Result<Self, WrongPrefix> {
        if !is_prefix(value) {
            return Err(WrongPrefix::Form);
        }
        // CUSTOMER_EXPO_ would make a name that CUSTOMER_ makes, too.
        let names = output_names();
        for (from, to) in names.iter().flat_map(|from| names.iter().map(move |to| (*from, *to))) {
            match to.strip_suffix(from) {
                Some(end) if !end.is_empty() && value.ends_with(end) => {
                    return Err(WrongPrefix::OtherOutput { end, from, to });
                }
                _ => {}
            }
        }
        Ok(Self(value.to_owned()))
    }

    /// The prefix in the name of an output of an earlier run.
    #[must_use]
    pub(crate) fn of(variable: &str, output: &str) -> Option<Self> {
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

    /// The same for log, errors and summary.
    #[must_use]
    pub fn name(&self, output: &'static str) -> Text {
        redact::text!("{}{}", redact::checked(&self.0, |_| true), output)
    }

    /// The value of an output with this prefix, if an earlier run set it.
    #[must_use]
    pub(crate) fn variable<'a>(&self, output: &'static str, env: &'a Env) -> Option<&'a str> {
        env.var(&self.key(output))
    }
}

/// A longer value can be a secret.
fn is_prefix(value: &str) -> bool {
    const MAX_LENGTH: usize = 40;
    value.len() <= MAX_LENGTH
        && !value.starts_with(|c: char| c.is_ascii_digit())
        && value.ends_with('_')
        && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_in_capitals_ends_in_an_underscore_and_makes_no_other_output() {
        assert_eq!(
            OutputPrefix::parse("TEAM2_").map(|prefix| prefix.key("APPLE_ID")),
            Ok("TEAM2_APPLE_ID".into())
        );
        for wrong in
            ["TEAM", "team_", "", "2TEAM_", "TEÄM_", "A B_", "A-B_", &"A".repeat(40), "APPLE_SERVICES_"]
        {
            let parsed = OutputPrefix::parse(wrong);
            assert_eq!(parsed.is_ok(), wrong == "APPLE_SERVICES_", "{wrong}");
        }
        // EXPO_APPLE_ID is the variable of EAS CLI.
        for wrong in ["EXPO_", "CUSTOMER_EXPO_"] {
            assert!(matches!(OutputPrefix::parse(wrong), Err(WrongPrefix::OtherOutput { .. })), "{wrong}");
        }
    }
}
