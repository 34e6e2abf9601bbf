//! Input `api_key_path`.

use std::path::{Path, PathBuf};

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::values::{expand_home, file_url_to_path, parse_url};
use crate::apple::api_key::{KeyFileName, KeyKind, is_uuid};
use crate::apple::private_key::{PrivateKey, strip_wrapping};
use crate::env::Env;
use crate::formats::key_json;
use crate::http::is_confidential;
use crate::redact::{self, Text, is_path_like, is_usual_key_id, may_hold_secret, text};

/// Where the private key is, or its text.
#[derive(Debug)]
pub enum KeyLocation {
    Url(Url),
    File(PathBuf),
    Inline(SecretString),
}

impl KeyLocation {
    /// Recognizes a URL, a path or a key by its form. The file does not have to exist.
    pub(super) fn parse(value: &str, env: &Env) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_uuid(value) {
            return Err(text!(
                "contains an issuer ID: set it to the path, URL or text of AuthKey_<ID>.p8, and `api_issuer` to the issuer ID"
            ));
        }
        if is_usual_key_id(value) {
            return Err(text!(
                "contains a key ID: set it to the path, URL or text of AuthKey_<ID>.p8, and `api_key_id` to the key ID"
            ));
        }
        // This Step's output APP_STORE_CONNECT_PRIVATE_KEY, for Codemagic's tools, has this form.
        if let Some(path) = value.strip_prefix("@file:") {
            return Ok(Self::File(expand_home(path, env)));
        }
        let is_scheme = |(scheme, _): (&str, &str)| scheme.bytes().all(|b| b.is_ascii_alphanumeric());
        if !value.split_once("://").is_some_and(is_scheme) {
            let is_key = is_key_text(value);
            return Ok(if is_key { Self::Inline(value.into()) } else { Self::File(expand_home(value, env)) });
        }
        let url = parse_url(value, "correct it")?;
        match url.scheme() {
            _ if is_confidential(&url) => Ok(Self::Url(url)),
            "http" => Err(text!("is an http:// URL, which would send the key unencrypted: use https://")),
            "file" => file_url_to_path(&url, value, env).map(Self::File),
            _ => Err(text!(
                "has an unsupported URL scheme: use an https:// or file:// URL, a path, or the key's text"
            )),
        }
    }

    /// How the log shows the input.
    pub(super) fn shown(&self) -> Text {
        match self {
            Self::Url(url) => redact::url(url),
            Self::File(path) => redact::path(path),
            Self::Inline(_) => Text::hidden(),
        }
    }

    /// Parses the file name. For a URL, the file name is the last segment of its decoded path.
    pub(crate) fn file_name(&self) -> Option<KeyFileName> {
        match self {
            Self::Url(url) => {
                let name = url.path_segments()?.next_back()?;
                let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
                // The names of objects in storage services can contain slashes, which URLs percent-encode.
                KeyFileName::parse(name.rsplit('/').next()?)
            }
            Self::File(path) => KeyFileName::parse(path.file_name()?.to_str()?),
            Self::Inline(_) => None,
        }
    }

    /// Whether the file has the name of an individual key.
    pub(crate) fn is_named_individual(&self) -> bool {
        matches!(self.file_name(), Some(KeyFileName::Api { kind: KeyKind::Individual, .. }))
    }

    /// Whether reading the location can yield the key's IDs: it can be an API key JSON, which contains them, or a
    /// folder of files with names like `AuthKey_<ID>.p8`. A file with the extension of a private key is neither.
    pub(super) fn may_hold_ids(&self) -> bool {
        match self {
            Self::Url(url) => !has_key_extension(Path::new(url.path())),
            Self::File(path) => !has_key_extension(path),
            Self::Inline(text) => {
                let text = text.expose_secret();
                text.starts_with('{') || key_json::read(text.as_bytes()).is_some()
            }
        }
    }
}

/// At least the limits of Linux and macOS, in bytes: a longer value is not a path.
const MAX_PATH: usize = 4096;
const MAX_NAME: usize = 255;

fn has_key_extension(path: &Path) -> bool {
    path.extension().is_some_and(|name| name == "p8" || name == "pem")
}

/// Whether to treat a value as the text of a key, not as a path. Damaged keys and keys with other text around them
/// are included, so that no error shows a part of a key.
fn is_key_text(value: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=_-\\".contains(c) || c.is_whitespace();
    let has_long_name = || value.split('/').any(|name| name.len() > MAX_NAME);
    let path = Path::new(value);
    let has_extension = || has_key_extension(path) || path.extension().is_some_and(|name| name == "json");
    value.starts_with('{')
        || value.contains("PRIVATE KEY")
        || value.contains("-----BEGIN")
        || value.lines().count() > 1
        || value.len() > MAX_PATH
        || has_long_name()
        || if is_path_like(value) {
            // A key in UTF-16 and base64 begins with a slash, like a path.
            PrivateKey::from_bytes(value.as_bytes()).is_ok() || key_json::read(value.as_bytes()).is_some()
        } else {
            (value.len() >= 80 && value.chars().all(is_base64))
                || (!has_extension() && may_hold_secret(value))
        }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use test_support::{pem, pem_body, sec1_pem};

    use super::*;

    #[test]
    fn a_wrapped_or_encoded_key_is_recognized_as_a_secret() {
        let pem = pem();
        let sec1 = sec1_pem(pem, true);
        let (sec1_body, body) = (pem_body(&sec1), pem_body(pem));
        let mut texts = vec![sec1, sec1_body];
        for width in 16..=40 {
            let lines: Vec<_> = body.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
            texts.extend([" ", "\\n", "\n"].map(|separator| lines.join(separator)));
        }
        for text in texts {
            assert!(is_key_text(strip_wrapping(&text)) && may_hold_secret(&text), "{text}");
        }
        let utf16: Vec<u8> = format!("\u{feff}{pem}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16 = STANDARD.encode(utf16);
        assert!(utf16.starts_with('/') && is_key_text(&utf16), "{utf16}");
    }

    #[test]
    fn a_path_is_not_mistaken_for_a_key() {
        for path in [
            "AuthKey_2X9R4HXF34.p8",
            "/private/var/folders/8k/7xj4b1q92ld3v5c6n8m0t2wr0000gn/T/AuthKey_2X9R4HXF34.p8",
            "/Users/runner/work/1234567/Project/certificates/AuthKey_2X9R4HXF34.p8",
            "/Users/vagrant/Documents/Development/Company/Project/fastlane/certificates/key",
            "0123456789abcdef0123456789abcdef01234567",
            "MIGH",
        ] {
            assert!(!is_key_text(path) && !may_hold_secret(path), "{path}");
        }
        assert!(!is_key_text("Projects/MyApp2024/fastlane/Keys/AscApiKey01.json"), "the path of a file");
        assert!(is_key_text(&format!("/{}", "x".repeat(MAX_NAME + 1))), "too long for a name");
        assert!(is_key_text(&"/xxx".repeat(MAX_PATH / 4 + 1)), "too long for a path");
    }
}
