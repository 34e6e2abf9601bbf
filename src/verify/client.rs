//! Requests to the App Store Connect API, authenticated with the key to verify.

use std::cell::Cell;
use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use super::{CheckError, Unverified, api_errors, authenticated_request};
use crate::apple::api_key::{ApiKey, KeyKind};
use crate::apple::app_store_connect::{MAX_PAGE_SIZE, NextPage, Page, RATE_LIMIT, RateLimit, Resource};
use crate::apple::token::{self, CannotSign};
use crate::credential::Source;
use crate::http::{ATTEMPTS, Failure, Http, Response, RetryPolicy, endpoint};
use crate::log::{self, RunLog};
use crate::redact::{self, FatalError, text};

/// Long enough for a slow response and a clock that is slightly off.
const TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Apple accepts tokens from a machine whose clock is off by no more than this.
const TOLERATED_SKEW: time::Duration = time::Duration::seconds(60);

/// The maximum number of pages to read from a list: many times more than a large team has.
pub(super) const MAX_PAGES: usize = 25;

/// Sends requests to the API that the key is for, and reuses one HTTP connection.
pub(super) struct Client<'a> {
    pub(super) key: &'a ApiKey,
    pub(super) source: Source,
    pub(super) base: &'a Url,
    pub(super) http: &'a Http<'a>,
    pub(super) policy: RetryPolicy,
    pub(super) observed: Observed,
}

/// What Apple's responses have shown so far.
#[derive(Default)]
pub(super) struct Observed {
    /// Whether Apple accepted a token of the key: it returned a list, or an error other than 401.
    was_accepted: Cell<bool>,
    /// How many tokens of the key Apple rejected with 401.
    rejections: Cell<usize>,
    /// From the last response that reported it.
    pub(super) rate_limit: Cell<Option<RateLimit>>,
    /// How far this machine's clock is ahead of Apple's, if that explains the last 401.
    clock_skew: Cell<Option<time::Duration>>,
}

