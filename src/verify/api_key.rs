//! Is the API key known, and does it belong to that issuer?

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{MAX_BYTES, REQUEST_TIMEOUT, Verification, VerifyError, endpoint};
use crate::apple::api_key::{ApiKey, Owner};
use crate::apple::app_store_connect::{AGREEMENT_MISSING, APPS, BUNDLE_IDS, ErrorResponse, Listing};
use crate::apple::token::{self, CannotSign};
use crate::credential::Source;
use crate::http::{Answer, Failure, Get, HeaderMap, Http, Redirects, RetryPolicy, TryError};
use crate::inputs::Services;
use crate::journal::Journal;
use crate::redaction::{self, Text, sentences};
use crate::remedies::KEY_SETTINGS;
use crate::text;

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
        #[error("Apple refused the connected API key {key_id} (HTTP 401). Either (1) it was revoked, (2) its parts do not match, or (3) it is a push or In-App Purchase key. Connect it again on Bitrise ({KEY_SETTINGS}).")]
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
            (None, Source::Inputs, Some(in_name), _) => Self::OtherName { key_id, in_name: in_name.shown() },
            (None, Source::Inputs, None, Owner::Team(_)) => Self::Team { key_id },
            (None, Source::Inputs, None, Owner::Individual) => Self::Individual { key_id },
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

/// Lists one app, or one bundle ID, with a token of the key.
///
/// # Errors
/// [`KeyRefused`] when Apple answers 401 to fresh tokens, too: it also does so at random.
pub(super) async fn ask(
    key: &ApiKey,
    source: Source,
    services: &Services,
    http: &Http,
    policy: RetryPolicy,
    journal: &mut Journal,
) -> Result<Verification, VerifyError> {
    let mut url = if key.enterprise {
        endpoint(&services.app_store_connect_enterprise, BUNDLE_IDS)
    } else {
        endpoint(&services.app_store_connect, APPS)
    };
    // Named without the query, with which it would be hidden.
    let (service, site) = (url.clone(), redaction::site(&url));
    url.set_query(Some("limit=1"));
    let answer = http.retry(&service, policy, async || ask_once(&url, key, http).await).await;
    match answer {
        Ok(answer) => Ok(judge(&answer, &site, journal)),
        Err(Trial::Unauthorized { skew }) => Err(KeyRefused::new(key, source, skew).into()),
        Err(Trial::NotAnswered(failure)) => Ok(Verification::unanswered(&site, &failure)),
        Err(Trial::CannotSign(error)) => Err(error.into()),
    }
}

async fn ask_once(url: &Url, key: &ApiKey, http: &Http) -> Result<Answer, Trial> {
    let token = token::sign(key, http.now(), TOKEN_LIFETIME).map_err(Trial::CannotSign)?;
    let bearer = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    // A token is made of letters, digits, dots, dashes and underscores.
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| Trial::CannotSign(CannotSign::Key))?;
    bearer.set_sensitive(true);
    let request = Get {
        url: url.clone(),
        headers: HeaderMap::from_iter([(AUTHORIZATION, bearer)]),
        redirects: Redirects::Refused,
        max_bytes: MAX_BYTES,
        timeout: REQUEST_TIMEOUT,
    };
    let answer = http.ask(&request).await?;
    match answer.status {
        StatusCode::UNAUTHORIZED if ErrorResponse::code(&answer.body).is_some() => {
            let skew = answer.date.map(|date| http.now() - date).filter(|skew| skew.abs() > TOLERATED_SKEW);
            Err(Trial::Unauthorized { skew })
        }
        _ => Ok(answer.settled()?),
    }
}

/// Reads an answer that is neither a refusal of the token nor a passing trouble.
fn judge(answer: &Answer, site: &Text, journal: &mut Journal) -> Verification {
    match (answer.status, ErrorResponse::code(&answer.body).as_deref()) {
        (StatusCode::OK, _) if Listing::is(&answer.body) => Verification::Verified,
        (StatusCode::FORBIDDEN, Some(AGREEMENT_MISSING)) => {
            journal.warn(text!("Apple knows the key, but an agreement is missing or has expired, and uploads will fail: the Account Holder must accept it in App Store Connect > Business, or at https://developer.apple.com/account."));
            Verification::Verified
        }
        (StatusCode::FORBIDDEN, Some(_)) => {
            journal.say(&text!(
                "- The key's role is too low to list apps; it may be too low for other things that the build does."
            ));
            Verification::Verified
        }
        (status, _) => Verification::NotVerified {
            why: text!("{} answered HTTP {} with something that is not Apple's", site, status.as_u16()),
        },
    }
}
