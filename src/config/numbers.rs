//! Config that are numbers.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::field::InputValue;
use crate::apple::token;
use crate::redact::Text;
use crate::redact::text;

/// Input `token_lifetime_seconds`: a minute at least, and at most what Apple accepts.
#[derive(Debug)]
pub(super) struct TokenLifetime(pub(super) Duration);

impl InputValue for TokenLifetime {
    fn parse(value: &str) -> Result<Self, Text> {
        number(value, 60..=token::MAX_LIFETIME.as_secs()).map(|seconds| Self(Duration::from_secs(seconds)))
    }

    fn shown(&self) -> Text {
        text!("{}", self.0.as_secs())
    }
}

/// Input `session_expiry_warning_days`: up to a century, which no session lasts.
#[derive(Debug)]
pub(super) struct WarningDays(pub(super) i64);

impl InputValue for WarningDays {
    fn parse(value: &str) -> Result<Self, Text> {
        number(value, 0..=36_500).map(|days| Self(i64::try_from(days).unwrap_or_default()))
    }

    fn shown(&self) -> Text {
        text!("{}", self.0)
    }
}

/// A whole number within a range.
fn number(value: &str, range: RangeInclusive<u64>) -> Result<u64, Text> {
    let (least, most) = (*range.start(), *range.end());
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        // It may be a code that belongs elsewhere.
        Ok(_) => Err(text!("is out of range: use a whole number from {} to {}", least, most)),
        Err(_) => Err(text!("is not a whole number: use one from {} to {}", least, most)),
    }
}
