//! HTTP requests, with limits for time, size, attempts and redirects.

mod failure;
mod host_name;
mod proxy;
mod retry;
mod tls;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
pub(crate) use reqwest::header::HeaderMap;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{StatusCode, Url};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::redact::{self, text};
use crate::{log, timestamp};

use failure::CONNECT_TIMEOUT;
use host_name::Resolver;
use proxy::Proxy;

pub(crate) use failure::Failure;
pub(crate) use retry::{ATTEMPTS, Deadline, RetryPolicy};

/// The time limit for one attempt to fetch a document from Bitrise or a file host.
pub(crate) const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_REDIRECTS: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Redirects {
    /// For requests that carry a secret.
    Refused,
    /// For at most [`MAX_REDIRECTS`] redirects, and never from https to http.
    Followed,
}

#[derive(Debug)]
pub(crate) struct Get {
    pub(crate) url: Url,
    /// Secret values must be marked sensitive.
    pub(crate) headers: HeaderMap,
    pub(crate) redirects: Redirects,
    /// Longer bodies are an error.
    pub(crate) max_bytes: usize,
    /// For the request and its whole response.
    pub(crate) timeout: Duration,
}

/// A response with any status. Only the body of a response with status 200 is always complete.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    /// The server's clock, from the header `Date`.
    pub(crate) date: Option<OffsetDateTime>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Response {
    /// Returns the response, or a failure if its status is temporary, such as 503.
    pub(crate) fn require_final(self) -> Result<Self, Failure> {
        if self.failure().is_transient() { Err(self.failure()) } else { Ok(self) }
    }

    /// Whether the header `Content-Type` declares JSON.
    pub(crate) fn is_json(&self) -> bool {
        let value = header(&self.headers, &CONTENT_TYPE).unwrap_or_default();
        let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        media_type == "application/json" || media_type.ends_with("+json")
    }

    fn failure(&self) -> Failure {
        Failure::Status { status: self.status, retry_after: self.retry_after }
    }
}

/// Requests with equal keys share a client and its open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ClientKey {
    redirects: Redirects,
    /// Requests to this machine bypass any proxy, which would send them, with their token, to another machine.
    is_loopback: bool,
    /// Only a client with TLS reads the system's trust store. Reading it takes longer than the rest of a run.
    needs_tls: bool,
}

/// Makes the requests of a run.
pub struct Http<'a> {
    env: &'a Env,
    clients: RefCell<HashMap<ClientKey, reqwest::Client>>,
    /// Created for the first request that needs TLS.
    tls: OnceCell<Result<rustls::ClientConfig, Failure>>,
    /// For all calls of [`Http::retry`] together.
    deadline: Deadline,
    proxy: Option<Proxy>,
}

impl<'a> Http<'a> {
    pub(crate) fn new(env: &'a Env) -> Self {
        let deadline = Deadline::for_run(env.network_time_limit);
        let proxy = Proxy::from_env(env);
        Self { env, clients: RefCell::default(), tls: OnceCell::new(), deadline, proxy }
    }

    /// The current time, in UTC.
    pub(crate) fn now(&self) -> OffsetDateTime {
        (self.env.now)()
    }