impl Client<'_> {
    /// Requests one entry of a list to find out whether the key can read the list.
    pub(super) async fn probe(&self, list: &str) -> Result<(), CheckError> {
        self.request_page::<IgnoredAny>(list, &[("limit", "1")]).await.map(drop)
    }

    /// Reads a list up to the first page with an entry that matches.
    pub(super) async fn read_list<A: DeserializeOwned>(
        &self,
        list: &str,
        query: &[(&str, &str)],
        is_match: impl Fn(&Resource<A>) -> bool,
    ) -> Result<Vec<Resource<A>>, CheckError> {
        let mut entries = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let next = cursor.as_deref().map(|cursor| ("cursor", cursor));
            let query: Vec<_> = query.iter().copied().chain([("limit", MAX_PAGE_SIZE)]).chain(next).collect();
            let page = self.request_page(list, &query).await?;
            let next = page.next();
            entries.extend(page.into_resources());
            cursor = match next {
                _ if entries.iter().any(&is_match) => return Ok(entries),
                NextPage::None => return Ok(entries),
                NextPage::Cursor(cursor) => Some(cursor),
                NextPage::Unknown => return Err(self.not_apple_format(StatusCode::OK).into()),
            };
        }
        Err(Unverified::ListTooLong { site: redact::site(self.base) }.into())
    }

    /// Requests a page of a list.
    ///
    /// # Errors
    /// [`Unverified::RoleTooLow`] if the key's role does not allow it to read the list. [`CheckError::Rejected`] if the
    /// key can't sign a token, or if Apple has accepted none of the key's tokens and returns 401 at every attempt, each
    /// with a new token. A single 401 is not enough: Apple sometimes returns it for valid keys.
    async fn request_page<A: DeserializeOwned>(
        &self,
        list: &str,
        query: &[(&str, &str)],
    ) -> Result<Page<A>, CheckError> {
        let mut url = endpoint(self.base, &["v1", list]);
        url.query_pairs_mut().extend_pairs(query);
        let attempt = async || self.send_with_new_token(&url).await;
        let response = match self.http.retry(self.base, self.policy, attempt).await {
            Ok(response) => response.map_err(|error| CheckError::Rejected(error.into()))?,
            Err(_) if self.observed.rejections.get() == ATTEMPTS && !self.observed.was_accepted.get() => {
                return Err(CheckError::Rejected(self.key_rejected()));
            }
            Err(failure) => {
                let site = redact::site(self.base);
                return Err(Unverified::RequestFailed { site, failure }.into());
            }
        };
        let status = response.status;
        let is_document = status == StatusCode::OK && response.is_json();
        if is_document && let Some(page) = Page::read(&response.body, list) {
            self.observed.was_accepted.set(true);
            return Ok(page);
        }
        let Some(errors) = api_errors(&response).filter(|_| status.is_client_error()) else {
            return Err(self.not_apple_format(status).into());
        };
        self.observed.was_accepted.set(true);
        Err(match Unverified::new(status, &errors) {
            Unverified::AppleError { code, detail, .. } if errors.is_role_too_low() => {
                Unverified::RoleTooLow { code, detail }.into()
            }
            reason => reason.into(),
        })
    }

    /// The error if Apple accepts none of the key's tokens. Lists the likely reasons.
    fn key_rejected(&self) -> FatalError {
        let key_id = self.key.id.to_text();
        FatalError::new(match (self.observed.clock_skew.get(), self.source, &self.key.id_in_file_name) {
            (Some(skew), ..) => text!(
                "This machine's clock is {} seconds {} Apple's, so Apple rejects its tokens: correct the clock, or run the build on another machine.",
                skew.whole_seconds().abs(),
                if skew.is_positive() { "ahead of" } else { "behind" }
            ),
            (None, Source::Connection, _) => text!(
                "Apple rejected the connected API key {} (HTTP 401). Either it was revoked, its IDs and private key do not match, or it is a push or In-App Purchase key. Add the right key in Workspace settings > Integrations, then select it in Project settings.",
                key_id
            ),
            (None, Source::Inputs, Some(other_id)) => text!(
                "Apple rejected the API key {} (HTTP 401). The name of its file contains another key ID, {}: if that is the right one, clear `api_key_id`. Otherwise, the key was revoked, or its key ID, issuer ID and private key do not match.",
                key_id,
                other_id.to_text()
            ),
            (None, Source::Inputs, None) if self.key.kind() == KeyKind::Individual => text!(
                "Apple rejected the individual API key {} (HTTP 401). Either (1) it was revoked, (2) its key ID and private key do not match, or (3) it is a team key: in that case, set `api_key_type` to team and `api_issuer` to the issuer ID.",
                key_id
            ),
            (None, Source::Inputs, None) => text!(
                "Apple rejected the API key {} (HTTP 401). Either (1) it was revoked, (2) its key ID, issuer ID and private key do not match, (3) it is a push or In-App Purchase key, or (4) `api_key_enterprise_account` is wrong. Check Users and Access > Integrations.",
                key_id
            ),
        })
    }

    /// The reason to record for a response with this status that is not in Apple's format.
    pub(super) fn not_apple_format(&self, status: StatusCode) -> Unverified {
        Unverified::NotAppleFormat { site: redact::site(self.base), status: status.as_u16() }
    }

    /// Sends a request with a new token. Returns [`CannotSign`] inside `Ok`, so that it is not retried.
    async fn send_with_new_token(&self, url: &Url) -> Result<Result<Response, CannotSign>, Failure> {
        let token = match token::sign(self.key, self.http.now(), TOKEN_LIFETIME) {
            Ok(token) => token,
            Err(error) => return Ok(Err(error)),
        };
        let bearer = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        let Some(request) = authenticated_request(url, AUTHORIZATION, &bearer) else {
            // Unreachable: a token consists of letters, digits, dots, dashes and underscores.
            return Ok(Err(CannotSign));
        };
        let response = self.http.send(&request).await?;
        let limit = response.headers.get(RATE_LIMIT).and_then(|value| RateLimit::read(value.to_str().ok()?));
        self.observed.rate_limit.set(limit.or(self.observed.rate_limit.get()));
        if response.status == StatusCode::UNAUTHORIZED && api_errors(&response).is_some() {
            let skew = response.date.map(|date| self.http.now() - date);
            self.observed.clock_skew.set(skew.filter(|skew| skew.abs() > TOLERATED_SKEW));
            self.observed.rejections.set(self.observed.rejections.get() + 1);
            return Err(Failure::TokenRejected);
        }
        Ok(Ok(response.require_final()?))
    }

    /// Logs how many requests are left, and warns if they might not be enough for an upload.
    pub(super) fn report_rate_limit(&self, run_log: &mut RunLog) {
        let Some(RateLimit { limit, remaining }) = self.observed.rate_limit.get() else { return };
        log::debug(&text!("Requests left for this API key in this hour: {} of {}.", remaining, limit));
        // Less than 5%.
        if u64::from(remaining) * 20 < u64::from(limit) {
            run_log.warn(text!(
                "Of the {} requests per hour that Apple allows this API key, only {} are left, which may not be enough for an upload: run fewer builds with this key at the same time, or use separate keys.",
                limit,
                remaining
            ));
        }
    }
}
