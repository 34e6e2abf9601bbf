//! Asks Apple whether the credential is good, before the build spends its minutes on it.
//!
//! A file for each question: is the key known, does its team have the app, may it do what the
//! build needs, is the session logged in. Apple's own refusal fails the build. What leaves a
//! question open is a reason for not being verified: an outage there must not stop what could
//! have passed, unless the user is strict.

mod access;
mod api_key;
mod app;
mod client;
mod session;

use std::time::Duration;

use crate::apple::app_store_connect::ApiError;
use crate::apple::token::CannotSign;
use crate::config::{Checks, Config};
use crate::credential::{AppleId, Credential, ResolvedCredential};
use crate::http::{Deadline, Failure, FailureKind, Http, OnLongerPause, RetryPolicy};
use crate::log::RunLog;
use crate::redact::text;
use crate::redact::{self, Failed, Text, sentences};

use client::Client;

pub(crate) use access::AccessDenied;
pub(crate) use app::NoSuchApp;
pub(crate) use client::KeyRefused;
pub(crate) use session::{NoSuchTeam, SessionRefused};

/// All of it together, tries and pauses included.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// One request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that asks for a longer pause than this is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A page of 200 apps has about a hundred kilobytes.
const MAX_BYTES: usize = 1024 * 1024;

/// What two of Apple's 403s leave open, without its own words.
const KNOWN_BUT_FORBIDDEN: &str = "Apple knows the key, but answered HTTP 403";
const APPS_HIDDEN: &str = "the key may not list apps, so its team cannot be asked for the one in `bundle_id`";

/// What came of the questions, short of a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verification {
    /// `false`: there was nothing to ask about, or the user wants it so.
    is_asked: bool,
    unverified: Vec<Unverified>,
    app_id: Option<String>,
}

sentences! {
    /// Why a credential is not verified. `Display` completes a sentence, without its full stop.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum Unverified {
        #[error("{site} {failure}")]
        NotAnswered { site: Text, failure: Failure },
        #[error("{site} answered HTTP {status} with something that is not Apple's")]
        NotAppleFormat { site: Text, status: u16 },
        #[error("an agreement is missing or has expired, and uploads will fail until the Account Holder accepts it in App Store Connect > Business, or at https://developer.apple.com/account")]
        AgreementMissing,
        #[error("{KNOWN_BUT_FORBIDDEN}, {code}: {detail}")]
        Forbidden { code: Text, detail: Text },
        #[error("{APPS_HIDDEN} ({code}: {detail})")]
        AppsHidden { code: Text, detail: Text },
        #[error("{inputs} cannot be checked with an Apple ID, only with an API key")]
        NeedsApiKey { inputs: Text },
        #[error("an Apple ID can only be checked with a session")]
        WithoutSession,
        #[error("the session holds no cookie for {site}, so Apple cannot be asked about it")]
        MissingCookie { site: Text },
        #[error("{what}")]
        SessionRefused { what: Text, remedy: &'static str },
    }
}

impl Unverified {
    /// What one of Apple's 403s leaves open.
    fn forbidden(error: &ApiError) -> Self {
        if error.is_agreement_missing() {
            return Self::AgreementMissing;
        }
        Self::Forbidden { code: shown(&error.code), detail: shown(error.words()) }
    }

    /// Whether the next question would be answered in the same way, or not at all.
    fn ends_questions(&self) -> bool {
        matches!(self, Self::NotAnswered { .. } | Self::NotAppleFormat { .. } | Self::AgreementMissing)
    }

    /// What to do where it is an error; `None` where it says so itself.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NotAnswered { failure, .. } if matches!(failure.kind(), FailureKind::Proxy(_)) => {
                Some("Correct that variable, or clear it")
            }
            Self::NotAnswered { failure, .. } if failure.kind() == FailureKind::Trust => {
                Some("Install that issuer's certificate on the machine, or set `verify` to yes")
            }
            Self::NotAnswered { failure: Failure::Untrusted(_) | Failure::NotTls, .. } => {
                Some("Check the machine's clock and proxy settings, or set `verify` to yes")
            }
            Self::NotAnswered { .. } | Self::NotAppleFormat { .. } => Some(
                "Apple refused nothing, so this may be an outage: run the build again, or set `verify` to yes",
            ),
            Self::AgreementMissing => None,
            Self::NeedsApiKey { .. } => Some("Use an API key, or set `verify` to yes"),
            Self::Forbidden { .. } => Some("Use a key with a higher role, or set `verify` to yes"),
            Self::AppsHidden { .. } => Some("Use a key that may, or clear `bundle_id`"),
            Self::WithoutSession => Some("Set `fastlane_session`, or set `verify` to yes"),
            Self::MissingCookie { .. } => Some("Renew the session, or set `verify` to yes"),
            Self::SessionRefused { remedy, .. } => Some(remedy),
        }
    }

    /// The reason with its remedy, in red.
    fn in_red(&self, reason: &Text) -> Text {
        match (self, self.remedy()) {
            (Self::SessionRefused { .. }, Some(remedy)) => text!("{}: {}.", reason, remedy),
            (_, Some(remedy)) => text!("{}. {}.", reason, remedy),
            (_, None) => text!("{}.", reason),
        }
    }

    /// The reason without Apple's own words, which are long, and those words.
    fn without_words(&self) -> Option<(Text, Text)> {
        let (reason, code, detail) = match self {
            Self::Forbidden { code, detail } => (KNOWN_BUT_FORBIDDEN, code, detail),
            Self::AppsHidden { code, detail } => (APPS_HIDDEN, code, detail),
            _ => return None,
        };
        Some((text!("{}", reason), text!("Apple's answer: {}: {}.", code, detail)))
    }
}

