//! Input `sms_default_phone_number`.

use super::field::InputValue;
use crate::redact::text;
use crate::redact::{self, Text};

/// A phone number as Apple shows it, with which fastlane compares it.
#[derive(Debug)]
pub(super) struct PhoneNumber(pub(super) String);

impl InputValue for PhoneNumber {
    fn parse(value: &str) -> Result<Self, Text> {
        if is_phone_number(value) {
            Ok(Self(value.to_owned()))
        } else {
            Err(text!(
                "is not a phone number with its country code: write it as Apple shows it, like +81-80-1234-5678"
            ))
        }
    }

    fn shown(&self) -> Text {
        redact::checked(&self.0, is_phone_number)
    }
}

/// Whether a value is a phone number with its country code.
pub(super) fn is_phone_number(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let known = |b: u8| b.is_ascii_digit() || b"+-() .".contains(&b);
    value.starts_with('+') && (5..=20).contains(&digits) && value.bytes().all(known)
}
