//! Is the API key known, and does it belong to that issuer?

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{MAX_BYTES, REQUEST_TIMEOUT, Verification, VerifyError, endpoint};
use crate::apple::api_key::{ApiKey, KeyId, Owner};
use crate::apple::app_store_connect::{AGREEMENT_MISSING, APPS, BUNDLE_IDS, ErrorResponse, Listing};
use crate::apple::token::{self, CannotSign};
use crate::http::{self, Answer, Failure, Get, HeaderMap, Http, Redirects, RetryPolicy, TryError};
use crate::inputs::Services;
use crate::warnings::Warnings;

/// Long enough for a slow answer, and for a clock that is a little off.
const TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Clocks that differ by less are no reason for a refusal.
const TOLERATED_SKEW: time::Duration = time::Duration::seconds(60);

/// Apple does not accept tokens that the key signed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyRefused {
    key_id: KeyId,
    owner: Owner,
    enterprise: bool,
    /// How far this machine's clock is ahead of Apple's, when that is more than a little.
    skew: Option<time::Duration>,
}

impl fmt::Display for KeyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(skew) = self.skew {
            let direction = if skew.is_positive() { "ahead of" } else { "behind" };
            let seconds = skew.whole_seconds().abs();
            write!(
                f,
                "This machine's clock is {seconds} seconds {direction} Apple's, so Apple takes no token from it: set the clock. "
            )?;
        }
        write!(f, "Apple refused the API key {}", self.key_id)?;
        match &self.owner {
            Owner::Team(issuer) => write!(f, " with the issuer {issuer} (HTTP 401): ")?,
            Owner::Individual => f.write_str(" as an individual key (HTTP 401): ")?,
        }
        f.write_str("check, in this order, that the key is not revoked in App Store Connect > Users and Access > Integrations, that the key ID and the private key belong together, that ")?;
        match &self.owner {
            Owner::Team(_) => f.write_str("the issuer ID is the one shown above that list of keys, ")?,
            Owner::Individual => f.write_str("the key is an individual one (`api_key_type`), ")?,
        }
        let enterprise = if self.enterprise { "really is" } else { "is not" };
        write!(f, "and that the account {enterprise} of the Apple Developer Enterprise Program.")
    }
}

impl std::error::Error for KeyRefused {}

/// What came of one try.
enum Trial {
    Unauthorized { skew: Option<time::Duration> },
    NotAnswered(Failure),
    CannotSign(CannotSign),
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized { .. } => f.write_str("refused the token (HTTP 401)"),
            Self::NotAnswered(failure) => failure.fmt(f),
            Self::CannotSign(error) => error.fmt(f),
        }
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
    services: &Services,
    http: &Http,
    policy: RetryPolicy,
    warnings: &mut Warnings,
) -> Result<Verification, VerifyError> {
    let mut url = if key.enterprise {
        endpoint(&services.app_store_connect_enterprise, BUNDLE_IDS)
    } else {
        endpoint(&services.app_store_connect, APPS)
    };
    url.set_query(Some("limit=1"));
    let site = http::site(&url);
    let answer = http.retry(&url, policy, async || ask_once(&url, key, http).await).await;
    match answer {
        Ok(answer) => Ok(judge(&answer, &site, warnings)),
        Err(Trial::Unauthorized { skew }) => {
            let (key_id, owner) = (key.id.clone(), key.owner.clone());
            Err(KeyRefused { key_id, owner, enterprise: key.enterprise, skew }.into())
        }
        Err(Trial::NotAnswered(failure)) => Ok(Verification::unanswered(&site, &failure)),
        Err(Trial::CannotSign(error)) => Err(error.into()),
    }
}

async fn ask_once(url: &Url, key: &ApiKey, http: &Http) -> Result<Answer, Trial> {
    let token = token::sign(key, http.now(), TOKEN_LIFETIME).map_err(Trial::CannotSign)?;
    let bearer = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    // A token is made of letters, digits, dots, dashes and underscores.
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| Trial::CannotSign(CannotSign))?;
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
fn judge(answer: &Answer, site: &str, warnings: &mut Warnings) -> Verification {
    match (answer.status, ErrorResponse::code(&answer.body).as_deref()) {
        (StatusCode::OK, _) if Listing::is(&answer.body) => Verification::Verified,
        (StatusCode::FORBIDDEN, Some(AGREEMENT_MISSING)) => {
            warnings.add("Apple knows the key, but an agreement is not accepted or has expired, and uploads will fail: the Account Holder must accept it in App Store Connect > Business, or at https://developer.apple.com/account.");
            Verification::Verified
        }
        (StatusCode::FORBIDDEN, Some(_)) => {
            log::info!(
                "- The key's role is too low to list apps; it may be too low for other things that the build does."
            );
            Verification::Verified
        }
        (status, _) => Verification::NotVerified {
            why: format!("{site} answered HTTP {} with something that is not Apple's", status.as_u16()),
        },
    }
}
