//! An App Store Connect API key: key ID, issuer ID and private key.
//!
//! Source: <https://developer.apple.com/documentation/appstoreconnectapi/creating-api-keys-for-app-store-connect-api>

use std::fmt;

use crate::apple::private_key::PrivateKey;
use crate::redact::{self, Show, Text, is_path_like, may_hold_secret, sentences};

/// How the files of keys are called, before the underscore and the ID.
const TEAM_FILE: &str = "AuthKey";
const INDIVIDUAL_FILE: &str = "ApiKey";

/// A complete API key, ready to be written out and to sign with.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: KeyId,
    pub owner: Owner,
    pub private_key: PrivateKey,
    /// Whether it belongs to the Apple Developer Enterprise Program.
    pub enterprise: bool,
    /// The ID in the name of the key's file, where that is another one.
    pub other_id_in_name: Option<KeyId>,
}

/// Whom a key belongs to.
///
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/generating-tokens-for-api-requests>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A team key, with the ID of the team that issued it.
    Team(IssuerId),
    /// A person's individual key, which has no issuer.
    Individual,
}

impl ApiKey {
    /// `AuthKey_<ID>.p8`, the name that altool and Bitrise's Steps expect, and for an individual key
    /// `ApiKey_<ID>.p8`, as altool looks for it and App Store Connect names its download.
    #[must_use]
    pub(crate) fn file_name(&self) -> String {
        let start = match self.owner {
            Owner::Team(_) => TEAM_FILE,
            Owner::Individual => INDIVIDUAL_FILE,
        };
        format!("{start}_{}.p8", self.id.0)
    }

    /// The issuer ID, which individual keys do not have.
    #[must_use]
    pub(crate) fn issuer(&self) -> Option<&IssuerId> {
        match &self.owner {
            Owner::Team(issuer) => Some(issuer),
            Owner::Individual => None,
        }
    }
}

/// The ID that App Store Connect shows beside a key: 10 upper-case letters and digits.
///
/// Holds letters and digits only, so it can stand in a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId(String);

/// The ID of the team that issued the key: a UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerId(String);

sentences! {
    /// Why a value is not a key ID or not an issuer ID. `Display` completes a sentence that begins
    /// with the field's name; it never repeats the value, which may be a secret in the wrong field.
    /// What to do depends on where the field is, see [`WrongField::remedy`].
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum WrongField {
        #[error("holds {found}")]
        OtherThanKeyId { found: &'static str },
        #[error("has {found}, instead of 10 upper-case letters and digits")]
        NotAKeyId { found: Shape },
        #[error("holds {found}")]
        OtherThanIssuerId { found: &'static str },
        #[error("has {found}, but an issuer ID is a UUID like 57246542-96fe-1a63-e053-0824d011072a")]
        NotAnIssuerId { found: Shape },
    }
}

impl WrongField {
    /// What to put there, for whoever filled in the field. Completes "…: put it there".
    #[must_use]
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::OtherThanKeyId { .. } => "put the key ID there, 10 upper-case letters and digits",
            Self::OtherThanIssuerId { .. } => {
                "put the issuer ID there, the UUID above the list of keys in App Store Connect > Users and Access > Integrations"
            }
            Self::NotAKeyId { .. } | Self::NotAnIssuerId { .. } => {
                "copy it from App Store Connect > Users and Access > Integrations"
            }
        }
    }
}

/// What a value looks like, said without any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    characters: usize,
    has_stray: bool,
}

impl Shape {
    fn of(value: &str, is_allowed: fn(char) -> bool) -> Self {
        Self { characters: value.chars().count(), has_stray: !value.chars().all(is_allowed) }
    }
}

impl Show for Shape {}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plural, which) = if self.characters == 1 { ("", "") } else { ("s", "some ") };
        write!(f, "{} character{plural}", self.characters)?;
        if self.has_stray { write!(f, ", {which}not allowed") } else { Ok(()) }
    }
}

/// What is put into the field of an ID most often, by name.
pub(crate) fn misplaced(value: &str) -> Option<&'static str> {
    let is_email = value.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    match value {
        _ if may_hold_secret(value) => Some("a private key"),
        _ if value.contains("://") => Some("a URL"),
        _ if is_email => Some("an e-mail address"),
        _ if value.to_ascii_lowercase().ends_with(".p8") => Some("a file's name"),
        _ if is_path_like(value) => Some("a path"),
        _ => None,
    }
}

impl KeyId {
    /// # Errors
    /// [`WrongField`] when the value is not made of letters and digits, or is something else
    /// that people confuse with a key ID.
    pub fn parse(value: &str) -> Result<Self, WrongField> {
        if let Some(found) = misplaced(value) {
            return Err(WrongField::OtherThanKeyId { found });
        }
        if is_uuid(value) {
            return Err(WrongField::OtherThanKeyId { found: "an issuer ID" });
        }
        // Apple documents no length; what must hold is that it is safe in a file name.
        let plausible = (1..=32).contains(&value.len());
        if !plausible || !value.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let found = Shape::of(value, |c| c.is_ascii_alphanumeric());
            return Err(WrongField::NotAKeyId { found });
        }
        Ok(Self(value.to_owned()))
    }

    /// Whether it has the form of every key ID seen so far: 10 upper-case letters and digits.
    #[must_use]
    pub(crate) fn is_usual(&self) -> bool {
        is_usual_key_id(&self.0)
    }

    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For log and errors: hidden when it has another form than all key IDs, since people paste
    /// secrets into the wrong field.
    #[must_use]
    pub fn shown(&self) -> Text {
        redact::checked(&self.0, is_usual_key_id)
    }
}

