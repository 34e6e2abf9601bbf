//! Verifies the credential with Apple, before the build spends minutes on work that needs it.
//!
//! Each submodule except `client` begins with the question that it answers. If Apple rejects the credential, the build fails.
//! Without an answer, the credential stays unverified, and the build continues unless `verify` is strict: an outage
//! at Apple must not stop a build that could succeed.

mod access;
mod app;
mod client;
mod session;

use std::iter;
use std::time::Duration;

use reqwest::header::HeaderName;
use reqwest::{StatusCode, Url};

use crate::apple::app_store_connect::{ErrorResponse, RateLimit};
use crate::config::{self, Checks, Config, Services};
use crate::credential::{Credential, ResolvedCredential};
use crate::http::{Deadline, Failure, Get, HeaderMap, Http, Redirects, Response, RetryPolicy, secret_header};
use crate::log::RunLog;
use crate::redact::{self, FatalError, Text, error_messages, text};

use client::{Client, MAX_PAGES, Observed};
pub(crate) use session::renewal;

/// For all requests and the pauses between them.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// For one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The size limit of a response: a page of 200 apps is about 100 KB.
const MAX_BYTES: usize = 1024 * 1024;
/// How many apps or teams a message lists.
const MAX_LISTED: usize = 5;

/// The result of the checks, unless Apple rejected the credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verification {
    /// `false` without a credential, or with `verify: no`.
    pub(crate) is_attempted: bool,
    /// Why the credential is not verified.
    pub(crate) unverified: Vec<Unverified>,
    /// The number in App Store Connect of the app in `bundle_id`.
    pub(crate) app_id: Option<String>,
    /// How many requests Apple still allows the API key in this hour, if a response reported it.
    pub(crate) rate_limit: Option<RateLimit>,
}

impl Verification {
    /// Whether Apple accepted the credential and every check passed.
    pub(crate) fn is_verified(&self) -> bool {
        self.is_attempted && self.unverified.is_empty()
    }

    /// Returns the value of a successful check, or records why the credential is not verified.
    fn record<T>(&mut self, result: Result<T, CheckError>) -> Result<Option<T>, FatalError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(CheckError::Unverified(reason)) => {
                self.unverified.push(reason);
                Ok(None)
            }
            Err(CheckError::Rejected(error)) => Err(error),
        }
    }

    /// For `verify: strict`. The error lists every reason why the credential is not verified.
    pub(crate) fn require_verified(&self) -> Result<(), FatalError> {
        let [first, others @ ..] = self.unverified.as_slice() else { return Ok(()) };
        let details = others.iter().map(|reason| reason.error_line("Not verified")).collect();
        let main_reason = first.error_line("`verify` is strict, and the credential is not verified");
        Err(config::fail_with_all(main_reason, details, "reason"))
    }
}

