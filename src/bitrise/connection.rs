//! The document behind a connected Apple account, field by field.
//!
//! `GET {BITRISE_BUILD_URL}/apple_developer_portal_data.json`. Any group of fields can be
//! missing, and unknown ones come and go. Only the model lives here: which credential it
//! makes is [`crate::source::connection`]'s matter.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::apple::session::CookieRecord;

/// Larger than any team's connection; what is larger is not one, and is not read.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The name that is appended to the build URL.
pub const FILE_NAME: &str = "apple_developer_portal_data.json";

/// The connection as Bitrise serves it.
#[derive(Debug, Deserialize)]
pub struct Connection {
    // People have pasted the private key into the key ID, so that is a secret until proven harmless.
    pub key_id: Option<SecretString>,
    pub issuer_id: Option<SecretString>,
    pub private_key: Option<SecretString>,
    pub is_enterprise_account: Option<bool>,

    pub apple_id: Option<SecretString>,
    pub password: Option<SecretString>,
    pub app_specific_password: Option<SecretString>,
    /// RFC 3339; when the two-factor session ends.
    pub connection_expiry_date: Option<String>,
    /// Origin to cookies.
    pub session_cookies: Option<BTreeMap<String, Vec<CookieRecord>>>,
}

/// A document that is not a connection. Says where it goes wrong and never what stands there,
/// which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("no JSON (line {line}, column {column})")]
    NoJson { line: usize, column: usize },
    #[error("JSON of an unexpected form in {path}")]
    UnexpectedForm { path: String },
}

impl Connection {
    /// # Errors
    /// [`Malformed`] when the bytes are no JSON, or a known field has another type.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let connection = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let json_error = error.inner();
            match json_error.classify() {
                serde_json::error::Category::Data => {
                    Malformed::UnexpectedForm { path: field_of(error.path()) }
                }
                _ => Malformed::NoJson { line: json_error.line(), column: json_error.column() },
            }
        })?;
        json.end().map_err(|error| Malformed::NoJson { line: error.line(), column: error.column() })?;
        Ok(connection)
    }
}

/// The top-level field that a path leads into. What follows can be keys of the document's own.
fn field_of(path: &serde_path_to_error::Path) -> String {
    match path.iter().next() {
        Some(serde_path_to_error::Segment::Map { key }) => format!("the field `{key}`"),
        _ => "the whole document".to_owned(),
    }
}

/// A text field that says something: present and, without the blanks around it, not empty.
#[must_use]
pub fn filled(field: Option<&SecretString>) -> Option<&str> {
    field.map(|value| value.expose_secret().trim()).filter(|value| !value.is_empty())
}
