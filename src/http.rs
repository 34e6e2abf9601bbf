//! One way to ask a server: bounded in time, size, tries and redirects.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
pub(crate) use reqwest::header::HeaderMap;
use reqwest::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{StatusCode, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::host::{Host, Sleep};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_REDIRECTS: usize = 5;

/// How long a document of Bitrise or of a file host may take.
pub(crate) const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether an answer may send the request on to another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Redirects {
    /// For requests that carry a secret.
    Refused,
    /// At most five, and never from https to http.
    Followed,
}

/// A `GET` request.
#[derive(Debug)]
pub(crate) struct Get {
    pub(crate) url: Url,
    /// Values that are secret must be marked sensitive.
    pub(crate) headers: HeaderMap<HeaderValue>,
    pub(crate) redirects: Redirects,
    /// Answers over this many bytes are refused.
    pub(crate) max_bytes: usize,
    /// From the first byte out to the last one in.
    pub(crate) timeout: Duration,
}

/// What a server said, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The server's clock, from the header `Date`.
    pub(crate) date: Option<OffsetDateTime>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Zeroizing<Vec<u8>>,
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
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// How patiently a question is put again after a failure that may pass: at most four times in
/// all, after half a second, one and two, each with up to as much again by chance, or after the
/// pause that the server asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// The longest pause that a server may ask for.
    pub(crate) longest_pause: Duration,
    /// What is done when it asks for a longer one.
    pub(crate) on_longer_pause: OnLongerPause,
    /// When all of it must have ended, tries and pauses.
    pub(crate) deadline: Option<Deadline>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnLongerPause {
    /// It is asked again after [`RetryPolicy::longest_pause`].
    Shorten,
    /// It is not asked again.
    GiveUp,
}

/// The end of a time span that began when this was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    limit: Duration,
    /// `None`: after the end of time.
    at: Option<Instant>,
}

/// A failure of a try, as far as trying again depends on it. `Display` completes a sentence that
/// begins with the site.
pub(crate) trait TryError: fmt::Display + From<Failure> {
    /// Whether the same question may be answered a moment later.
    fn is_transient(&self) -> bool;
    /// How long the server asks to wait before the next try.
    fn retry_after(&self) -> Option<Duration>;
}

impl RetryPolicy {
    /// For a document without which the build fails: worth waiting for.
    pub(crate) const DOCUMENT: Self = Self {
        longest_pause: Duration::from_secs(30),
        on_longer_pause: OnLongerPause::Shorten,
        deadline: None,
    };

    /// The pause before the next try, or `None` when there is to be none. `planned` is that of the
    /// backoff, which is `None` after the last try; only a pause's length is the server's to choose.
    fn pause(&self, asked: Option<Duration>, planned: Option<Duration>) -> Option<Duration> {
        let pause = match (asked.unwrap_or(planned?), self.on_longer_pause) {
            (pause, _) if pause <= self.longest_pause => pause,
            (_, OnLongerPause::Shorten) => self.longest_pause,
            (_, OnLongerPause::GiveUp) => return None,
        };
        self.deadline.is_none_or(|deadline| deadline.is_after(pause)).then_some(pause)
    }
}

impl Deadline {
    #[must_use]
    pub(crate) fn after(limit: Duration) -> Self {
        Self { limit, at: Instant::now().checked_add(limit) }
    }

    /// Whether it lies after a pause that begins now.
    fn is_after(self, pause: Duration) -> bool {
        self.at.is_none_or(|at| Instant::now().checked_add(pause).is_some_and(|end| end < at))
    }
}

impl TryError for Failure {
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) | Self::BrokenOff(_) => true,
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

