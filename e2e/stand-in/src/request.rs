//! Recorded requests.

use serde::{Deserialize, Serialize};

use crate::Behaviour;

/// A request, recorded with its secrets before the response is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Milliseconds since the server was started.
    pub at_millis: u64,
    /// The number of its connection; requests with the same number shared a connection.
    pub connection: u64,
    /// The method, such as `GET`; empty when the request could not be read.
    pub method: String,
    /// Path and query as sent; empty when the request could not be read.
    pub target: String,
    /// All headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, with bytes that are not UTF-8 replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The service that the path belongs to.
    pub service: Service,
    /// The scenario's name in the path; empty when there is none.
    pub name: String,
    /// The fault that the server simulated for this request; [`Behaviour::Ok`] for none.
    pub behaviour: Behaviour,
    /// The service's verdict, regardless of what the behaviour does to the response.
    pub verdict: Verdict,
    /// Mistakes that no client must ever make, such as sending a credential to the wrong service.
    pub violations: Vec<String>,
}

impl Request {
    /// The first header of this name, ignoring case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The services that the server simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Bitrise's endpoint with the connected credential, under `/build/<name>/`.
    Connection,
    /// The file server for .p8 files, under `/files/<name>/`.
    File,
    /// The App Store Connect API, under `/asc/<name>/`.
    AppStoreConnect,
    /// The session check of App Store Connect's website, under `/olympus/<name>/`.
    AppleSession,
    /// Bitrise's build annotations, under `/annotations/<name>/`.
    Annotations,
    /// None of these services.
    Unknown,
}

/// Whether the service accepts a request. In JSON: `"ok"`, or `{"refused": "why"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The real service would accept it.
    Ok,
    /// The real service would refuse it, for this reason.
    Refused(String),
}

impl Verdict {
    /// Whether the real service would accept the request.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }
}