    /// Fetches a document that the build needs, and tries again after transient failures.
    pub(crate) async fn get(&self, request: &Get) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let attempt = async || {
            let response = self.send(request).await?;
            if response.status == StatusCode::OK { Ok(response.body) } else { Err(response.failure()) }
        };
        self.retry(&request.url, RetryPolicy::DOCUMENT, attempt).await
    }

    /// Repeats a request until it succeeds or fails permanently, or until the policy or the run's time limit
    /// ends the attempts. Returns the failure of the last attempt, or a timeout. `url` is for the log.
    pub(crate) async fn retry<T>(
        &self,
        url: &Url,
        policy: RetryPolicy,
        attempt: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let sleep = self.env.sleep.clone();
        let deadline = policy
            .deadline
            .filter(|deadline| deadline.ends_at < self.deadline.ends_at)
            .unwrap_or(self.deadline);
        let policy = RetryPolicy { deadline: Some(deadline), ..policy };
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(500))
            .with_max_times(ATTEMPTS - 1)
            .with_jitter()
            .with_jitter_seed(self.env.jitter_seed);
        let attempts = (|| attempt())
            .retry(backoff)
            .sleep(move |pause| sleep(pause))
            .when(Failure::is_transient)
            .adjust(|failure, planned| policy.pause(failure, planned))
            .notify(|failure, pause| {
                let seconds = pause.as_secs_f64();
                log::warn(&text!("{} {}; trying again in {:.1} s", redact::site(url), failure, seconds));
            });
        deadline.timeout(attempts).await?
    }

    /// Makes a request once. An error status is not a failure.
    pub(crate) async fn send(&self, request: &Get) -> Result<Response, Failure> {
        let client = self.client(&request.url, request.redirects, request.timeout)?;
        let call = client.get(request.url.clone()).headers(request.headers.clone());
        self.receive(call, request.max_bytes, request.timeout).await
    }

    /// Sends a JSON document once, with `PUT`. Redirects are not followed, and an error status is a failure.
    pub(crate) async fn put(
        &self,
        url: Url,
        headers: HeaderMap,
        json: String,
        timeout: Duration,
    ) -> Result<(), Failure> {
        /// Nothing uses the body of the response.
        const MAX_BYTES: usize = 64 * 1024;
        let client = self.client(&url, Redirects::Refused, timeout)?;
        let call = client.put(url).headers(headers).header(CONTENT_TYPE, "application/json").body(json);
        let response = self.receive(call, MAX_BYTES, timeout).await?;
        if response.status.is_success() { Ok(()) } else { Err(response.failure()) }
    }

    async fn receive(
        &self,
        call: reqwest::RequestBuilder,
        max_bytes: usize,
        timeout: Duration,
    ) -> Result<Response, Failure> {
        let failure = |error| Failure::from_reqwest(error, timeout);
        let mut response = call.timeout(timeout).send().await.map_err(failure)?;
        let status = response.status();
        let announced_length = response.content_length().and_then(|length| usize::try_from(length).ok());
        // A buffer that grows leaves copies of secrets behind.
        let capacity = announced_length.unwrap_or(16 * 1024).min(max_bytes);
        let mut body = Zeroizing::new(Vec::with_capacity(capacity));
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() <= max_bytes => body.extend_from_slice(&chunk),
                // For an error page, the status is enough.
                _ if status != StatusCode::OK => break,
                Ok(Some(_)) => return Err(Failure::TooLarge { max_bytes }),
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(Response {
            status,
            date: header(response.headers(), &DATE).and_then(timestamp::parse),
            retry_after: header(response.headers(), &RETRY_AFTER)
                .and_then(|value| parse_retry_after(value, self.now())),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    /// The client for a request, shared by all with an equal [`ClientKey`]. Fails if its proxy or trust store
    /// is invalid.
    fn client(&self, url: &Url, redirects: Redirects, timeout: Duration) -> Result<reqwest::Client, Failure> {
        let is_loopback = is_loopback(url);
        let needs_tls = url.scheme() != "http" || redirects == Redirects::Followed;
        let proxy = self.proxy.as_ref().filter(|_| !is_loopback);
        if let Some(proxy) = proxy {
            proxy.check(url)?;
        }
        let failure = |error| Failure::from_reqwest(error, timeout);
        let key = ClientKey { redirects, is_loopback, needs_tls };
        let mut clients = self.clients.borrow_mut();
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(Arc::new(Resolver))
            .redirect(match redirects {
                Redirects::Refused => Policy::none(),
                Redirects::Followed => Policy::custom(follow),
            })
            .referer(false);
        builder = match proxy {
            _ if is_loopback => builder.no_proxy(),
            Some(proxy) => builder.proxy(proxy.for_client().map_err(failure)?),
            None => builder,
        };
        builder = if needs_tls {
            builder.tls_backend_preconfigured(self.tls.get_or_init(|| tls::config(self.env)).clone()?)
        } else {
            builder.tls_certs_only([])
        };
        let client = builder.build().map_err(failure)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

/// Follows up to [`MAX_REDIRECTS`] redirects. Plain http is allowed only on this machine, and not after https.
fn follow(attempt: Attempt<'_>) -> Action {
    let was_https = attempt.previous().iter().any(|url| url.scheme() == "https");
    let is_http = attempt.url().scheme() != "https";
    if is_http && (was_https || !is_loopback(attempt.url())) {
        let from = if was_https { "an https:// URL" } else { "localhost" };
        return attempt.error(Failure::RedirectToHttp { from });
    }
    // `previous` includes the first request.
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(Failure::TooManyRedirects);
    }
    attempt.follow()
}

/// Whether requests to a URL are encrypted, or stay on this machine.
pub(crate) fn is_confidential(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Whether a request to a URL stays on this machine, where plain http is allowed.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A header value that debug output hides. `None` if it contains characters that headers don't allow.
pub(crate) fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Appends path segments to a base URL, which can itself have a path.
pub(crate) fn endpoint(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // Every http and https URL has a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Parses a number of seconds, or an HTTP date: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
fn parse_retry_after(retry_after: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some((timestamp::parse(retry_after)? - now).try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use time::macros::datetime;

    use super::*;
    use crate::env::Sleep;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    #[test]
    fn the_minimum_pause_between_attempts_doubles() -> Result {
        // Records the pauses instead of waiting.
        let (recorder, pauses) = mpsc::channel();
        let sleep: Sleep = Arc::new(move |pause| {
            recorder.send(pause).unwrap_or_default();
            Box::pin(std::future::ready(()))
        });
        let env = Env { sleep, ..Env::for_tests(&[]) };
        let http = Http::new(&env);
        let url = Url::parse("https://example.com/")?;
        let attempt = async || Err::<(), _>(Failure::Timeout(DOCUMENT_TIMEOUT));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(http.retry(&url, RetryPolicy::DOCUMENT, attempt));
        assert_eq!(result, Err(Failure::Timeout(DOCUMENT_TIMEOUT)));
        let pauses: Vec<_> = pauses.try_iter().map(|pause| pause.as_secs_f64()).collect();
        assert_eq!(pauses.len(), 3);
        for (pause, shortest) in pauses.iter().zip([0.5, 1.0, 2.0]) {
            assert!((shortest..=shortest * 2.0).contains(pause), "{pauses:?}");
        }
        Ok(())
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = datetime!(2026-11-20 09:00 UTC);
        for (value, seconds) in [
            ("12", 12),
            ("Fri, 20 Nov 2026 09:00:12 GMT", 12),
            // A time in the past.
            ("Fri, 20 Nov 2026 08:00:00 GMT", 0),
        ] {
            assert_eq!(parse_retry_after(value, now), Some(Duration::from_secs(seconds)), "{value}");
        }
    }

    #[test]
    fn only_loopback_addresses_are_this_machine() -> Result {
        for (host, expected) in [("127.8.0.1", true), ("[::1]", true), ("128.0.0.1", false), ("[::2]", false)]
        {
            assert_eq!(is_loopback(&Url::parse(&format!("http://{host}:8080/"))?), expected, "{host}");
        }
        Ok(())
    }
}
