//! fastlane's API key file, as it is written and read.
//!
//! Source: <https://docs.fastlane.tools/app-store-connect-api/#using-fastlane-api-key-json-file>

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::apple::api_key::{ApiKey, IssuerId};
use crate::apple::private_key::{decode_base64, strip_wrapping};

/// What such a file says. Any of it may be something that a person put into the wrong place.
#[derive(Debug, Deserialize)]
pub(crate) struct KeyFile {
    pub(crate) key_id: SecretString,
    /// An individual key has none.
    pub(crate) issuer_id: Option<SecretString>,
    /// The text of the private key, in PEM or as base64 of that.
    pub(crate) key: SecretString,
    /// Whether the key belongs to the Apple Developer Enterprise Program.
    pub(crate) in_house: Option<bool>,
}

/// A JSON document that is not such a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAKeyFile;

/// Reads a text that is fastlane's key file, or base64 of it. `None`: it is something else.
pub(crate) fn read(bytes: &[u8]) -> Option<Result<KeyFile, NotAKeyFile>> {
    let text = strip_wrapping(std::str::from_utf8(bytes).ok()?);
    if text.starts_with('{') {
        return from_json(text);
    }
    let decoded = decode_base64(text).ok()?;
    from_json(strip_wrapping(std::str::from_utf8(&decoded).ok()?))
}

fn from_json(text: &str) -> Option<Result<KeyFile, NotAKeyFile>> {
    let is_meant = text.starts_with('{') && text.contains("\"key_id\"");
    is_meant.then(|| serde_json::from_str(text).map_err(|_| NotAKeyFile))
}

#[derive(Serialize)]
struct Document<'a> {
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_id: Option<&'a str>,
    key: &'a str,
    in_house: bool,
}

/// The key as one line of JSON.
pub(crate) fn json(key: &ApiKey) -> Zeroizing<Vec<u8>> {
    let document = Document {
        key_id: key.id.as_str(),
        issuer_id: key.issuer().map(IssuerId::as_str),
        key: key.private_key.expose_pem(),
        in_house: key.enterprise,
    };
    // With room for all of it, so that no part stays behind where a buffer grew.
    let mut json = Zeroizing::new(Vec::with_capacity(1024));
    // Strings and a bool into memory: there is nothing that could fail.
    drop(serde_json::to_writer(&mut *json, &document));
    json
}
