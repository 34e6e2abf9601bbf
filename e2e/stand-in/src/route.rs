//! Maps a path to its service and scenario.

use std::fmt::Write as _;

use crate::request::Service;

/// The target of a request. Name and rest are percent-decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub service: Service,
    /// The scenario's name.
    pub name: String,
    /// The rest of the path, without the slash after the name.
    pub rest: String,
}

impl Route {
    pub(crate) fn unknown() -> Self {
        Self { service: Service::Unknown, name: String::new(), rest: String::new() }
    }

    /// The route for the path of a request.
    pub(crate) fn of(path: &str) -> Self {
        let mut segments = path.splitn(4, '/');
        let (Some(""), Some(service), Some(name), Some(rest)) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Self::unknown();
        };
        let service = match service {
            "build" => Service::Connection,
            "files" => Service::File,
            "asc" => Service::AppStoreConnect,
            "olympus" => Service::AppleSession,
            "annotations" => Service::Annotations,
            _ => return Self::unknown(),
        };
        match (decode(name), decode(rest)) {
            (Some(name), Some(rest)) => Self { service, name, rest },
            _ => Self::unknown(),
        }
    }
}

/// Percent-encodes a segment of a path or a part of a query.
pub(crate) fn encode(segment: &str) -> String {
    let mut encoded = String::new();
    for byte in segment.bytes() {
        // RFC 3986, section 2.3: unreserved characters.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            u8::try_from(value).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}
