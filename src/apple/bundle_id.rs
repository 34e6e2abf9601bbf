//! Bundle IDs, which identify apps.

use crate::redact::{self, Text, error_messages, may_hold_secret};

/// The maximum length that the Step accepts. Apple allows 155 characters; comparing much longer IDs would be slow.
pub(crate) const MAX_LENGTH: usize = 255;

/// A bundle ID, such as `com.example.app`.
///
/// Source: <https://developer.apple.com/documentation/bundleresources/information-property-list/cfbundleidentifier>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleId(String);

error_messages! {
    /// Why a value is not a bundle ID. `Display` completes a sentence that begins with the field's name.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    pub enum InvalidBundleId {
        #[error("is not a bundle ID: set it to the app's bundle ID, such as com.example.app (letters, digits, hyphens and dots)")]
        NotABundleId,
        #[error("ends in an asterisk, so it matches many apps: use the bundle ID of the app that you build")]
        Wildcard,
    }
}

impl BundleId {
    /// # Errors
    /// [`InvalidBundleId`]
    pub fn parse(value: &str) -> Result<Self, InvalidBundleId> {
        if value.ends_with(".*") {
            Err(InvalidBundleId::Wildcard)
        } else if is_bundle_id(value) {
            Ok(Self(value.to_owned()))
        } else {
            Err(InvalidBundleId::NotABundleId)
        }
    }

    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub(crate) fn shown(&self) -> Text {
        redact::checked(&self.0, |value| is_bundle_id(value) && !may_hold_secret(value))
    }
}

/// Whether a value has the form of a bundle ID. Those of old apps can contain underscores.
fn is_bundle_id(value: &str) -> bool {
    value.len() <= MAX_LENGTH
        && value.contains('.')
        && value.split('.').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// Whether a value is an app's number in App Store Connect.
#[must_use]
pub(crate) fn is_app_id(value: &str) -> bool {
    (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_id_has_parts_separated_by_dots() {
        for good in ["com.example.app", "com.Example-2.my_app", "a.b"] {
            assert_eq!(BundleId::parse(good), Ok(BundleId(good.to_owned())));
        }
        for wrong in
            ["app", "com..app", ".com.app", "com.app.", "com.example.app,com.example.b", "com.exa mple.a"]
        {
            assert_eq!(BundleId::parse(wrong), Err(InvalidBundleId::NotABundleId), "{wrong}");
        }
        assert_eq!(BundleId::parse("com.example.*"), Err(InvalidBundleId::Wildcard));
    }
}
