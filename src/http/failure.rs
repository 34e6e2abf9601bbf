//! Why a server gave no answer.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use crate::redact::text;
use crate::redact::{self, Show, Text, sentences};

use super::redirect::{MAX_REDIRECTS, RefusedRedirect};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

sentences! {
    /// Why there is no document. `Display` completes a sentence that begins with what was asked.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum Failure {
        #[error("could not be reached ({0})")]
        Unreachable(Text),
        #[error("did not answer within {} seconds", .0.as_secs())]
        Timeout(Duration),
        #[error("did not answer within the {} seconds that a run waits for all servers together", .0.as_secs())]
        RunTimeout(Duration),
        #[error("could not be asked, since the variable {0} does not hold the address of an HTTP proxy")]
        WrongProxy(&'static str),
        #[error("did not finish its answer ({0})")]
        Interrupted(Text),
        #[error("did not answer with TLS (it may speak plain http, or a proxy answered)")]
        NotTls,
        #[error("has a certificate that this machine does not trust ({0})")]
        Untrusted(Text),
        #[error("answered HTTP {}{}", .status.as_u16(), meaning(*status))]
        Status { status: StatusCode, retry_after: Option<Duration> },
        #[error("sent more than {} KiB", max_bytes / 1024)]
        TooLarge { max_bytes: usize },
        #[error("redirects more than {MAX_REDIRECTS} times")]
        TooManyRedirects,
        #[error("redirects from {from} to http, which would send the answer unencrypted")]
        RedirectToHttp { from: &'static str },
        #[error("could not be asked ({0})")]
        Other(Text),
    }
}

fn meaning(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => " (a redirect that is not followed)",
        401 | 403 => " (no access)",
        404 | 410 => " (not found)",
        429 => " (too many requests)",
        500..=599 => " (an error of that server)",
        _ => "",
    }
}

const UNKNOWN_ISSUER: &str = "its issuer is unknown";

/// What the libraries below say, in plain English. What is not listed is said in their words.
const PLAIN: [(&str, &str); 21] = [
    ("Connection refused", "it refused the connection"),
    ("connection refused", "it refused the connection"),
    ("Connection reset", "it closed the connection"),
    ("connection reset", "it closed the connection"),
    ("connection closed before message completed", "it closed the connection"),
    ("Broken pipe", "it closed the connection"),
    ("unexpected EOF", "it closed the connection"),
    ("end of file before message length reached", "only a part of it came"),
    ("unexpected end of file", "only a part of it came"),
    ("IncompleteMessage", "only a part of it came"),
    ("failed to lookup address", "its name cannot be looked up"),
    ("Network is unreachable", "there is no network"),
    ("No route to host", "there is no route to it"),
    ("timed out", "it took too long"),
    ("invalid HTTP version", "what came is not HTTP"),
    ("invalid HTTP", "what came is not HTTP"),
    ("UnknownIssuer", UNKNOWN_ISSUER),
    ("CaUsedAsEndEntity", UNKNOWN_ISSUER),
    ("certificate expired", "it has expired"),
    ("Expired", "it has expired"),
    ("not valid for name", "it is for another name"),
];

/// The library's reason in plain English.
fn plain(cause: Text) -> Text {
    let known = PLAIN.iter().find(|(words, _)| cause.as_str().contains(words));
    known.map_or(cause, |(_, plain)| text!("{}", *plain))
}

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The variable holds no address of a proxy.
    Proxy(&'static str),
    /// The same question may be answered later.
    Passing,
    /// The server refused whoever asked.
    Access,
    /// The machine does not know who issued the server's certificate.
    Trust,
    /// The same question is answered in the same way.
    Lasting,
}

impl Failure {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::WrongProxy(variable) => FailureKind::Proxy(variable),
            Self::RunTimeout(_) => FailureKind::Passing,
            failure if failure.is_transient() => FailureKind::Passing,
            Self::Status { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. } => {
                FailureKind::Access
            }
            Self::Untrusted(why) if why.as_str() == UNKNOWN_ISSUER => FailureKind::Trust,
            _ => FailureKind::Lasting,
        }
    }

    /// Completes a sentence that says what is not possible with such a proxy.
    pub(crate) fn proxy_sentence(variable: &'static str) -> Text {
        text!(
            ", since the variable {} does not hold the address of an HTTP proxy: correct that variable, or clear it.",
            variable
        )
    }

    pub(super) fn from_reqwest(error: reqwest::Error, timeout: Duration) -> Self {
        // The URL can hold a signature.
        let error = error.without_url();
        let cause = redact::cause(innermost_cause(&error));
        if error.is_timeout() {
            Self::Timeout(if error.is_connect() { CONNECT_TIMEOUT.min(timeout) } else { timeout })
        } else if error.is_redirect() {
            match error.source().and_then(|source| source.downcast_ref::<RefusedRedirect>()) {
                Some(RefusedRedirect::TooMany) => Self::TooManyRedirects,
                Some(RefusedRedirect::ToHttp { from }) => Self::RedirectToHttp { from },
                None => Self::Other(cause),
            }
        } else if cause.as_str().contains("corrupt message") {
            Self::NotTls
        } else if cause.as_str().contains("certificate") {
            Self::Untrusted(plain(cause))
        } else if error.is_connect() {
            Self::Unreachable(plain(cause))
        } else if error.is_builder() {
            Self::Other(cause)
        } else {
            Self::Interrupted(plain(cause))
        }
    }
}

/// The sentence at the bottom of a chain of errors, which is the one that says something.
fn innermost_cause(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

/// A failure of a try, as far as trying again depends on it. `Display` completes a sentence that
/// begins with the site.
pub(crate) trait TryError: Show + fmt::Display + From<Failure> {
    /// Whether the same question may be answered a moment later.
    fn is_transient(&self) -> bool;
    /// How long the server asks to wait before the next try.
    fn retry_after(&self) -> Option<Duration>;
}

impl TryError for Failure {
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) | Self::Interrupted(_) => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
