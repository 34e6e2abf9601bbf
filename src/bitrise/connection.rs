//! The document that Bitrise serves for a connected Apple account.
//!
//! `GET {BITRISE_BUILD_URL}/apple_developer_portal_data.json`. Any field can be missing, and unknown fields
//! are ignored. [`crate::sources::connection`] turns the document into a credential.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use crate::apple::cookie::CookieRecords;
use crate::apple::device::DeviceRecord;
use crate::credential::Method;
use crate::redact::{self, Text, error_messages, text};

/// Larger than the document of any team. The Step rejects larger documents.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// More than any team has: Apple allows 100 devices of each kind per year.
const MAX_DEVICES: usize = 10_000;

/// The last part of the document's URL.
pub(crate) const FILE_NAME: &str = "apple_developer_portal_data.json";

/// How to replace a connected API key that can't be used, as a sentence without its period. A key that is added
/// again counts as a new key, which must also be assigned to the project again.
pub(crate) const RECONNECT: &str = "Add the right key in Workspace settings > Integrations > App Store Connect, then select it in Project settings > Integrations > Stores";

/// How to fix a connected Apple ID whose session can't be used. Completes a sentence.
pub(crate) const RE_AUTHENTICATE: &str =
    "re-authenticate the Apple ID on Bitrise (Account settings > Apple Service connection > Re-authenticate)";

/// The document as Bitrise serves it.
#[derive(Debug, Deserialize)]
pub struct Connection {
    // People have pasted the private key into this field, so it is a secret until it is validated.
    pub key_id: Option<SecretString>,
    pub issuer_id: Option<SecretString>,
    pub private_key: Option<SecretString>,
    pub is_enterprise_account: Option<bool>,

    pub apple_id: Option<SecretString>,
    pub password: Option<SecretString>,
    pub app_specific_password: Option<SecretString>,
    /// When the two-factor session ends, in RFC 3339.
    pub connection_expiry_date: Option<String>,
    pub session_cookies: Option<SessionCookies>,

    #[serde(default, deserialize_with = "deserialize_devices")]
    pub test_devices: Option<Vec<DeviceRecord>>,
}

/// Cookies, grouped by origin. The session consists of those of Apple's login service; the others are ignored.
#[derive(Debug, Deserialize)]
pub struct SessionCookies {
    #[serde(rename = "https://idmsa.apple.com")]
    pub idmsa: Option<CookieRecords>,
}

/// Reads the devices, and stops with an error after `MAX_DEVICES`: an empty record takes two characters in the
/// document, but many times that in memory. An item that is not a device becomes an empty record, which the Step
/// skips with a warning.
fn deserialize_devices<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<DeviceRecord>>, D::Error> {
    struct DevicesVisitor;

    impl<'de> Visitor<'de> for DevicesVisitor {
        type Value = Option<Vec<DeviceRecord>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX_DEVICES} devices")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut devices = Vec::new();
            while let Some(item) = list.next_element::<&RawValue>()? {
                if devices.len() == MAX_DEVICES {
                    return Err(A::Error::custom("more devices than a team can have"));
                }
                // Only from an object: serde would also read a struct from a list.
                let object = Some(item.get()).filter(|json| json.starts_with('{'));
                devices.push(object.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default());
            }
            Ok(Some(devices))
        }
    }

    deserializer.deserialize_any(DevicesVisitor)
}

error_messages! {
    /// Why a document is not a valid connection. Contains none of the document's text, which can be a secret.
    /// `Display` completes "Bitrise sent …".
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum Malformed {
        #[error("invalid JSON (line {line}, column {column})")]
        NotJson { line: usize, column: usize },
        #[error("JSON in which {place} has an unexpected type")]
        UnexpectedType { place: Text },
    }
}

impl Connection {
    /// Whether a credential of this kind is connected, even if parts of it are missing.
    pub(crate) fn has(&self, method: Method) -> bool {
        let fields: &[&Option<SecretString>] = match method {
            Method::ApiKey => &[&self.key_id, &self.issuer_id, &self.private_key],
            Method::AppleId => &[&self.apple_id],
        };
        fields.iter().any(|field| non_empty(field.as_ref()).is_some())
    }

    /// Everything about the connected Apple ID that the log must not show, whether or not the run uses it.
    pub(crate) fn apple_id_secrets(&self) -> impl Iterator<Item = &SecretString> {
        let cookies = self.session_cookies.iter().filter_map(|origins| origins.idmsa.as_ref());
        let cookies = cookies.flat_map(|cookies| &cookies.0).filter_map(|cookie| cookie.value.as_ref());
        let account = [&self.apple_id, &self.password, &self.app_specific_password].into_iter().flatten();
        account.chain(cookies)
    }

    /// Parses the document.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not JSON, or a known field has the wrong type.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Malformed> {
        let not_json =
            |error: &serde_json::Error| Malformed::NotJson { line: error.line(), column: error.column() };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let connection =
            serde_path_to_error::deserialize(&mut json).map_err(|error| match error.inner() {
                inner if inner.is_data() => Malformed::UnexpectedType { place: field_name(error.path()) },
                inner => not_json(inner),
            })?;
        json.end().map_err(|error| not_json(&error))?;
        Ok(connection)
    }
}

/// Names the top-level field of a path in the JSON. Deeper keys can be secrets, so they are left out.
fn field_name(path: &Path) -> Text {
    let is_field_name = |key: &str| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let Some(Segment::Map { key }) = path.iter().next() else { return text!("the top-level value") };
    text!("the field `{}`", redact::checked(key, is_field_name))
}

/// The trimmed text of a field, or `None` if the field is missing or blank.
pub(crate) fn non_empty(field: Option<&SecretString>) -> Option<&str> {
    field.map(|value| value.expose_secret().trim()).filter(|value| !value.is_empty())
}
