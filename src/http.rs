//! One way to fetch a document: bounded in time, size, tries and redirects.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
pub use reqwest::header::HeaderMap;
use reqwest::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{StatusCode, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use zeroize::Zeroizing;

use crate::host::Host;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A server that asks for a longer pause than this is asked again after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;

/// How long a document of Bitrise or of a file host may take.
pub const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether an answer may send the request on to another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// For requests that carry a secret.
    Refused,
    /// At most five, and never from https to http.
    Followed,
}

/// A `GET` request.
#[derive(Debug)]
pub struct Get {
    pub url: Url,
    /// Values that are secret must be marked sensitive.
    pub headers: HeaderMap<HeaderValue>,
    pub redirects: Redirects,
    /// Answers over this many bytes are refused.
    pub max_bytes: usize,
    /// From the first byte out to the last one in.
    pub timeout: Duration,
}

/// What a server said, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// The server's clock, from the header `Date`.
    pub date: Option<OffsetDateTime>,
    pub retry_after: Option<Duration>,
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no document. `Display` completes a sentence that begins with what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("could not be reached ({0})")]
    Unreachable(String),
    #[error("did not answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
    #[error("broke off its answer ({0})")]
    BrokenOff(String),
    #[error("has no certificate that this machine trusts ({0})")]
    Untrusted(String),
    #[error("answered HTTP {status}{}", meaning(*status))]
    Status { status: StatusCode, retry_after: Option<Duration> },
    #[error("answered more than {} KiB", max_bytes / 1024)]
    TooLarge { max_bytes: usize },
    #[error("redirects more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
    #[error("redirects from {from} to http, which would send the answer in the clear")]
    RedirectToHttp { from: &'static str },
    #[error("could not be asked ({0})")]
    Other(String),
}

fn meaning(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => " (a redirect that is not followed)",
        401 | 403 => " (no access; an expired or wrong link or token)",
        404 | 410 => " (nothing there)",
        429 => " (too many requests)",
        500..=599 => " (an error of that server)",
        _ => "",
    }
}

impl Failure {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) | Self::BrokenOff(_) => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }

    /// How long the server asks to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    fn from_reqwest(error: reqwest::Error, timeout: Duration) -> Self {
        // The URL can hold a signature.
        let error = error.without_url();
        let cause = innermost_cause(&error);
        if error.is_timeout() {
            Self::Timeout(if error.is_connect() { CONNECT_TIMEOUT.min(timeout) } else { timeout })
        } else if error.is_redirect() {
            match error.source().and_then(|source| source.downcast_ref::<RefusedRedirect>()) {
                Some(RefusedRedirect::TooMany) => Self::TooManyRedirects,
                Some(RefusedRedirect::ToHttp { from }) => Self::RedirectToHttp { from },
                None => Self::Other(cause),
            }
        } else if cause.contains("certificate") {
            Self::Untrusted(cause)
        } else if error.is_connect() {
            Self::Unreachable(cause)
        } else if error.is_builder() {
            Self::Other(cause)
        } else {
            Self::BrokenOff(cause)
        }
    }
}

/// The sentence at the bottom of a chain of errors, which is the one that says something.
fn innermost_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Whether a URL stays on this machine, where plain http is allowed.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Fetches a document, trying again on what may pass: at most four times in all, with
/// exponential backoff and jitter, or after the pause that the server asks for.
///
/// # Errors
/// The [`Failure`] of the last try.
pub async fn get(request: &Get, host: &Host) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let client = Client::new(request)?;
    let sleep = host.sleep.clone();
    (|| async { client.ask(request, host).await?.ok() })
        .retry(backoff(host))
        .sleep(move |span| sleep(span))
        .when(Failure::is_transient)
        .adjust(|failure, pause| {
            // `None` ends the tries; only the length of a pause is the server's to choose.
            pause.map(|pause| failure.retry_after().unwrap_or(pause).min(LONGEST_PAUSE))
        })
        .notify(|failure, pause| log_retry(&request.url, failure, pause))
        .await
}

/// Pauses for three more tries: half a second, one, two, and up to as much again by chance.
#[must_use]
pub fn backoff(host: &Host) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_times(RETRIES)
        .with_jitter()
        .with_jitter_seed(host.jitter_seed)
}

