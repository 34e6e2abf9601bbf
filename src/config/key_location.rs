//! Input `api_key_path`: where the private key is, or the key itself.

use std::path::Path;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::address::{TypedPath, parse_url};
use super::field::InputValue;
use crate::apple::api_key::{KeyFileName, is_usual_key_id, is_uuid};
use crate::apple::key_text::is_key_text;
use crate::apple::private_key::strip_wrapping;
use crate::formats::fastlane_key;
use crate::http::is_loopback;
use crate::redact::text;
use crate::redact::{self, Text, is_path_like, may_hold_secret};

#[derive(Debug)]
pub(super) enum TypedLocation {
    Url(Url),
    File(TypedPath),
    Text(SecretString),
}

impl InputValue for TypedLocation {
    /// Tells apart what people put there. Looks at the value only, not at the disk.
    fn parse(value: &str) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_uuid(value) {
            return Err(text!(
                "holds an issuer ID: put the path, URL or text of AuthKey_<ID>.p8 there, and the issuer ID into `api_issuer`"
            ));
        }
        if is_usual_key_id(value) {
            return Err(text!(
                "holds a key ID: put the path, URL or text of AuthKey_<ID>.p8 there, and the key ID into `api_key_id`"
            ));
        }
        let scheme = value.split_once("://").map(|(scheme, _)| scheme);
        let scheme = scheme.filter(|scheme| scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
        let Some(scheme) = scheme else { return Ok(Self::without_scheme(value)) };
        let url = parse_url(value, "correct it")?;
        match scheme.to_ascii_lowercase().as_str() {
            "https" => Ok(Self::Url(url)),
            "http" if is_loopback(&url) => Ok(Self::Url(url)),
            "http" => Err(text!("is an http:// URL, which would send the key unencrypted: use https://")),
            "file" => TypedPath::from_url(&url, value).map(Self::File),
            _ => Err(text!(
                "is a URL of a kind that is not supported: use an https:// or file:// URL, a path, or the key's text"
            )),
        }
    }

    fn shown(&self) -> Text {
        match self {
            Self::Url(url) => redact::url(url),
            Self::File(path) => path.shown(),
            Self::Text(_) => Text::hidden(),
        }
    }
}

impl TypedLocation {
    fn without_scheme(value: &str) -> Self {
        let extension = Path::new(value).extension();
        let is_path = is_path_like(value) || extension.is_some_and(|name| name == "p8" || name == "pem");
        // A key with something around it is not a path: as a key it is refused by name, unseen.
        if is_key_text(value) || value.starts_with('{') || (!is_path && may_hold_secret(value)) {
            Self::Text(value.into())
        } else {
            Self::File(TypedPath::new(value))
        }
    }

    /// What the name of the file says: percent-decoded, query ignored.
    pub(super) fn file_name(&self) -> Option<KeyFileName> {
        match self {
            Self::Url(url) => {
                let name = url.path_segments()?.next_back()?;
                let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
                // A percent-encoded slash separates too, as in object names of storage services.
                KeyFileName::parse(name.rsplit('/').next()?)
            }
            Self::File(path) => path.file_names().find_map(KeyFileName::parse),
            Self::Text(_) => None,
        }
    }

    /// Whether it may be a folder, where the key's name is that of a file in it.
    pub(super) fn may_be_folder(&self) -> bool {
        let has_extension =
            |name: &str| Path::new(name).extension().is_some_and(|extension| !extension.is_empty());
        matches!(self, Self::File(path) if !path.file_names().any(has_extension))
    }

    /// Whether it may be fastlane's API key JSON, which holds the IDs, too.
    pub(super) fn may_be_json(&self) -> bool {
        let is_json = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "json");
        match self {
            Self::Url(url) => is_json(url.path()),
            Self::File(path) => path.file_names().any(is_json),
            Self::Text(text) => {
                let text = strip_wrapping(text.expose_secret());
                text.starts_with('{') || fastlane_key::read(text.as_bytes()).is_some()
            }
        }
    }
}
