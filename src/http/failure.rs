//! Why a request failed, derived from the types of the libraries' errors, never from their messages.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter;
use std::time::Duration;

use reqwest::StatusCode;
use rustls::CertificateError;

use crate::redact::{self, Text, error_messages, text};

use super::MAX_REDIRECTS;

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

error_messages! {
    /// Why a request failed. `Display` completes a sentence that begins with the server's name.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum Failure {
        #[error("could not be reached ({0})")]
        Unreachable(Text),
        #[error("did not respond within {} seconds", .0.as_secs())]
        Timeout(Duration),
        #[error("did not respond in time: the Step waits at most {} seconds in total for all servers", .0.as_secs())]
        RunTimeout(Duration),
        #[error("rejected the token (HTTP 401)")]
        TokenRejected,
        #[error("was not contacted, because the variable {name} {problem}")]
        InvalidVariable { name: &'static str, problem: Text },
        #[error("did not send a valid response ({0})")]
        Incomplete(Text),
        #[error("did not respond with TLS (it may use plain HTTP, or a proxy responded)")]
        NotTls,
        /// Unlike [`Self::UntrustedCertificate`], fixed by installing the issuer's certificate on the machine.
        #[error("has a certificate that this machine does not trust ({0})")]
        UntrustedIssuer(&'static str),
        #[error("has a certificate that this machine does not trust ({0})")]
        UntrustedCertificate(&'static str),
        #[error("returned HTTP {}{}", .status.as_u16(), status_meaning(*status))]
        Status { status: StatusCode, retry_after: Option<Duration> },
        #[error("sent more than {}", describe_size(*max_bytes))]
        TooLarge { max_bytes: usize },
        #[error("redirects more than {MAX_REDIRECTS} times")]
        TooManyRedirects,
        #[error("redirects from {from} to an http:// URL, which would send the response unencrypted")]
        RedirectToHttp { from: &'static str },
        #[error("could not be contacted ({0})")]
        Other(Text),
    }
}

fn describe_size(bytes: usize) -> Text {
    let kib = bytes / 1024;
    if kib >= 1024 { text!("{} MiB", kib / 1024) } else { text!("{} KiB", kib) }
}

fn status_meaning(status: StatusCode) -> &'static str {
    match status.as_u16() {
        301..=303 | 307 | 308 => " (an unexpected redirect)",
        401 | 403 => " (no access)",
        404 => " (not found)",
        410 => " (gone)",
        429 => " (too many requests)",
        500..=599 => " (a server error)",
        _ => "",
    }
}

impl Failure {
    /// Whether the same request can succeed later. Apple sometimes rejects a valid token.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Timeout(_)
            | Self::RunTimeout(_)
            | Self::Incomplete(_)
            | Self::TokenRejected => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }

    /// The end of a sentence about a request that failed with [`Failure::InvalidVariable`].
    pub(crate) fn explain_variable(name: &'static str, problem: &Text) -> Text {
        text!(", because the variable {} {}: correct that variable, or clear it.", name, problem)
    }

    /// `timeout` is the time limit of the request.
    pub(super) fn from_reqwest(error: reqwest::Error, timeout: Duration) -> Self {
        // The URL can contain a signature.
        let error = error.without_url();
        if error.is_timeout() {
            return Self::Timeout(if error.is_connect() { CONNECT_TIMEOUT.min(timeout) } else { timeout });
        }
        // This crate's redirect policy and resolver return a `Failure` themselves.
        if let Some(failure) = find_cause::<Self>(&error) {
            return failure.clone();
        }
        match find_cause(&error) {
            Some(rustls::Error::InvalidCertificate(error)) => Self::from_certificate(error),
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            _ if error.is_connect() => Self::Unreachable(describe(&error)),
            _ if error.is_builder() => Self::Other(describe(&error)),
            _ => Self::Incomplete(describe(&error)),
        }
    }

    fn from_certificate(error: &CertificateError) -> Self {
        Self::UntrustedCertificate(match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "it is for another name"
            }
            CertificateError::Revoked => "it has been revoked",
            CertificateError::UnknownIssuer => return Self::UntrustedIssuer("its issuer is unknown"),
            // For example, a server that presents its own CA certificate.
            _ => return Self::UntrustedIssuer("it is self-signed or malformed"),
        })
    }
}

/// Describes the root cause in plain English. An unexpected cause keeps the message of its library.
fn describe(error: &reqwest::Error) -> Text {
    let closed_connection = || text!("it closed the connection");
    let hyper_error = find_cause::<hyper::Error>(error);
    if hyper_error.is_some_and(hyper::Error::is_parse) {
        return text!("its response is not HTTP");
    }
    if hyper_error.is_some_and(hyper::Error::is_incomplete_message) {
        return closed_connection();
    }
    let io_error = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
    match io_error.map(io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => text!("it refused the connection"),
        Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe) => {
            closed_connection()
        }
        Some(ErrorKind::UnexpectedEof) if error.is_connect() => closed_connection(),
        Some(ErrorKind::UnexpectedEof) => text!("only part arrived"),
        Some(ErrorKind::NetworkUnreachable) => text!("there is no network"),
        Some(ErrorKind::HostUnreachable) => text!("there is no route to it"),
        Some(ErrorKind::TimedOut) => text!("it took too long"),
        _ => match io_error.filter(|error| error.raw_os_error().is_some()) {
            Some(error) => redact::os(error),
            None => causes(error).last().map_or(text!(""), redact::cause),
        },
    }
}

/// An error, followed by its causes, down to the root cause.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        // `source` of an `io::Error` skips the error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|error| error as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// The first error of this type among an error and its causes.
fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref())
}
