//! An App Store Connect API key: key ID, issuer ID and private key.
//!
//! Source: <https://developer.apple.com/documentation/appstoreconnectapi/creating-api-keys-for-app-store-connect-api>

use std::fmt;

use crate::apple::private_key::PrivateKey;
use crate::redaction::{self, Show, Text, may_hold_secret, sentences};

/// How the files of keys are called, before their IDs.
const TEAM_FILE: &str = "AuthKey_";
const INDIVIDUAL_FILE: &str = "ApiKey_";

/// A complete API key, ready to be written out and to sign with.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: KeyId,
    pub owner: Owner,
    pub private_key: PrivateKey,
    /// Whether it belongs to the Apple Developer Enterprise Program.
    pub enterprise: bool,
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
        format!("{start}{}.p8", self.id.0)
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
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum WrongField {
        #[error("holds a private key: put the key ID there (10 upper-case letters and digits)")]
        PrivateKeyAsKeyId,
        #[error("holds an issuer ID: put the key ID there (10 upper-case letters and digits)")]
        IssuerIdAsKeyId,
        #[error("has {found}, but a key ID is 10 upper-case letters and digits: copy it from App Store Connect > Users and Access > Integrations")]
        NoKeyId { found: Shape },
        #[error("holds a private key: put the issuer ID there (the UUID above the list of keys in App Store Connect)")]
        PrivateKeyAsIssuerId,
        #[error("holds a key ID: put the issuer ID there (the UUID above the list of keys in App Store Connect)")]
        KeyIdAsIssuerId,
        #[error("has {found}, but an issuer ID is a UUID like 57246542-96fe-1a63-e053-0824d011072a: copy it from App Store Connect > Users and Access > Integrations")]
        NoIssuerId { found: Shape },
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
        let plural = if self.characters == 1 { "" } else { "s" };
        let stray = if self.has_stray { ", some of which are not allowed" } else { "" };
        write!(f, "{} character{plural}{stray}", self.characters)
    }
}

impl KeyId {
    /// # Errors
    /// [`WrongField`] when the value is not made of letters and digits, or is something else
    /// that people confuse with a key ID.
    pub fn parse(value: &str) -> Result<Self, WrongField> {
        if may_hold_secret(value) {
            return Err(WrongField::PrivateKeyAsKeyId);
        }
        if is_uuid(value) {
            return Err(WrongField::IssuerIdAsKeyId);
        }
        // Apple documents no length; what must hold is that it is safe in a file name.
        let plausible = (1..=32).contains(&value.len());
        if !plausible || !value.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let found = Shape::of(value, |c| c.is_ascii_alphanumeric());
            return Err(WrongField::NoKeyId { found });
        }
        Ok(Self(value.to_owned()))
    }

    /// The `<ID>` of a file name `AuthKey_<ID>.p8` or `ApiKey_<ID>.p8`, as App Store Connect names
    /// its downloads.
    #[must_use]
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let id = name.strip_prefix(TEAM_FILE).or_else(|| name.strip_prefix(INDIVIDUAL_FILE))?;
        let id = id.strip_suffix(".p8")?;
        Self::parse(id).ok()
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
        redaction::checked(&self.0, is_usual_key_id)
    }
}

impl IssuerId {
    /// # Errors
    /// [`WrongField`] when the value is no UUID.
    pub fn parse(value: &str) -> Result<Self, WrongField> {
        if may_hold_secret(value) {
            return Err(WrongField::PrivateKeyAsIssuerId);
        }
        if is_usual_key_id(value) {
            return Err(WrongField::KeyIdAsIssuerId);
        }
        if !is_uuid(value) {
            let found = Shape::of(value, |c| c.is_ascii_hexdigit() || c == '-');
            return Err(WrongField::NoIssuerId { found });
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
        redaction::checked(&self.0, is_uuid)
    }
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
