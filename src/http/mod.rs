//! One way to ask a server: bounded in time, size, tries and redirects.

mod failure;
mod host_name;
mod loopback;
mod proxy;
mod redirect;
mod retry;
mod tls;

use std::collections::HashMap;
use std::path::PathBuf;
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
use crate::redact::text;
use crate::redact::{self, Text};

use failure::CONNECT_TIMEOUT;
use host_name::Resolver;
use redirect::follow;
use retry::backoff;

pub(crate) use failure::TryError;
pub(crate) use failure::{Failure, FailureKind};
pub(crate) use loopback::is_loopback;
pub(crate) use retry::{Deadline, OnLongerPause, RetryPolicy};

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

/// A `PUT` request with a JSON document. No redirect is followed.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) url: Url,
    /// Values that are secret must be marked sensitive.
    pub(crate) headers: HeaderMap<HeaderValue>,
    pub(crate) json: Vec<u8>,
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
    pub(crate) headers: HeaderMap<HeaderValue>,
    pub(crate) body: Zeroizing<Vec<u8>>,
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
    fn of(url: &Url, redirects: Redirects) -> Self {
        Self {
            redirects,
            is_loopback: is_loopback(url),
            is_plain: url.scheme() == "http" && redirects == Redirects::Refused,
        }
    }

    fn client(self, tls: Option<rustls::ClientConfig>) -> Result<reqwest::Client, reqwest::Error> {
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
        if self.is_loopback {
            builder = builder.no_proxy();
        }
        match tls {
            Some(config) => builder.tls_backend_preconfigured(config),
            None => builder.tls_certs_only([]),
        }
        .build()
    }
}

/// Asks servers. Made once for a run: questions to one server share a connection.
pub struct Http {
    clients: Mutex<HashMap<Kind, reqwest::Client>>,
    /// Made at the first use.
    tls: OnceLock<rustls::ClientConfig>,
    now: fn() -> OffsetDateTime,
    sleep: Sleep,
    jitter_seed: u64,
    /// When all questions must have ended.
    deadline: Deadline,
    /// A variable that was to name a proxy, and does not.
    wrong_proxy: Option<&'static str>,
    /// The file of certificates that the environment names.
    trust_store: Option<PathBuf>,
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
            deadline: Deadline::of_run(env.network_time),
            wrong_proxy: proxy::wrong_variable(env),
            trust_store: tls::file(env),
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

    /// Puts a question until it is answered, its failure is one that stays, or the policy or the
    /// time of the run ends the tries.
    ///
    /// # Errors
    /// That of the last try.
    pub(crate) async fn retry<T, E: TryError>(
        &self,
        url: &Url,
        policy: RetryPolicy,
        ask: impl AsyncFn() -> Result<T, E>,
    ) -> Result<T, E> {
        let sleep = self.sleep.clone();
        let deadline = self.deadline.earlier(policy.deadline);
        let policy = RetryPolicy { deadline: Some(deadline), ..policy };
        let tries = (|| ask())
            .retry(backoff(self.jitter_seed))
            .sleep(move |span| sleep(span))
            .when(E::is_transient)
            .adjust(|error, planned| policy.pause(error.retry_after(), planned))
            .notify(|error, pause| {
                log::warn(&text!(
                    "{} {}; trying again in {:.1} s",
                    redact::site(url),
                    Text::of(error),
                    pause.as_secs_f64()
                ));
            });
        deadline.bound(tries).await.unwrap_or_else(|failure| Err(failure.into()))
    }

    /// Makes a request once.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer. An answer of any status is one.
    pub(crate) async fn ask(&self, request: &Get) -> Result<Answer, Failure> {
        self.check_proxy(&request.url)?;
        let client = self.client(Kind::of(&request.url, request.redirects), request.timeout)?;
        let call = client.get(request.url.clone()).headers(request.headers.clone());
        self.receive(call, request.max_bytes, request.timeout).await
    }

    /// Sends a document once.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer, or its status is no success.
    pub(crate) async fn put(&self, request: Put) -> Result<(), Failure> {
        /// Nobody reads it.
        const MAX_BYTES: usize = 64 * 1024;
        self.check_proxy(&request.url)?;
        let client = self.client(Kind::of(&request.url, Redirects::Refused), request.timeout)?;
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let call = client.put(request.url).headers(request.headers).header(json.0, json.1).body(request.json);
        let answer = self.receive(call, MAX_BYTES, request.timeout).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(Failure::Status { status: answer.status, retry_after: answer.retry_after })
    }

    /// A proxy that is set and cannot be used is not silently passed by.
    fn check_proxy(&self, url: &Url) -> Result<(), Failure> {
        match self.wrong_proxy.filter(|_| !is_loopback(url)) {
            Some(variable) => Err(Failure::WrongProxy(variable)),
            None => Ok(()),
        }
    }

    async fn receive(
        &self,
        call: reqwest::RequestBuilder,
        max_bytes: usize,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let failure = |error| Failure::from_reqwest(error, timeout);
        let mut response = call.timeout(timeout).send().await.map_err(failure)?;
        let status = response.status();
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        // Room for all that was announced: a buffer that grows leaves copies behind.
        let room = announced.unwrap_or(16 * 1024).min(max_bytes);
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() <= max_bytes => {
                    body.extend_from_slice(&chunk);
                }
                // Of an error page, the status says enough.
                _ if status != StatusCode::OK => break,
                Ok(Some(_)) => return Err(Failure::TooLarge { max_bytes }),
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(Answer {
            status,
            date: header(&response, &DATE).and_then(http_date),
            retry_after: header(&response, &RETRY_AFTER).and_then(|value| pause(value, self.now())),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    fn client(&self, kind: Kind, timeout: Duration) -> Result<reqwest::Client, Failure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let tls = if kind.is_plain { None } else { Some(self.tls()?) };
        let client = kind.client(tls).map_err(|error| Failure::from_reqwest(error, timeout))?;
        clients.insert(kind, client.clone());
        Ok(client)
    }

    fn tls(&self) -> Result<rustls::ClientConfig, Failure> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = tls::config(self.trust_store.as_deref()).map_err(Failure::Other)?;
        Ok(self.tls.get_or_init(|| config).clone())
    }
}

/// The value of a header that no debug output shows; `None` when no header can carry it.
pub(crate) fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Appends path segments to a base URL, which may have a path of its own.
pub(crate) fn endpoint(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // Only URLs that cannot be a base refuse this, and http(s) ones can.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use stand_in::{Behaviour, StandIn};

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    fn http(sleep: Sleep) -> Http {
        Http::new(&Env { sleep, ..Env::for_tests(&[]) })
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
}
