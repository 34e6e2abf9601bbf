//! Config that name a key, a team or an app.

use super::field::InputValue;
use crate::apple::api_key::{IssuerId, KeyId, misplaced};
use crate::apple::bundle_id::BundleId;
use crate::apple::private_key::strip_wrapping;
use crate::apple::team::{ProviderId, TeamId, WrongTeam};
use crate::redact::Text;
use crate::redact::text;

impl InputValue for KeyId {
    fn parse(value: &str) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_yaml_number(value) {
            return Err(yaml_number());
        }
        Self::parse(value).map_err(|wrong| text!("{}: {}", wrong, wrong.remedy()))
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

impl InputValue for IssuerId {
    fn parse(value: &str) -> Result<Self, Text> {
        Self::parse(strip_wrapping(value)).map_err(|wrong| text!("{}: {}", wrong, wrong.remedy()))
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

/// What is wrong with an ID that is one no more.
pub(super) fn yaml_number() -> Text {
    text!("is a number, which YAML makes of an ID like 1234567E12 or 0123456701: write the ID in quotes")
}

impl InputValue for TeamId {
    fn parse(value: &str) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        Self::parse(value).map_err(|wrong| match (wrong, misplaced(value)) {
            (WrongTeam::NotATeamId, _) if is_yaml_number(value) => yaml_number(),
            (WrongTeam::NotATeamId, Some(found)) => {
                text!("holds {}: put the team ID there, 10 upper-case letters and digits", found)
            }
            (wrong, _) => Text::of(&wrong),
        })
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

impl InputValue for ProviderId {
    fn parse(value: &str) -> Result<Self, Text> {
        Self::parse(strip_wrapping(value)).map_err(|wrong| Text::of(&wrong))
    }

    fn shown(&self) -> Text {
        Self::shown(*self)
    }
}

impl InputValue for BundleId {
    fn parse(value: &str) -> Result<Self, Text> {
        Self::parse(value).map_err(|wrong| Text::of(&wrong))
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

/// Whether a value is what the Bitrise CLI makes of an unquoted ID that YAML reads as a number:
/// `1234567E12` arrives as `1.234567e+18`, and `0123456701`, which is octal, as `21913025`.
pub(super) fn is_yaml_number(value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_float = || {
        let (number, exponent) = value.split_once(['e', 'E'])?;
        let exponent = exponent.strip_prefix(['+', '-'])?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        Some(digits(whole) && digits(fraction) && digits(exponent))
    };
    (digits(value) && value.len() != 10) || is_float().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_yaml_made_is_told_from_a_key_id() {
        for number in ["1.234567e+18", "1e+12", "1.23456789E+08", "21913025", "0", "36"] {
            assert!(is_yaml_number(number), "{number}");
        }
        for id in ["2X9R4HXF34", "1234567890", "0123456701", "1234567E12", "abc123", ""] {
            assert!(!is_yaml_number(id), "{id}");
        }
    }
}
