//! Bundle IDs, which identify apps.

use crate::redact::{self, Text, may_hold_secret, text};

/// The maximum length that the Step accepts. Apple allows 155 characters; comparing much longer values would be slow.
pub(crate) const MAX_LENGTH: usize = 255;

/// A bundle ID, such as `com.example.app`.
///
/// Source: <https://developer.apple.com/documentation/bundleresources/information-property-list/cfbundleidentifier>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleId(String);

impl BundleId {
    /// # Errors
    /// Why the value is not a bundle ID. Completes a sentence that begins with the field's name.
    pub fn parse(value: &str) -> Result<Self, Text> {
        if value.ends_with(".*") {
            Err(text!(
                "ends in an asterisk, so it matches many apps: use the bundle ID of the app that you build"
            ))
        } else if is_bundle_id(value) {
            Ok(Self(value.to_owned()))
        } else {
            Err(text!(
                "is not a bundle ID: set it to the app's bundle ID, such as com.example.app (letters, digits, hyphens and dots)"
            ))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For the log and errors.
    pub(crate) fn to_text(&self) -> Text {
        redact::checked(&self.0, |value| is_bundle_id(value) && !may_hold_secret(value))
    }
}

/// Whether a value has the format of a bundle ID. The bundle IDs of old apps can contain underscores.
fn is_bundle_id(value: &str) -> bool {
    value.len() <= MAX_LENGTH
        && value.contains('.')
        && value.split('.').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// Whether a value has the format of an app's number in App Store Connect.
pub(crate) fn is_app_id(value: &str) -> bool {
    (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
}
