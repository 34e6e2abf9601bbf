//! Config that are a choice among the values in `step.yml`.

use super::unfilled;
use crate::bitrise::step_yml::Declared;
use crate::redact::text;
use crate::redact::{self, Text};

/// The allowed value that was meant: in any case, and also as what YAML makes of an unquoted
/// `off`, `no` or `yes`.
pub(super) fn choice<'a>(value: &str, input: &Declared<'a>) -> Option<&'a str> {
    let value = value.to_ascii_lowercase();
    let meant: &[&str] = match value.as_str() {
        "false" => &["no", "off", "false"],
        "true" => &["yes", "on", "true"],
        value => &[value],
    };
    input.value_options.iter().map(String::as_str).find(|option| meant.contains(option))
}

pub(super) fn no_choice(value: &str, input: &Declared<'_>) -> Text {
    let options: Vec<_> = input.value_options.iter().map(|option| redact::checked(option, is_word)).collect();
    let expected = Text::join(&options, ", ");
    if value.is_empty() {
        return text!("is empty: use one of {}", expected);
    }
    if let Some(problem) = unfilled::problem(value) {
        return problem;
    }
    // What is nearly one of them is a slip; what is not may be meant for another field, maybe a secret one.
    if input.value_options.iter().any(|option| is_slip(value, option)) {
        text!("is \"{}\": use one of {}", redact::checked(value, is_word), expected)
    } else {
        text!("has an unknown value: use one of {}", expected)
    }
}

/// Whether a value is nearly this known one, and so nothing secret.
pub(super) fn is_slip(value: &str, known: &str) -> bool {
    is_word(value) && strsim::damerau_levenshtein(&value.to_ascii_lowercase(), known) <= known.len() / 3
}

/// Letters, digits and underscores, as in the values that `step.yml` lists.
pub(super) fn is_word(value: &str) -> bool {
    value.len() <= 20 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
