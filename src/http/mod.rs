//! HTTP requests, with limits for time, size, attempts and redirects.

mod failure;
mod host_name;
mod loopback;
mod proxy;
mod redirect;
mod retry;
mod tls;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use backon::Retryable as _;
pub(crate) use reqwest::header::HeaderMap;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use zeroize::Zeroizing;

use crate::env::{Env, Sleep};
use crate::log;
use crate::redact::{self, text};

use failure::CONNECT_TIMEOUT;
use host_name::Resolver;
use proxy::Proxy;
use redirect::follow;
use retry::backoff;
use tls::TrustStore;

pub(crate) use failure::{Failure, FailureKind};
pub(crate) use loopback::is_loopback;
pub(crate) use retry::{ATTEMPTS, Deadline, OnLongerPause, RetryPolicy};

/// The time limit for a document from Bitrise or a file host.
pub(crate) const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether to follow redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Redirects {
    /// For requests that carry a secret.
    Refused,
    /// Up to five, and never from https to http.
    Followed,
}

/// A `GET` request.
#[derive(Debug)]
pub(crate) struct Get {
    pub(crate) url: Url,
    /// Secret values must be marked sensitive.
    pub(crate) headers: HeaderMap<HeaderValue>,
    pub(crate) redirects: Redirects,
    /// Longer bodies are an error.
    pub(crate) max_bytes: usize,
    /// For the whole exchange.
    pub(crate) timeout: Duration,
}

/// A `PUT` request with a JSON body. Redirects are not followed.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) url: Url,
    /// Secret values must be marked sensitive.
    pub(crate) headers: HeaderMap<HeaderValue>,
    pub(crate) json: Vec<u8>,
    /// For the whole exchange.
    pub(crate) timeout: Duration,
}

/// A complete response, whatever its status.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    /// The server's clock, from the header `Date`.
    pub(crate) date: Option<OffsetDateTime>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) headers: HeaderMap<HeaderValue>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Response {
    /// Returns the response, unless its status is transient.
    ///
    /// # Errors
    /// [`Failure::Status`] if the same request can get another status a moment later.
    pub(crate) fn require_final(self) -> Result<Self, Failure> {
        if self.failure().is_transient() { Err(self.failure()) } else { Ok(self) }
    }

    /// Whether the header `Content-Type` declares JSON.
    pub(crate) fn is_json(&self) -> bool {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        media_type == "application/json" || media_type.ends_with("+json")
    }

    fn into_body_if_ok(self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if self.status == StatusCode::OK { Ok(self.body) } else { Err(self.failure()) }
    }

    fn failure(&self) -> Failure {
        Failure::Status { status: self.status, retry_after: self.retry_after }
    }
}

/// Requests with equal keys share a client and its open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ClientKey {
    redirects: Redirects,
    /// Such requests bypass any proxy, because a proxy would send them, with their token, off this machine.
    is_loopback: bool,
    /// A client without TLS doesn't read the system's trust store, which takes longer than the rest of a run.
    needs_tls: bool,
}

impl ClientKey {
    fn new(url: &Url, redirects: Redirects) -> Self {
        Self {
            redirects,
            is_loopback: is_loopback(url),
            needs_tls: url.scheme() != "http" || redirects == Redirects::Followed,
        }
    }

    fn build_client(
        self,
        tls: Option<rustls::ClientConfig>,
        proxy: Option<&Proxy>,
    ) -> Result<reqwest::Client, reqwest::Error> {
        let policy = match self.redirects {
            Redirects::Refused => Policy::none(),
            Redirects::Followed => Policy::custom(follow),
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(Arc::new(Resolver))
            .redirect(policy)
            .referer(false);
        builder = match proxy {
            _ if self.is_loopback => builder.no_proxy(),
            Some(proxy) => proxy.apply_to(builder)?,
            None => builder,
        };
        match tls {
            Some(config) => builder.tls_backend_preconfigured(config),
            None => builder.tls_certs_only([]),
        }
        .build()
    }
}

/// Makes the requests of a run.
pub struct Http {
    clients: Mutex<HashMap<ClientKey, reqwest::Client>>,
    /// Built when first used.
    tls: OnceLock<rustls::ClientConfig>,
    now: fn() -> OffsetDateTime,
    sleep: Sleep,
    jitter_seed: u64,
    /// For all requests together.
    deadline: Deadline,
    proxy: Option<Proxy>,
    trust_store: TrustStore,
}

impl Http {
    #[must_use]
    pub(crate) fn new(env: &Env) -> Self {
        Self {
            clients: Mutex::default(),
            tls: OnceLock::new(),
            now: env.now,
            sleep: env.sleep.clone(),
            jitter_seed: env.jitter_seed,
            deadline: Deadline::for_run(env.network_time_limit),
            proxy: Proxy::from_env(env),
            trust_store: TrustStore::from_env(env),
        }
    }