impl IssuerId {
    /// # Errors
    /// [`WrongField`] when the value is no UUID.
    pub fn parse(value: &str) -> Result<Self, WrongField> {
        if let Some(found) = misplaced(value) {
            return Err(WrongField::OtherThanIssuerId { found });
        }
        if is_usual_key_id(value) {
            let found = "a 10-character ID, which is a key ID or a Team ID";
            return Err(WrongField::OtherThanIssuerId { found });
        }
        if !is_uuid(value) {
            let found = Shape::of(value, |c| c.is_ascii_hexdigit() || c == '-');
            return Err(WrongField::NotAnIssuerId { found });
        }
        Ok(Self(value.to_owned()))
    }

    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For log and errors.
    #[must_use]
    pub fn shown(&self) -> Text {
        redact::checked(&self.0, is_uuid)
    }
}

/// What the name of a key's file says, as App Store Connect and altool name such files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyFileName {
    /// `AuthKey_<ID>.p8`: a team's key. Keys for push notifications are named so, too.
    Team(KeyId),
    /// `ApiKey_<ID>.p8`: a person's individual key.
    Individual(KeyId),
    /// `SubscriptionKey_<ID>.p8`: a key for In-App Purchase, which this API refuses.
    InAppPurchase,
}

impl KeyFileName {
    /// Reads a file's name, also with what browsers and Finder add to a second copy of it,
    /// ` (1)`, `-2` or ` copy`, and with the `.txt` that editors add.
    #[must_use]
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".txt").unwrap_or(name).strip_suffix(".p8")?;
        let (kind, rest) = name.split_once('_')?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (id, copy) = rest.split_at_checked(end)?;
        if !is_copy_mark(copy) {
            return None;
        }
        let id = KeyId::parse(id).ok()?;
        match kind {
            TEAM_FILE => Some(Self::Team(id)),
            INDIVIDUAL_FILE => Some(Self::Individual(id)),
            "SubscriptionKey" => Some(Self::InAppPurchase),
            _ => None,
        }
    }

    /// The ID in the name, where it is that of a key for this API.
    #[must_use]
    pub(crate) fn key_id(&self) -> Option<&KeyId> {
        match self {
            Self::Team(id) | Self::Individual(id) => Some(id),
            Self::InAppPurchase => None,
        }
    }
}

/// Whether this is what tells one copy of a file from another, or nothing.
fn is_copy_mark(text: &str) -> bool {
    let number = text.strip_prefix(" copy").unwrap_or(text).trim_start_matches([' ', '-']);
    let number = number.strip_prefix('(').and_then(|number| number.strip_suffix(')')).unwrap_or(number);
    number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a value has the form that all of Apple's key IDs have.
#[must_use]
pub(crate) fn is_usual_key_id(value: &str) -> bool {
    value.len() == 10 && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Whether a value is a UUID in its usual form, 8-4-4-4-12 hexadecimal digits.
#[must_use]
pub(crate) fn is_uuid(value: &str) -> bool {
    let groups: Vec<_> = value.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_id_is_read_from_every_name_that_a_download_gets() {
        let id = KeyId::parse("2X9R4HXF34").ok();
        for name in [
            "AuthKey_2X9R4HXF34.p8",
            "AuthKey_2X9R4HXF34 (1).p8",
            "AuthKey_2X9R4HXF34(12).p8",
            "AuthKey_2X9R4HXF34-2.p8",
            "AuthKey_2X9R4HXF34 2.p8",
            "AuthKey_2X9R4HXF34 copy.p8",
            "AuthKey_2X9R4HXF34 copy 2.p8",
            "AuthKey_2X9R4HXF34.p8.txt",
            "AuthKey_2X9R4HXF34 (1).p8.txt",
        ] {
            assert_eq!(KeyFileName::parse(name), id.clone().map(KeyFileName::Team), "{name}");
            let individual = name.replace("AuthKey", "ApiKey");
            assert_eq!(KeyFileName::parse(&individual), id.clone().map(KeyFileName::Individual));
            let purchase = name.replace("AuthKey", "SubscriptionKey");
            assert_eq!(KeyFileName::parse(&purchase), Some(KeyFileName::InAppPurchase));
        }
        for name in ["AuthKey_.p8", "AuthKey_..%2Fx.p8", "AuthKey_a.b.p8", "Key_2X9R4HXF34.p8", "AuthKey_X"] {
            assert_eq!(KeyFileName::parse(name), None, "{name}");
        }
    }
}