impl Answer {
    /// The answer, unless the same request may get another one a moment later.
    ///
    /// # Errors
    /// The status as a [`Failure`] that is transient.
    pub(crate) fn settled(self) -> Result<Self, Failure> {
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
pub(crate) fn site(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// What a client is set up for; requests of one kind share theirs, and its open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    redirects: Redirects,
    /// Of this machine, past any proxy: one would take the request, and its token, off it.
    is_loopback: bool,
    /// Nothing here will speak TLS, and reading the system's store takes longer than the rest.
    is_plain: bool,
}

impl Kind {
    fn of(request: &Get) -> Self {
        Self {
            redirects: request.redirects,
            is_loopback: is_loopback(&request.url),
            is_plain: request.url.scheme() == "http" && request.redirects == Redirects::Refused,
        }
    }

    fn client(self) -> Result<reqwest::Client, reqwest::Error> {
        let policy = match self.redirects {
            Redirects::Refused => Policy::none(),
            Redirects::Followed => Policy::custom(follow),
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(policy)
            .referer(false);
        if self.is_loopback {
            builder = builder.no_proxy();
        }
        if self.is_plain {
            builder = builder.tls_certs_only([]);
        }
        builder.build()
    }
}

/// Asks servers. Made once for a run: questions to one server share a connection.
pub struct Http {
    clients: Mutex<HashMap<Kind, reqwest::Client>>,
    now: fn() -> OffsetDateTime,
    sleep: Sleep,
    jitter_seed: u64,
}

impl Http {
    #[must_use]
    pub(crate) fn new(host: &Host) -> Self {
        Self {
            clients: Mutex::default(),
            now: host.now,
            sleep: host.sleep.clone(),
            jitter_seed: host.jitter_seed,
        }
    }

    /// The time of day, UTC.
    #[must_use]
    pub(crate) fn now(&self) -> OffsetDateTime {
        (self.now)()
    }

    /// Fetches a document, trying again on what may pass.
    ///
    /// # Errors
    /// The [`Failure`] of the last try.
    pub(crate) async fn get(
        &self,
        request: &Get,
        policy: RetryPolicy,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.retry(&request.url, policy, || async { self.ask(request).await?.ok() }).await
    }

    /// Puts a question until it is answered, its failure is one that stays, or the policy ends the
    /// tries.
    ///
    /// # Errors
    /// That of the last try.
    pub(crate) async fn retry<T, E: TryError>(
        &self,
        url: &Url,
        policy: RetryPolicy,
        ask: impl AsyncFn() -> Result<T, E>,
    ) -> Result<T, E> {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_times(RETRIES)
            .with_jitter()
            .with_jitter_seed(self.jitter_seed);
        let sleep = self.sleep.clone();
        let tries = (|| ask())
            .retry(backoff)
            .sleep(move |span| sleep(span))
            .when(E::is_transient)
            .adjust(|error, planned| policy.pause(error.retry_after(), planned))
            .notify(|error, pause| {
                log::warn!("{} {error}; trying again in {:.1} s", site(url), pause.as_secs_f64());
            });
        match policy.deadline {
            Some(Deadline { limit, at: Some(at) }) => tokio::time::timeout_at(at, tries)
                .await
                .unwrap_or_else(|_| Err(Failure::Timeout(limit).into())),
            _ => tries.await,
        }
    }

    /// Makes a request once.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer. An answer of any status is one.
    pub(crate) async fn ask(&self, request: &Get) -> Result<Answer, Failure> {
        let failure = |error| Failure::from_reqwest(error, request.timeout);
        let client = self.client(Kind::of(request)).map_err(failure)?;
        let call = client.get(request.url.clone()).headers(request.headers.clone()).timeout(request.timeout);
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
            retry_after: header(&response, &RETRY_AFTER).and_then(|value| pause(value, self.now())),
            body,
        })
    }

    fn client(&self, kind: Kind) -> Result<reqwest::Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let client = kind.client()?;
        clients.insert(kind, client.clone());
        Ok(client)
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

    fn http(sleep: Sleep) -> Http {
        Http::new(&Host {
            env: std::collections::BTreeMap::new(),
            env_not_utf8: Vec::new(),
            now: || datetime!(2026-11-20 09:00 UTC),
            temp_dir: std::path::PathBuf::new(),
            sleep,
            jitter_seed: 1,
        })
    }

    fn request(url: &str) -> Result<Get> {
        Ok(Get {
            url: Url::parse(url)?,
            headers: HeaderMap::new(),
            redirects: Redirects::Followed,
            max_bytes: 64,
            timeout: DOCUMENT_TIMEOUT,
        })
    }

    /// What came of it, the pauses between the tries, and how many requests were made.
    type Fetched = (std::result::Result<usize, Failure>, Vec<Duration>, usize);

    /// Fetches a file that the server serves with these behaviours. Returns the pauses, too:
    /// they are recorded, not waited for.
    fn fetch(behaviours: Vec<Behaviour>) -> Result<Fetched> {
        fetch_by(RetryPolicy::DOCUMENT, behaviours)
    }

    fn fetch_by(policy: RetryPolicy, behaviours: Vec<Behaviour>) -> Result<Fetched> {
        let server = StandIn::start()?;
        let url = server.file("key", "AuthKey.p8", *b"0123456789", behaviours);
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&pauses);
        let http = http(Arc::new(move |pause| {
            if let Ok(mut pauses) = recorder.lock() {
                pauses.push(pause);
            }
            Box::pin(std::future::ready(()))
        }));
        let request = request(&url)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(http.get(&request, policy)).map(|body| body.len());
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
    fn a_server_that_asks_for_too_long_a_pause_is_not_asked_again_where_the_policy_gives_up() -> Result {
        let policy = RetryPolicy {
            longest_pause: Duration::from_secs(5),
            on_longer_pause: OnLongerPause::GiveUp,
            deadline: None,
        };
        let pauses_for = |value: &str| -> Result<_> {
            let (result, pauses, _) = fetch_by(policy, vec![status(503, &[("Retry-After", value)])])?;
            Ok((result.is_ok(), pauses))
        };
        assert_eq!(pauses_for("5")?, (true, vec![Duration::from_secs(5)]));
        assert_eq!(pauses_for("6")?, (false, vec![]));
        Ok(())
    }

    #[test]
    fn no_pause_begins_that_would_end_after_the_deadline() -> Result {
        let until = |limit| RetryPolicy {
            deadline: Some(Deadline::after(Duration::from_secs(limit))),
            ..RetryPolicy::DOCUMENT
        };
        let behaviour = || status(503, &[("Retry-After", "20")]);
        let (result, pauses, _) = fetch_by(until(15), vec![behaviour()])?;
        assert!(matches!(result, Err(Failure::Status { .. })), "the failure is said, not the deadline");
        assert_eq!(pauses.len(), 0);
        let (result, pauses, _) = fetch_by(until(60), vec![behaviour()])?;
        assert_eq!((result, pauses), (Ok(10), vec![Duration::from_secs(20)]));
        Ok(())
    }

    #[test]
    fn a_try_that_is_under_way_ends_at_the_deadline() -> Result {
        let limit = Duration::from_secs(1);
        let policy = RetryPolicy { deadline: Some(Deadline::after(limit)), ..RetryPolicy::DOCUMENT };
        let stall = Behaviour::StallBeforeHeader(Duration::from_secs(60));
        let (result, _, requests) = fetch_by(policy, vec![stall.forever()])?;
        assert_eq!((result, requests), (Err(Failure::Timeout(limit)), 1));
        Ok(())
    }

    #[test]
    fn questions_to_one_server_share_a_connection() -> Result {
        let server = StandIn::start()?;
        let urls = ["a", "b"].map(|name| server.file(name, "AuthKey.p8", *b"0123456789", vec![]));
        let http = http(Arc::new(|_| Box::pin(std::future::ready(()))));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for url in urls {
            runtime.block_on(http.get(&request(&url)?, RetryPolicy::DOCUMENT))?;
        }
        let connections: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
        assert!(matches!(connections.as_slice(), [first, second] if first == second), "{connections:?}");
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
