//! Asks one of Apple's lists, with tokens of the key in question.

use std::cell::Cell;
use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{MAX_BYTES, REQUEST_TIMEOUT, Unverified, VerifyError};
use crate::apple::api_key::{ApiKey, Owner};
use crate::apple::app_store_connect::{ApiError, Listing, RATE_LIMIT, RateLimit};
use crate::apple::token::{self, CannotSign};
use crate::config::Services;
use crate::credential::Source;
use crate::http::{
    Answer, Failure, Get, HeaderMap, Http, Redirects, RetryPolicy, TryError, endpoint, secret_header,
};
use crate::log::RunLog;
use crate::redact::text;
use crate::redact::{self, Text, sentences};

/// Long enough for a slow answer, and for a clock that is a little off.
const TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Clocks that differ by less are no reason for a refusal.
const TOLERATED_SKEW: time::Duration = time::Duration::seconds(60);

sentences! {
    /// Apple does not accept tokens that the key signed.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum KeyRefused {
        #[error("This machine's clock is {seconds} seconds {direction} Apple's, so Apple accepts no token from it: set the clock, or run the build on another machine.")]
        WrongClock { seconds: i64, direction: &'static str },
        #[error("Apple refused the API key {key_id} (HTTP 401). Either (1) it was revoked, (2) key ID, issuer ID and private key do not match, (3) it is a push or In-App Purchase key, or (4) `api_key_enterprise_account` is wrong. Check Users and Access > Integrations.")]
        Team { key_id: Text },
        #[error("Apple refused the individual API key {key_id} (HTTP 401). Either (1) it was revoked, (2) key ID and private key do not match, or (3) it is a team's key: then set `api_key_type` to team, and `api_issuer`.")]
        Individual { key_id: Text },
        #[error("Apple refused the API key {key_id} (HTTP 401). Its file is named for another key, {in_name}: clear `api_key_id` if that name is right. Otherwise the key was revoked, or key ID, issuer ID and private key do not match.")]
        OtherName { key_id: Text, in_name: Text },
        #[error("Apple refused the connected API key {key_id} (HTTP 401). Either (1) it was revoked, (2) its parts do not match, or (3) it is a push or In-App Purchase key. Connect it again on Bitrise (Workspace settings > Integrations), and select it in Project settings.")]
        Connected { key_id: Text },
    }
}

impl KeyRefused {
    /// `skew`: how far this machine's clock is ahead of Apple's, when that is more than a little.
    fn new(key: &ApiKey, source: Source, skew: Option<time::Duration>) -> Self {
        let key_id = key.id.shown();
        match (skew, source, &key.other_id_in_name, &key.owner) {
            (Some(skew), ..) => Self::WrongClock {
                seconds: skew.whole_seconds().abs(),
                direction: if skew.is_positive() { "ahead of" } else { "behind" },
            },
            (None, Source::Connection, ..) => Self::Connected { key_id },
            (None, Source::Config, Some(in_name), _) => Self::OtherName { key_id, in_name: in_name.shown() },
            (None, Source::Config, None, Owner::Team(_)) => Self::Team { key_id },
            (None, Source::Config, None, Owner::Individual) => Self::Individual { key_id },
        }
    }
}

sentences! {
    /// What came of one try. `Display` completes a sentence that begins with the site.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum Trial {
        #[error("refused the token (HTTP 401)")]
        Unauthorized { skew: Option<time::Duration> },
        #[error(transparent)]
        NotAnswered(Failure),
        #[error(transparent)]
        CannotSign(CannotSign),
    }
}

impl From<Failure> for Trial {
    fn from(failure: Failure) -> Self {
        Self::NotAnswered(failure)
    }
}

impl TryError for Trial {
    fn is_transient(&self) -> bool {
        match self {
            Self::Unauthorized { .. } => true,
            Self::NotAnswered(failure) => failure.is_transient(),
            Self::CannotSign(_) => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotAnswered(failure) => failure.retry_after(),
            Self::Unauthorized { .. } | Self::CannotSign(_) => None,
        }
    }
}