/// Words of Apple's, as log and summary may show them.
fn shown(words: &str) -> Text {
    redact::service_text(words, 300)
}

/// The same for a red line, which is short.
fn shown_in_error(words: &str) -> Text {
    redact::service_text(words, 80)
}

impl Verification {
    /// Before the first question.
    fn begun() -> Self {
        Self { is_asked: true, ..Self::default() }
    }

    /// Whether Apple was asked at all.
    #[must_use]
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// Whether Apple accepted the credential, and nothing that was asked is open.
    #[must_use]
    pub(crate) fn is_verified(&self) -> bool {
        self.is_asked && self.unverified.is_empty()
    }

    /// Every reason for not being verified.
    #[must_use]
    pub(crate) fn reasons(&self) -> &[Unverified] {
        &self.unverified
    }

    /// The number of the app that was asked for.
    #[must_use]
    pub(crate) fn app_id(&self) -> Option<&str> {
        self.app_id.as_deref()
    }

    /// For `verify: strict`.
    ///
    /// # Errors
    /// With every reason for not being verified.
    pub(crate) fn require_verified(&self) -> Result<(), Failed> {
        let [first, others @ ..] = self.unverified.as_slice() else { return Ok(()) };
        let mut above: Vec<_> =
            others.iter().map(|reason| text!("Not verified: {}", reason.in_red(&Text::of(reason)))).collect();
        let why = match first.without_words() {
            Some((why, words)) => {
                above.push(words);
                why
            }
            None => Text::of(first),
        };
        let last = text!("`verify` is strict, and the credential is not verified: {}", first.in_red(&why));
        let failed = Failed::with_details(above, last);
        Err(match others.len() {
            0 => failed,
            1 => failed.mention(&text!("(One more reason is in the red lines above.)")),
            more => failed.mention(&text!("({} more reasons are in the red lines above.)", more)),
        })
    }
}

sentences! {
    /// Apple's refusal, or what keeps a question from being put.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum VerifyError {
        #[error(transparent)]
        Key(#[from] KeyRefused),
        #[error(transparent)]
        App(#[from] NoSuchApp),
        #[error(transparent)]
        Access(#[from] AccessDenied),
        #[error(transparent)]
        Session(#[from] SessionRefused),
        #[error(transparent)]
        Team(#[from] NoSuchTeam),
        #[error(transparent)]
        CannotSign(#[from] CannotSign),
    }
}

/// Asks Apple. Where no tool needs the session, one that Apple refuses is no reason to fail.
///
/// # Errors
/// [`VerifyError`] when Apple refuses the credential, or says that it lacks what it must have.
pub(crate) async fn verify(
    found: &ResolvedCredential,
    checks: &Checks,
    inputs: &Config,
    http: &Http,
    run_log: &mut RunLog,
) -> Result<Verification, VerifyError> {
    let policy = RetryPolicy {
        longest_pause: LONGEST_PAUSE,
        on_longer_pause: OnLongerPause::GiveUp,
        deadline: Some(Deadline::after(TIME_LIMIT)),
    };
    let mut verification = Verification::begun();
    match &found.credential {
        Credential::ApiKey(key) => {
            access::check_kind(key, &checks.required_access)?;
            let client = Client::new(key, found.source, &checks.services, http, policy);
            match &checks.bundle_id {
                Some(bundle_id) => app::ask(&client, bundle_id, &mut verification, run_log).await?,
                None => api_key::ask(&client, &mut verification, run_log).await?,
            }
            for access in &checks.required_access {
                if !verification.unverified.iter().any(Unverified::ends_questions) {
                    access::ask(&client, *access, &mut verification, run_log).await?;
                }
            }
            client.warn_of_rate_limit(run_log);
        }
        Credential::AppleId(apple_id) => {
            let asked = ask_about_session(found, apple_id, checks, inputs, http, policy, run_log).await;
            verification.unverified.extend(asked?);
            verification.unverified.extend(needs_api_key(checks));
        }
    }
    Ok(verification)
}

async fn ask_about_session(
    found: &ResolvedCredential,
    apple_id: &AppleId,
    checks: &Checks,
    inputs: &Config,
    http: &Http,
    policy: RetryPolicy,
    run_log: &mut RunLog,
) -> Result<Option<Unverified>, VerifyError> {
    let Some(session) = &apple_id.session else { return Ok(Some(Unverified::WithoutSession)) };
    let question =
        session::Question { session, email: &apple_id.email, source: found.source, team: inputs.itc_team_id };
    match session::ask(question, &checks.services, http, policy, run_log).await {
        // An app-specific password still uploads.
        Err(VerifyError::Session(refusal)) if !inputs.needs_session() => {
            Ok(Some(Unverified::SessionRefused { what: refusal.what(), remedy: refusal.remedy() }))
        }
        answer => answer,
    }
}

/// What only an API key can be asked about.
fn needs_api_key(checks: &Checks) -> Option<Unverified> {
    let asked =
        [("bundle_id", checks.bundle_id.is_some()), ("required_access", !checks.required_access.is_empty())];
    let inputs: Vec<_> = asked.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    (!inputs.is_empty()).then(|| Unverified::NeedsApiKey { inputs: crate::config::names(&inputs) })
}
