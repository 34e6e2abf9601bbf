//! What was asked, and what was thought of it.

use serde::{Deserialize, Serialize};

use crate::Behaviour;

/// One request, recorded before its answer was sent.
///
/// Secrets are recorded as they came: this is a test log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Milliseconds since the server was started.
    pub at_millis: u64,
    /// A number for the connection it came on; requests that share one came on one connection.
    pub connection: u64,
    /// `GET`; empty when the request could not be read.
    pub method: String,
    /// Path and query as sent; empty when the request could not be read.
    pub target: String,
    /// All headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it is text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The service that the path belongs to.
    pub service: Service,
    /// The scenario's name in the path; empty when there is none.
    pub name: String,
    /// What the scenario had the server do.
    pub behaviour: Behaviour,
    /// What the service made of the request, whatever the behaviour then did to the answer.
    pub verdict: Verdict,
    /// What no client may ever do, such as a credential sent to a place that it is not for.
    pub violations: Vec<String>,
}

impl Request {
    /// The first header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The services that the server plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Bitrise's connected credential, under `/build/<name>/`.
    Connection,
    /// The host of .p8 files, under `/files/<name>/`.
    File,
    /// The App Store Connect API, under `/asc/<name>/`.
    AppStoreConnect,
    /// The session check of App Store Connect's website, under `/olympus/<name>/`.
    AppleSession,
    /// Bitrise's build annotations, under `/annotations/<name>/`.
    Annotations,
    /// None of them.
    Unknown,
}

/// What a service made of a request. In JSON: `"ok"`, or `{"refused": "why"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As the real service wants it.
    Ok,
    /// The real service would refuse it, for this reason.
    Refused(String),
}

impl Verdict {
    /// Whether the request was as the real service wants it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }
}