/// What Apple said to a question.
pub(super) enum Reply<T> {
    Listed(Listing<T>),
    /// HTTP 403, in Apple's own form.
    Forbidden(ApiError),
    /// Nobody answered, or somebody who is not Apple.
    Open(Unverified),
}

/// Puts questions to the API that the key belongs to, all of them over one connection.
pub(super) struct Client<'a> {
    pub(super) key: &'a ApiKey,
    source: Source,
    base: &'a Url,
    http: &'a Http,
    policy: RetryPolicy,
    /// What the last answer said.
    rate_limit: Cell<Option<RateLimit>>,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        key: &'a ApiKey,
        source: Source,
        services: &'a Services,
        http: &'a Http,
        policy: RetryPolicy,
    ) -> Self {
        let base =
            if key.enterprise { &services.app_store_connect_enterprise } else { &services.app_store_connect };
        Self { key, source, base, http, policy, rate_limit: Cell::new(None) }
    }

    /// Asks for a page of a list.
    ///
    /// # Errors
    /// [`KeyRefused`] when Apple answers 401 to fresh tokens, too: it also does so at random.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Reply<T>, VerifyError> {
        let mut url = endpoint(self.base, path);
        url.query_pairs_mut().extend_pairs(query);
        // What is asked for is no secret, so the site is named.
        let site = redact::site(self.base);
        let answer = self.http.retry(self.base, self.policy, async || self.ask_once(&url).await).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(Trial::Unauthorized { skew }) => {
                return Err(KeyRefused::new(self.key, self.source, skew).into());
            }
            Err(Trial::NotAnswered(failure)) => {
                return Ok(Reply::Open(Unverified::NotAnswered { site, failure }));
            }
            Err(Trial::CannotSign(error)) => return Err(error.into()),
        };
        let listing = serde_json::from_slice(&answer.body).ok();
        Ok(match (answer.status, listing, ApiError::read(&answer.body)) {
            (StatusCode::OK, Some(listing), _) => Reply::Listed(listing),
            (StatusCode::FORBIDDEN, _, Some(error)) => Reply::Forbidden(error),
            // That of a proxy or a captive portal.
            (status, ..) => Reply::Open(Unverified::NotAppleFormat { site, status: status.as_u16() }),
        })
    }

    async fn ask_once(&self, url: &Url) -> Result<Answer, Trial> {
        let token = token::sign(self.key, self.http.now(), TOKEN_LIFETIME).map_err(Trial::CannotSign)?;
        let bearer = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        // A token is made of letters, digits, dots, dashes and underscores.
        let bearer = secret_header(&bearer).ok_or(Trial::CannotSign(CannotSign::Key))?;
        let request = Get {
            url: url.clone(),
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer)]),
            redirects: Redirects::Refused,
            max_bytes: MAX_BYTES,
            timeout: REQUEST_TIMEOUT,
        };
        let answer = self.http.ask(&request).await?;
        let limit = answer.headers.get(RATE_LIMIT).and_then(|value| RateLimit::read(value.to_str().ok()?));
        self.rate_limit.set(limit.or(self.rate_limit.get()));
        match answer.status {
            StatusCode::UNAUTHORIZED if ApiError::read(&answer.body).is_some() => {
                let skew = answer.date.map(|date| self.http.now() - date);
                Err(Trial::Unauthorized { skew: skew.filter(|skew| skew.abs() > TOLERATED_SKEW) })
            }
            _ => Ok(answer.settled()?),
        }
    }

    /// Warns where the upload may find none of the hour's requests left.
    pub(super) fn warn_of_rate_limit(&self, run_log: &mut RunLog) {
        if let Some(RateLimit { limit, remaining }) =
            self.rate_limit.get().filter(|limit| limit.is_nearly_used_up())
        {
            run_log.warn(text!(
                "Of the {} requests that Apple allows this API key in an hour, only {} are left, and an upload needs some: let fewer builds use it at once, or give them keys of their own.",
                limit,
                remaining
            ));
        }
    }
}
