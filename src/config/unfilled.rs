//! Values that are the name of a variable, since nothing filled it in.

use crate::redact::text;
use crate::redact::{self, Text, may_hold_secret};

/// What is wrong with a value that is wholly `$NAME`, `${NAME}` or `$(name)`: completes the sentence
/// "`input` …", without a full stop.
#[must_use]
pub(super) fn problem(value: &str) -> Option<Text> {
    let name = name(value)?;
    // One that is written as a variable's name is none of the secrets that people paste.
    Some(if is_conventional(name) {
        text!(
            "is `{}`: a variable that was never filled in. Is it spelled right, and is it set in this workflow?",
            redact::checked(value, |value| self::name(value).is_some_and(is_conventional))
        )
    } else {
        text!(
            "begins with $, like a variable that was never filled in. Is it spelled right, and is it set in this workflow?"
        )
    })
}

/// The name in a value that is nothing but a reference to a variable, as shells, the Bitrise CLI and
/// other CI services write it.
#[must_use]
pub(super) fn name(value: &str) -> Option<&str> {
    let rest = value.trim().strip_prefix('$')?;
    let within = |open, close| rest.strip_prefix(open)?.strip_suffix(close);
    let name = within('{', '}').or_else(|| within('(', ')')).unwrap_or(rest);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}

/// Whether a name is written as those of variables are, in capitals, and as passwords are not.
fn is_conventional(name: &str) -> bool {
    let is_capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let has_digit = name.bytes().any(|b| b.is_ascii_digit());
    name.len() <= 80
        && name.bytes().all(is_capital)
        && (name.contains('_') || !has_digit)
        && (name == "FASTLANE_SESSION" || !may_hold_secret(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_named_where_its_name_can_be_no_secret() {
        let said = |value: &str| problem(value).map(|text| text.to_string());
        for value in ["$CUSTOMER_API_KEY", "${CUSTOMER_API_KEY}", "$(CUSTOMER_API_KEY)", "$X"] {
            assert!(said(value).is_some_and(|said| said.starts_with(&format!("is `{value}`: "))), "{value}");
        }
        for value in ["$ecretWord", "${hunter2}", "$UMMER2026", "$_x"] {
            let said = said(value).unwrap_or_default();
            assert!(said.starts_with("begins with $") && !said.contains(value), "{said}");
        }
        for value in ["", "$", "$1", "$A/key.p8", "$A-$B", "a$B", "$A B", "${A", "$$", "$2y$10$abc"] {
            assert_eq!(said(value), None, "{value}");
        }
    }
}
