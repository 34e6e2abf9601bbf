//! Asks Apple whether the credential is good, before the build spends its minutes on it.
//!
//! Only Apple's own refusal fails the build. When Apple cannot be asked, the build goes on:
//! an outage there must not stop what could have passed.

mod api_key;
mod session;

use std::time::Duration;

use reqwest::Url;

use crate::apple::token::CannotSign;
use crate::credential::{Credential, Found};
use crate::http::{Deadline, Failure, Http, OnLongerPause, RetryPolicy};
use crate::inputs::Services;
use crate::journal::Journal;
use crate::redaction::{Text, sentences};
use crate::text;

pub(crate) use api_key::KeyRefused;
#[cfg(test)]
pub(crate) use api_key::Trial;
pub(crate) use session::SessionRefused;

/// All of it together, tries and pauses included.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// One request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that asks for a longer pause than this is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Apple's answers here have a few kilobytes.
const MAX_BYTES: usize = 1024 * 1024;

/// How the question ended, short of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Apple accepted the credential.
    Verified,
    /// Apple could not be asked, or its answer settles nothing.
    NotVerified { why: Text },
    /// There was nothing to ask about, or the user wants it so.
    NotAsked,
}

impl Verification {
    /// When the site that was asked gave no answer.
    fn unanswered(site: &Text, failure: &Failure) -> Self {
        Self::NotVerified { why: text!("{} {}", site, failure) }
    }
}

sentences! {
    /// Apple's refusal, or what keeps a question from being put.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum VerifyError {
        #[error(transparent)]
        Key(#[from] KeyRefused),
        #[error(transparent)]
        Session(#[from] SessionRefused),
        #[error(transparent)]
        CannotSign(#[from] CannotSign),
    }
}

/// Asks Apple. Without `needs_session`, a session that Apple refuses is no reason to fail.
///
/// # Errors
/// [`VerifyError`] when Apple refuses the credential.
pub(crate) async fn verify(
    found: &Found,
    services: &Services,
    needs_session: bool,
    http: &Http,
    journal: &mut Journal,
) -> Result<Verification, VerifyError> {
    let policy = RetryPolicy {
        longest_pause: LONGEST_PAUSE,
        on_longer_pause: OnLongerPause::GiveUp,
        deadline: Some(Deadline::after(TIME_LIMIT)),
    };
    let answer = match &found.credential {
        Credential::ApiKey(key) => api_key::ask(key, found.source, services, http, policy, journal).await,
        Credential::AppleId(apple_id) => match &apple_id.session {
            Some(session) => session::ask(session, found.source, services, http, policy, journal).await,
            None => Ok(Verification::NotVerified {
                why: text!("an Apple ID without a session cannot be checked without logging in"),
            }),
        },
    };
    match answer {
        // An app-specific password still uploads.
        Err(VerifyError::Session(refusal)) if !needs_session => {
            Ok(Verification::NotVerified { why: text!("{}", refusal.what()) })
        }
        answer => answer,
    }
}

/// Appends path segments to a base URL, which may have a path of its own.
fn endpoint(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // Only URLs that cannot be a base refuse this, and http(s) ones can.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