error_messages! {
    /// Why a credential is not verified. `Display` completes a sentence, without the full stop.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum Unverified {
        #[error("{site} {failure}")]
        RequestFailed { site: Text, failure: Failure },
        #[error("{site} returned HTTP {status} with a response that is not in Apple's format (a proxy or captive portal?)")]
        NotAppleFormat { site: Text, status: u16 },
        #[error("{site} returned a list of more than {MAX_PAGES} pages, and the Step reads only the first {MAX_PAGES}")]
        ListTooLong { site: Text },
        #[error("an agreement is missing or has expired, and uploads will fail until the Account Holder accepts it in App Store Connect > Business, or at https://developer.apple.com/account")]
        AgreementMissing,
        #[error("Apple returned HTTP {status}, {code}: {detail}")]
        AppleError { status: u16, code: Text, detail: Text },
        /// For the list of apps. The checks that read other lists turn it into their own errors.
        #[error("the key can't list apps, so `bundle_id` can't be checked ({code}: {detail})")]
        RoleTooLow { code: Text, detail: Text },
        #[error("{inputs} cannot be checked with an Apple ID, only with an API key")]
        NeedsApiKey { inputs: Text },
        #[error("an Apple ID can only be checked with a session")]
        WithoutSession,
        #[error("the session has no cookies for {site}, so it can't be verified")]
        MissingCookie { site: Text, renewal: &'static str },
        #[error("{problem}")]
        SessionRejected { problem: Text, renewal: &'static str },
        #[error("the session belongs to {session_email}, but the Apple ID is {credential_email}, and fastlane uses both: use a session and an Apple ID of the same account")]
        OtherAccount { session_email: Text, credential_email: Text },
        #[error("Apple accepts the session, but does not say whose it is")]
        UnknownAccount { renewal: &'static str },
        #[error("Apple accepts the session, but does not list the account's teams, so `itc_team_id` cannot be checked")]
        TeamsNotListed,
    }
}

impl Unverified {
    /// The reason for errors that Apple returned with this status.
    fn new(status: StatusCode, errors: &ErrorResponse) -> Self {
        if errors.is_agreement_missing() {
            return Self::AgreementMissing;
        }
        let (code, detail) = errors.code_and_detail();
        let (code, detail) = (redact::service_text(code, 100), redact::service_text(detail, 300));
        Self::AppleError { status: status.as_u16(), code, detail }
    }

    /// Whether further requests would fail in the same way.
    fn stops_checks(&self) -> bool {
        matches!(self, Self::RequestFailed { .. } | Self::NotAppleFormat { .. } | Self::AgreementMissing)
    }

    /// The reason, and how to fix it, as an error line that begins with `prefix`.
    fn error_line(&self, prefix: &'static str) -> Text {
        let remedy = match self {
            Self::AgreementMissing | Self::OtherAccount { .. } => return text!("{}: {}.", prefix, self),
            Self::SessionRejected { renewal, .. } => {
                return text!("{}: {}. To fix it, {}.", prefix, self, *renewal);
            }
            Self::MissingCookie { renewal, .. } | Self::UnknownAccount { renewal } => {
                return text!("{}: {}. To fix it, {}, or set `verify` to yes.", prefix, self, *renewal);
            }
            Self::AppleError { status, code, detail } => {
                let prefix = text!("{}: Apple returned HTTP {}, {}", prefix, *status, code);
                let remedy = "Fix what Apple reports, or set `verify` to yes";
                return error_line_with_detail(&prefix, detail, remedy);
            }
            Self::RoleTooLow { detail, .. } => {
                let problem = "the key can't list apps, so `bundle_id` can't be checked. Apple's response";
                let remedy = "Use a key that can list apps, or clear `bundle_id`";
                return error_line_with_detail(&text!("{}: {}", prefix, problem), detail, remedy);
            }
            Self::RequestFailed { failure, .. } => match failure {
                Failure::InvalidVariable { .. } => "Correct that variable, or clear it",
                Failure::UntrustedIssuer(_) => {
                    "Install that issuer's certificate on the machine, or set `verify` to yes"
                }
                Failure::UntrustedCertificate(_) | Failure::NotTls => {
                    "Check the machine's clock and proxy settings, or set `verify` to yes"
                }
                Failure::TokenRejected => {
                    "Apple sometimes returns 401 for valid keys: run the build again, or set `verify` to yes"
                }
                _ => {
                    "Apple did not reject the credential, so this may be an outage: run the build again, or set `verify` to yes"
                }
            },
            Self::NotAppleFormat { .. } => {
                "Apple did not reject the credential: check the machine's network and proxy settings, or set `verify` to yes"
            }
            Self::ListTooLong { .. } => "Set `verify` to yes",
            Self::NeedsApiKey { .. } => "Use an API key, or change `verify` from strict to yes",
            Self::WithoutSession => "Set `fastlane_session`, or set `verify` to yes",
            Self::TeamsNotListed => "Run the build again, or set `verify` to yes",
        };
        text!("{}: {}. {}.", prefix, self, remedy)
    }
}

/// An error line that begins with `prefix` and the detail of Apple's error. If the line is too long, omits the remedy;
/// if it is still too long, also the end of the detail.
fn error_line_with_detail(prefix: &Text, detail: &Text, remedy: &'static str) -> Text {
    let lines = [text!("{}: {}. {}.", prefix, detail, remedy), text!("{}: {}.", prefix, detail)];
    let detail = detail.plain();
    let starts = iter::successors(Some(detail.as_str()), |start| Some(start.rsplit_once(' ')?.0)).skip(1);
    let truncated = |start| text!("{}: {}.", prefix, redact::service_text(&format!("{start}…"), usize::MAX));
    let mut lines = lines.into_iter().chain(starts.map(truncated));
    lines.find(Text::is_short).unwrap_or_else(|| text!("{}: ….", prefix))
}

/// A request with a secret in a header. `None` if the secret contains characters that headers don't allow.
fn authenticated_request(url: &Url, header: HeaderName, secret: &str) -> Option<Get> {
    Some(Get {
        url: url.clone(),
        headers: HeaderMap::from_iter([(header, secret_header(secret)?)]),
        redirects: Redirects::Refused,
        max_bytes: MAX_BYTES,
        timeout: REQUEST_TIMEOUT,
    })
}

/// Apple's errors, if the response contains any.
fn api_errors(response: &Response) -> Option<ErrorResponse> {
    ErrorResponse::read(response.status.as_u16(), &response.body).filter(|_| response.is_json())
}

/// Why a check did not pass.
enum CheckError {
    /// Apple rejects the credential, or the credential lacks what the inputs require: the build fails.
    Rejected(FatalError),
    Unverified(Unverified),
}

impl From<Unverified> for CheckError {
    fn from(reason: Unverified) -> Self {
        Self::Unverified(reason)
    }
}

/// Verifies the credential with Apple.
///
/// # Errors
/// If Apple rejects the credential, or if the credential lacks what the inputs require.
pub(crate) async fn verify(
    resolved: &ResolvedCredential,
    checks: &Checks,
    config: &Config,
    http: &Http<'_>,
    run_log: &mut RunLog,
) -> Result<Verification, FatalError> {
    let policy = RetryPolicy {
        longest_pause: Duration::from_secs(5),
        shortens_pauses: false,
        deadline: Some(Deadline::after(TIME_LIMIT)),
    };
    let source = resolved.source;
    let mut verification = Verification { is_attempted: true, ..Verification::default() };
    match &resolved.credential {
        Credential::ApiKey(key) => {
            access::check_kind(key, &checks.required_access)?;
            let Services { app_store_connect, app_store_connect_enterprise, .. } = &checks.services;
            let base = if key.is_enterprise { app_store_connect_enterprise } else { app_store_connect };
            let client = Client { key, source, base, http, policy, observed: Observed::default() };
            let app_id = match &checks.bundle_id {
                Some(bundle_id) => app::check(&client, bundle_id, run_log).await,
                None => app::check_key(&client, run_log).await.map(|()| None),
            };
            verification.app_id = verification.record(app_id)?.flatten();
            for access in &checks.required_access {
                if !verification.unverified.iter().any(Unverified::stops_checks) {
                    verification.record(access::check(&client, *access, run_log).await)?;
                }
            }
            client.report_rate_limit(run_log);
            verification.rate_limit = client.observed.rate_limit.get();
        }
        Credential::AppleId(apple_id) => {
            let result =
                session::check(apple_id, source, &checks.services, config, http, policy, run_log).await;
            verification.record(result)?;
            let bundle_id = checks.bundle_id.is_some().then_some("bundle_id");
            let access = (!checks.required_access.is_empty()).then_some("required_access");
            let unchecked: Vec<_> = bundle_id.into_iter().chain(access).collect();
            if !unchecked.is_empty() {
                let inputs = config::quote_names(&unchecked);
                verification.unverified.push(Unverified::NeedsApiKey { inputs });
            }
        }
    }
    Ok(verification)
}