    /// The current time, in UTC.
    #[must_use]
    pub(crate) fn now(&self) -> OffsetDateTime {
        (self.now)()
    }

    /// Fetches a document, and tries again after transient failures.
    ///
    /// # Errors
    /// The [`Failure`] of the last attempt.
    pub(crate) async fn get(
        &self,
        request: &Get,
        policy: RetryPolicy,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.retry(&request.url, policy, || async { self.send(request).await?.into_body_if_ok() }).await
    }

    /// Repeats a request until it succeeds or fails permanently, or until the policy or the run's time limit
    /// ends the attempts.
    ///
    /// # Errors
    /// The [`Failure`] of the last attempt, or a timeout if a time limit ends it.
    pub(crate) async fn retry<T>(
        &self,
        url: &Url,
        policy: RetryPolicy,
        attempt: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let sleep = self.sleep.clone();
        let deadline = self.deadline.earlier(policy.deadline);
        let policy = RetryPolicy { deadline: Some(deadline), ..policy };
        let attempts = (|| attempt())
            .retry(backoff(self.jitter_seed))
            .sleep(move |span| sleep(span))
            .when(Failure::is_transient)
            .adjust(|error: &Failure, planned| policy.pause(error.retry_after(), planned))
            .notify(|error, pause| {
                log::warn(&text!(
                    "{} {}; trying again in {:.1} s",
                    redact::site(url),
                    error,
                    pause.as_secs_f64()
                ));
            });
        deadline.timeout(attempts).await?
    }

    /// Makes a request once.
    ///
    /// # Errors
    /// [`Failure`] if no complete response arrives. A response with an error status is not a failure.
    pub(crate) async fn send(&self, request: &Get) -> Result<Response, Failure> {
        let client = self.client(&request.url, request.redirects, request.timeout)?;
        let call = client.get(request.url.clone()).headers(request.headers.clone());
        self.receive(call, request.max_bytes, request.timeout).await
    }

