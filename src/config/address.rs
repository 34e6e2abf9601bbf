//! Config that say where something is: URLs, files, folders.

use std::path::PathBuf;

use reqwest::Url;

use super::field::InputValue;
use crate::env::Env;
use crate::http::is_loopback;
use crate::redact::text;
use crate::redact::{self, Text};

/// A path as it was typed: the home is not yet put in for `~`.
#[derive(Debug)]
pub(super) struct TypedPath {
    path: String,
    /// Of a `file://` URL, what stands behind the slashes. Bitrise's Steps in Go take that for the
    /// path and decode nothing, so what they can read is written so.
    undecoded: Option<String>,
}

impl TypedPath {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), undecoded: None }
    }

    /// The path of a `file://` URL, also with `~` behind the slashes.
    pub(super) fn from_url(url: &Url, typed: &str) -> Result<Self, Text> {
        if let Some(rest) = typed.strip_prefix("file://~") {
            return Ok(Self::new(&format!("~{rest}")));
        }
        let path = url.to_file_path().ok();
        let path = path.and_then(|path| path.into_os_string().into_string().ok());
        let scheme_ends = typed.find("://").map_or(0, |at| at + "://".len());
        let undecoded = typed.get(scheme_ends..).filter(|path| path.starts_with('/')).map(str::to_owned);
        path.map(|path| Self { path, undecoded }).ok_or_else(|| {
            text!("is a file:// URL with a host: write it with three slashes, file:///path/to/file")
        })
    }

    pub(super) fn shown(&self) -> Text {
        redact::path(self.path.as_ref())
    }

    /// What the file may be called: with decoding, and without.
    pub(super) fn file_names(&self) -> impl Iterator<Item = &str> {
        let paths = [Some(&self.path), self.undecoded.as_ref()];
        paths.into_iter().flatten().filter_map(|path| path.rsplit('/').next())
    }

    /// With the home put in for `~`. Of a `file://` URL, the path without decoding where a file of
    /// that name is there.
    #[must_use]
    pub(super) fn expand(&self, env: &Env) -> PathBuf {
        if let Some(undecoded) = self.undecoded.as_ref().map(PathBuf::from).filter(|path| path.exists()) {
            return undecoded;
        }
        match (self.path.strip_prefix('~'), env.var("HOME")) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                PathBuf::from(format!("{home}{rest}"))
            }
            _ => PathBuf::from(&self.path),
        }
    }
}

/// Input `credentials_dir`.
#[derive(Debug)]
pub(super) struct Folder(pub(super) TypedPath);

impl InputValue for Folder {
    fn parse(value: &str) -> Result<Self, Text> {
        Ok(Self(TypedPath::new(value)))
    }

    fn shown(&self) -> Text {
        self.0.shown()
    }
}

/// The base URL of one of Apple's services.
#[derive(Debug)]
pub(super) struct BaseUrl(pub(super) Url);

impl InputValue for BaseUrl {
    fn parse(value: &str) -> Result<Self, Text> {
        let url = parse_url(value, "use an https:// URL")?;
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            _ => Err(text!("would send a token unencrypted: use an https:// URL")),
        }
    }

    fn shown(&self) -> Text {
        redact::url(&self.0)
    }
}

/// Input `build_url`: where the connection is read.
#[derive(Debug)]
pub(super) enum TypedBuildLocation {
    /// The build's page, below which Bitrise serves the connection.
    Url(Url),
    /// A JSON file in the connection's format.
    File(TypedPath),
}

impl InputValue for TypedBuildLocation {
    fn parse(value: &str) -> Result<Self, Text> {
        const EXPECTED: &str = "use the build's https:// URL, or the file:// URL of a JSON file";
        let url = parse_url(value, EXPECTED)?;
        match url.scheme() {
            "https" => Ok(Self::Url(url)),
            "http" if is_loopback(&url) => Ok(Self::Url(url)),
            "http" => {
                Err(text!("is an http:// URL, which would send the build's token unencrypted: {}", EXPECTED))
            }
            "file" => Ok(Self::File(TypedPath::from_url(&url, value)?)),
            _ => Err(text!("is a URL of a kind that is not supported: {}", EXPECTED)),
        }
    }

    fn shown(&self) -> Text {
        match self {
            Self::Url(url) => redact::url(url),
            Self::File(path) => path.shown(),
        }
    }
}

pub(super) fn parse_url(value: &str, expected: &'static str) -> Result<Url, Text> {
    Url::parse(value).map_err(|error| text!("is not a valid URL ({}): {}", redact::cause(&error), expected))
}
