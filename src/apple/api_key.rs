//! An App Store Connect API key: key ID, issuer ID and private key.
//!
//! Source: <https://developer.apple.com/documentation/appstoreconnectapi/creating-api-keys-for-app-store-connect-api>

use serde::Deserialize;

use crate::apple::private_key::PrivateKey;
use crate::redact::{self, Text, error_messages, is_path_like, is_usual_key_id, may_hold_secret, text};

#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: KeyId,
    /// `None` for an individual key, which belongs to a person.
    pub issuer: Option<IssuerId>,
    pub private_key: PrivateKey,
    /// Whether the key belongs to the Apple Developer Enterprise Program.
    pub is_enterprise: bool,
    /// The ID in the key's file name, if it differs from `id`.
    pub id_in_file_name: Option<KeyId>,
}

/// The two kinds of API keys, as in the input `api_key_type`.
///
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/generating-tokens-for-api-requests>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    Team,
    Individual,
}

impl ApiKey {
    pub(crate) fn kind(&self) -> KeyKind {
        if self.issuer.is_some() { KeyKind::Team } else { KeyKind::Individual }
    }

    /// The name of the key's file, as altool and Bitrise's Steps expect it.
    pub(crate) fn file_name(&self) -> String {
        let prefix = if self.issuer.is_some() { "AuthKey" } else { "ApiKey" };
        format!("{prefix}_{}.p8", self.id.0)
    }
}

/// The ID that App Store Connect shows next to a key, usually 10 upper-case letters and digits.
///
/// Only contains ASCII letters and digits, so it is safe in a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId(String);

/// The ID of the team that issued the key: a UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerId(String);

error_messages! {
    /// Why a value is not a key ID or an issuer ID. `Display` completes a sentence that begins with the
    /// field's name. It never repeats the value, which can be a secret in the wrong field.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum InvalidId {
        #[error("contains {content}")]
        Misplaced { content: &'static str, remedy: &'static str },
        #[error("has {actual}, but {expected}")]
        WrongFormat { actual: Text, expected: &'static str },
    }
}

impl InvalidId {
    /// How to fix the value. Follows the error's message and a colon.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Misplaced { remedy, .. } => remedy,
            Self::WrongFormat { .. } => "copy it from App Store Connect > Users and Access > Integrations",
        }
    }
}

/// Describes the length of a value, and whether its characters are allowed, without repeating any part of it.
fn describe_length(value: &str, is_allowed: fn(char) -> bool) -> Text {
    match (value.chars().count(), value.chars().all(is_allowed)) {
        (1, true) => text!("1 character"),
        (1, false) => text!("1 character (invalid)"),
        (count, true) => text!("{} characters", count),
        (count, false) => text!("{} characters (some invalid)", count),
    }
}

/// Identifies a value that people often paste into the field of an ID by mistake.
pub(crate) fn identify_misplaced(value: &str) -> Option<&'static str> {
    let is_email = value.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    match value {
        _ if may_hold_secret(value) => Some("a private key"),
        _ if value.contains("://") => Some("a URL"),
        _ if is_email => Some("an e-mail address"),
        _ if value.to_ascii_lowercase().ends_with(".p8") => Some("a file name"),
        _ if is_path_like(value) => Some("a path"),
        _ => None,
    }
}

impl KeyId {
    /// # Errors
    /// [`InvalidId`] if the value is not 1 to 32 letters and digits, or could be a secret.
    pub fn parse(value: &str) -> Result<Self, InvalidId> {
        let other_id = is_uuid(value).then_some("an issuer ID");
        if let Some(content) = identify_misplaced(value).or(other_id) {
            let remedy = "set it to the key ID, 10 upper-case letters and digits";
            return Err(InvalidId::Misplaced { content, remedy });
        }
        // Apple does not document the length.
        if !(1..=32).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let actual = describe_length(value, |c| c.is_ascii_alphanumeric());
            let expected = "a key ID is 10 upper-case letters and digits";
            return Err(InvalidId::WrongFormat { actual, expected });
        }
        Ok(Self(value.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For the log and errors. Hides an ID in an unusual format, which could be a secret in the wrong field.
    pub(crate) fn to_text(&self) -> Text {
        redact::checked(&self.0, is_usual_key_id)
    }
}

impl IssuerId {
    /// # Errors
    /// [`InvalidId`] if the value is not a UUID.
    pub fn parse(value: &str) -> Result<Self, InvalidId> {
        let other_id = is_usual_key_id(value).then_some("a 10-character ID, which is a key ID or a Team ID");
        if let Some(content) = identify_misplaced(value).or(other_id) {
            let remedy = "set it to the issuer ID, the UUID above the list of keys in App Store Connect > Users and Access > Integrations";
            return Err(InvalidId::Misplaced { content, remedy });
        }
        if !is_uuid(value) {
            let actual = describe_length(value, |c| c.is_ascii_hexdigit() || c == '-');
            let expected = "an issuer ID is a UUID like 57246542-96fe-1a63-e053-0824d011072a";
            return Err(InvalidId::WrongFormat { actual, expected });
        }
        Ok(Self(value.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For the log and errors.
    pub(crate) fn to_text(&self) -> Text {
        redact::checked(&self.0, is_uuid)
    }
}

/// The name of a key's file, as App Store Connect names the download or as altool expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyFileName {
    /// `AuthKey_<ID>.p8` or `ApiKey_<ID>.p8`. Keys for push notifications are also named `AuthKey_<ID>.p8`.
    Api { kind: KeyKind, id: KeyId },
    /// `SubscriptionKey_<ID>.p8`: a key for In-App Purchase, which the App Store Connect API rejects.
    InAppPurchase,
}

impl KeyFileName {
    /// Parses a file name. Accepts suffixes that browsers and Finder add to a second copy, such as ` (1)`, `-2`
    /// or ` copy`, and the `.txt` that editors add.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".txt").unwrap_or(name).strip_suffix(".p8")?;
        let (prefix, rest) = name.split_once('_')?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (id, suffix) = rest.split_at_checked(end)?;
        if !is_copy_suffix(suffix) {
            return None;
        }
        let id = KeyId::parse(id).ok()?;
        match prefix {
            "AuthKey" => Some(Self::Api { kind: KeyKind::Team, id }),
            "ApiKey" => Some(Self::Api { kind: KeyKind::Individual, id }),
            "SubscriptionKey" => Some(Self::InAppPurchase),
            _ => None,
        }
    }
}

/// Whether a suffix is empty, or marks a copy of a file with ` copy`, a number of at most three digits, or both.
fn is_copy_suffix(suffix: &str) -> bool {
    let number = suffix.strip_prefix(" copy").unwrap_or(suffix).trim_start_matches([' ', '-']);
    let number = number.strip_prefix('(').and_then(|number| number.strip_suffix(')')).unwrap_or(number);
    number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a value is a UUID in its usual format, 8-4-4-4-12 hexadecimal digits.
pub(crate) fn is_uuid(value: &str) -> bool {
    value.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