    /// Sends a document once.
    ///
    /// # Errors
    /// [`Failure`] if no complete response arrives, or if its status is an error.
    pub(crate) async fn put(&self, request: Put) -> Result<(), Failure> {
        /// No one reads the response.
        const MAX_BYTES: usize = 64 * 1024;
        let client = self.client(&request.url, Redirects::Refused, request.timeout)?;
        let call = client.put(request.url).headers(request.headers).header(CONTENT_TYPE, "application/json");
        let response = self.receive(call.body(request.json), MAX_BYTES, request.timeout).await?;
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
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        // A buffer that grows leaves copies of secrets behind.
        let capacity = announced.unwrap_or(16 * 1024).min(max_bytes);
        let mut body = Zeroizing::new(Vec::with_capacity(capacity));
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() <= max_bytes => {
                    body.extend_from_slice(&chunk);
                }
                // For an error page, the status is enough.
                _ if status != StatusCode::OK => break,
                Ok(Some(_)) => return Err(Failure::TooLarge { max_bytes }),
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(Response {
            status,
            date: header(&response, &DATE).and_then(parse_http_date),
            retry_after: header(&response, &RETRY_AFTER)
                .and_then(|value| parse_retry_after(value, self.now())),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    /// The client that such requests share. Fails if its proxy or trust store is invalid.
    fn client(&self, url: &Url, redirects: Redirects, timeout: Duration) -> Result<reqwest::Client, Failure> {
        let key = ClientKey::new(url, redirects);
        if let Some(proxy) = self.proxy.as_ref().filter(|_| !key.is_loopback) {
            proxy.check(url)?;
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let tls = if key.needs_tls { Some(self.tls_config()?) } else { None };
        let client = key.build_client(tls, self.proxy.as_ref());
        let client = client.map_err(|error| Failure::from_reqwest(error, timeout))?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn tls_config(&self) -> Result<rustls::ClientConfig, Failure> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = tls::config(&self.trust_store)?;
        Ok(self.tls.get_or_init(|| config).clone())
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

fn header<'a>(response: &'a reqwest::Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn parse_http_date(value: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value, &Rfc2822).ok()
}

/// Parses seconds, or an HTTP date ([RFC 9110 section 10.2.3]).
///
/// [RFC 9110 section 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
fn parse_retry_after(retry_after: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some((parse_http_date(retry_after)? - now).try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use stand_in::{Behaviour, StandIn};

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// The result, the pauses between the attempts, and the number of requests.
    type Fetched = (std::result::Result<usize, Failure>, Vec<Duration>, usize);

    /// Fetches a file that the server sends with these behaviours. Pauses are recorded instead of waited for.
    fn fetch(policy: RetryPolicy, behaviours: Vec<Behaviour>) -> Result<Fetched> {
        let server = StandIn::start()?;
        let request = Get {
            url: Url::parse(&server.file("key", "AuthKey.p8", *b"0123456789", behaviours))?,
            headers: HeaderMap::new(),
            // Needs no trust store, which takes long to read on a busy machine.
            redirects: Redirects::Refused,
            max_bytes: 64,
            timeout: DOCUMENT_TIMEOUT,
        };
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&pauses);
        let sleep: Sleep = Arc::new(move |pause| {
            if let Ok(mut pauses) = recorder.lock() {
                pauses.push(pause);
            }
            Box::pin(std::future::ready(()))
        });
        let http = Http::new(&Env { sleep, ..Env::for_tests(&[]) });
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
    fn a_request_is_tried_four_times_with_growing_pauses_and_jitter() -> Result {
        let (result, pauses, requests) = fetch(RetryPolicy::DOCUMENT, vec![status(503, &[]).forever()])?;
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
    fn retry_after_is_respected_up_to_30_seconds() -> Result {
        let pause_for = |value: &str| -> Result<Vec<Duration>> {
            Ok(fetch(RetryPolicy::DOCUMENT, vec![status(429, &[("Retry-After", value)])])?.1)
        };
        assert_eq!(pause_for("7")?, [Duration::from_secs(7)]);
        assert_eq!(pause_for("0")?, [Duration::ZERO]);
        assert_eq!(pause_for("3600")?, [Duration::from_secs(30)]);
        assert_eq!(pause_for("Fri, 20 Nov 2026 09:00:12 GMT")?, [Duration::from_secs(12)]);
        assert_eq!(pause_for("Fri, 20 Nov 2026 08:00:00 GMT")?, [Duration::ZERO], "a time in the past");
        Ok(())
    }

    #[test]
    fn a_policy_can_give_up_on_a_long_retry_after() -> Result {
        let policy = RetryPolicy {
            longest_pause: Duration::from_secs(5),
            on_longer_pause: OnLongerPause::GiveUp,
            deadline: None,
        };
        let pauses_for = |value: &str| -> Result<_> {
            let (result, pauses, _) = fetch(policy, vec![status(503, &[("Retry-After", value)])])?;
            Ok((result.is_ok(), pauses))
        };
        assert_eq!(pauses_for("5")?, (true, vec![Duration::from_secs(5)]));
        assert_eq!(pauses_for("6")?, (false, vec![]));
        Ok(())
    }

    #[test]
    fn a_pause_that_would_outlast_the_deadline_ends_the_attempts() -> Result {
        let until = |limit| RetryPolicy {
            deadline: Some(Deadline::after(Duration::from_secs(limit))),
            ..RetryPolicy::DOCUMENT
        };
        let behaviour = || status(503, &[("Retry-After", "20")]);
        let (result, pauses, _) = fetch(until(15), vec![behaviour()])?;
        assert!(matches!(result, Err(Failure::Status { .. })), "the error is that of the server");
        assert_eq!(pauses.len(), 0);
        let (result, pauses, _) = fetch(until(60), vec![behaviour()])?;
        assert_eq!((result, pauses), (Ok(10), vec![Duration::from_secs(20)]));
        Ok(())
    }
}