/// Says in the log that a request is made again.
pub fn log_retry(url: &Url, failure: &impl fmt::Display, pause: Duration) {
    log::warn!("{} {failure}; trying again in {:.1} s", site(url), pause.as_secs_f64());
}

impl Answer {
    /// The answer, unless the same request may get another one a moment later.
    ///
    /// # Errors
    /// The status as a [`Failure`] that is transient.
    pub fn settled(self) -> Result<Self, Failure> {
        let failure = Failure::Status { status: self.status, retry_after: self.retry_after };
        if failure.is_transient() { Err(failure) } else { Ok(self) }
    }

    fn ok(self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match self.status {
            StatusCode::OK => Ok(self.body),
            status => Err(Failure::Status { status, retry_after: self.retry_after }),
        }
    }
}

/// Scheme, host and port: what can be named in a log.
#[must_use]
pub fn site(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A client for requests like the one that it was made for: to its site, with its redirects.
pub struct Client(reqwest::Client);

impl Client {
    /// # Errors
    /// When the system's trust store cannot be read.
    pub fn new(request: &Get) -> Result<Self, Failure> {
        let policy = match request.redirects {
            Redirects::Refused => Policy::none(),
            Redirects::Followed => Policy::custom(follow),
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(policy)
            .referer(false);
        if is_loopback(&request.url) {
            // A proxy would take the request, and its token, off this machine.
            builder = builder.no_proxy();
        }
        if request.url.scheme() == "http" && request.redirects == Redirects::Refused {
            // Nothing here will speak TLS, and reading the system's store takes longer than the rest.
            builder = builder.tls_certs_only([]);
        }
        builder.build().map(Self).map_err(|error| Failure::from_reqwest(error, request.timeout))
    }

    /// Makes the request once.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer. An answer of any status is one.
    pub async fn ask(&self, request: &Get, host: &Host) -> Result<Answer, Failure> {
        let failure = |error| Failure::from_reqwest(error, request.timeout);
        let call = self.0.get(request.url.clone()).headers(request.headers.clone()).timeout(request.timeout);
        let mut response = call.send().await.map_err(failure)?;
        let status = response.status();
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        // Room for all that was announced: a buffer that grows leaves copies behind.
        let room = announced.unwrap_or(16 * 1024).min(request.max_bytes);
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() <= request.max_bytes => {
                    body.extend_from_slice(&chunk);
                }
                // Of an error page, the status says enough.
                _ if status != StatusCode::OK => break,
                Ok(Some(_)) => return Err(Failure::TooLarge { max_bytes: request.max_bytes }),
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(Answer {
            status,
            date: header(&response, &DATE).and_then(http_date),
            retry_after: header(&response, &RETRY_AFTER).and_then(|value| pause(value, (host.now)())),
            body,
        })
    }
}

fn header<'a>(response: &'a reqwest::Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn http_date(value: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value, &Rfc2822).ok()
}

/// Seconds, or an HTTP date ([RFC 9110 section 10.2.3]).
///
/// [RFC 9110 section 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
fn pause(retry_after: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some((http_date(retry_after)? - now).try_into().unwrap_or(Duration::ZERO))
}

#[derive(Debug, thiserror::Error)]
enum RefusedRedirect {
    #[error("too many redirects")]
    TooMany,
    #[error("redirect to plain http")]
    ToHttp { from: &'static str },
}

fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let came_by_https = attempt.previous().iter().any(|url| url.scheme() == "https");
    let goes_in_the_clear = attempt.url().scheme() != "https";
    if goes_in_the_clear && (came_by_https || !is_loopback(attempt.url())) {
        let from = if came_by_https { "https" } else { "this machine" };
        return attempt.error(RefusedRedirect::ToHttp { from });
    }
    // `previous` also counts the first request.
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(RefusedRedirect::TooMany);
    }
    attempt.follow()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use stand_in::{Behaviour, StandIn};
    use time::macros::datetime;

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// Fetches a file that the server serves with these behaviours. Returns the pauses, too:
    /// they are recorded, not waited for.
    fn fetch(
        behaviours: Vec<Behaviour>,
    ) -> Result<(std::result::Result<usize, Failure>, Vec<Duration>, usize)> {
        let server = StandIn::start()?;
        let url = server.file("key", "AuthKey.p8", *b"0123456789", behaviours);
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&pauses);
        let host = Host {
            env: std::collections::BTreeMap::new(),
            env_not_utf8: Vec::new(),
            now: || datetime!(2026-11-20 09:00 UTC),
            temp_dir: std::path::PathBuf::new(),
            sleep: Arc::new(move |pause| {
                if let Ok(mut pauses) = recorder.lock() {
                    pauses.push(pause);
                }
                Box::pin(std::future::ready(()))
            }),
            jitter_seed: 1,
        };
        let request = Get {
            url: Url::parse(&url)?,
            headers: HeaderMap::new(),
            redirects: Redirects::Followed,
            max_bytes: 64,
            timeout: DOCUMENT_TIMEOUT,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(get(&request, &host)).map(|body| body.len());
        let pauses = pauses.lock().map_err(|_| "poisoned")?.clone();
        Ok((result, pauses, server.requests().len()))
    }

    fn status(code: u16, headers: &[(&str, &str)]) -> Behaviour {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Behaviour::Status { code, headers, body: String::new() }
    }

    #[test]
    fn four_tries_with_growing_pauses_and_jitter_then_the_last_failure() -> Result {
        let (result, pauses, requests) = fetch(vec![status(503, &[]).forever()])?;
        assert!(matches!(result, Err(Failure::Status { status: StatusCode::SERVICE_UNAVAILABLE, .. })));
        assert_eq!(requests, 4);
        for (pause, least) in pauses.iter().zip([0.5, 1.0, 2.0]) {
            let seconds = pause.as_secs_f64();
            assert!((least..=least + 1.0).contains(&seconds), "{pauses:?}");
        }
        assert_eq!(pauses.len(), 3);
        Ok(())
    }

    #[test]
    fn what_may_pass_is_tried_again_until_it_passed() -> Result {
        let passing = [
            status(500, &[]),
            status(429, &[]),
            Behaviour::ResetBeforeAnswer,
            Behaviour::CloseBeforeAnswer,
            Behaviour::ResetMidBody,
            Behaviour::WrongContentLength,
            Behaviour::ChunkedCut,
        ];
        for behaviour in passing {
            let (result, pauses, requests) = fetch(vec![behaviour.clone(), behaviour.clone()])?;
            assert_eq!((result, pauses.len(), requests), (Ok(10), 2, 3), "{behaviour:?}");
        }
        Ok(())
    }

    #[test]
    fn what_stays_is_not_tried_again() -> Result {
        for code in [400, 401, 403, 404, 410] {
            let (result, pauses, requests) = fetch(vec![status(code, &[]).forever()])?;
            assert!(matches!(result, Err(Failure::Status { .. })), "{code}");
            assert_eq!((pauses.len(), requests), (0, 1), "{code}");
        }
        let (result, _, requests) = fetch(vec![Behaviour::Oversize(100).forever()])?;
        assert_eq!((result, requests), (Err(Failure::TooLarge { max_bytes: 64 }), 1));
        Ok(())
    }

    #[test]
    fn the_pause_that_the_server_asks_for_is_kept_up_to_30_seconds() -> Result {
        let pause_for = |value: &str| -> Result<Vec<Duration>> {
            Ok(fetch(vec![status(429, &[("Retry-After", value)])])?.1)
        };
        assert_eq!(pause_for("7")?, [Duration::from_secs(7)]);
        assert_eq!(pause_for("0")?, [Duration::ZERO]);
        assert_eq!(pause_for("3600")?, [Duration::from_secs(30)]);
        assert_eq!(pause_for("Fri, 20 Nov 2026 09:00:12 GMT")?, [Duration::from_secs(12)]);
        assert_eq!(pause_for("Fri, 20 Nov 2026 08:00:00 GMT")?, [Duration::ZERO], "a time that has passed");
        Ok(())
    }

    #[test]
    fn loopback_is_this_machine_by_every_name_and_nothing_else() -> Result {
        for host in ["localhost", "127.0.0.1", "127.8.0.1", "[::1]"] {
            assert!(is_loopback(&Url::parse(&format!("http://{host}:8080/"))?), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "10.0.0.1", "0.0.0.0", "[::2]", "128.0.0.1"] {
            assert!(!is_loopback(&Url::parse(&format!("http://{host}:8080/"))?), "{host}");
        }
        Ok(())
    }
}
