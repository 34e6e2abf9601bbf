//! Is the Apple ID's session still logged in, to the right account and team?

use cookie_store::{CookieStore, RawCookie};
use reqwest::header::{COOKIE, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{MAX_BYTES, REQUEST_TIMEOUT, Unverified, VerifyError, api_errors};
use crate::apple::cookie::Cookie;
use crate::apple::olympus::{Provider, SESSION_PATH, SessionStatus};
use crate::apple::session::Session;
use crate::apple::team::ProviderId;
use crate::bitrise::connection::RE_AUTHENTICATE;
use crate::config::Services;
use crate::credential::Source;
use crate::formats::fastlane_session::NEW_SESSION;
use crate::http::{Failure, Get, HeaderMap, Http, Redirects, Response, RetryPolicy, endpoint, secret_header};
use crate::log::RunLog;
use crate::redact::{self, Show, Text, error_messages, text};

/// How many teams a message lists.
const MAX_LISTED: usize = 5;

/// The session is no longer logged in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {remedy}.")]
pub(crate) struct SessionRejected {
    pub(super) what: Text,
    pub(super) remedy: &'static str,
}

impl Show for SessionRejected {}

error_messages! {
    /// The session is valid, but not for the team in `itc_team_id`.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum NoSuchTeam {
        #[error("The session's account does not belong to the team {wanted} in `itc_team_id`, only to {teams}: set the input to one of these numbers.")]
        NotAMember { wanted: Text, teams: Text },
    }
}

/// A session, and the account and team that it should be for.
pub(super) struct SessionCheck<'a> {
    pub(super) session: &'a Session,
    pub(super) email: &'a SecretString,
    pub(super) source: Source,
    /// Input `itc_team_id`.
    pub(super) team: Option<ProviderId>,
}

impl SessionCheck<'_> {
    /// How to get a new session.
    fn renewal(&self) -> &'static str {
        match self.source {
            Source::Connection => RE_AUTHENTICATE,
            Source::Inputs => NEW_SESSION,
        }
    }
}

/// Sends the request that fastlane sends, with the session's cookies for its URL. Returns `None` if the session is
/// verified.
///
/// # Errors
/// [`SessionRejected`] if the session is not logged in, [`NoSuchTeam`] if its account is not in the team.
pub(super) async fn check(
    expected: SessionCheck<'_>,
    services: &Services,
    http: &Http,
    policy: RetryPolicy,
    run_log: &mut RunLog,
) -> Result<Option<Unverified>, VerifyError> {
    let url = endpoint(&services.apple_session, SESSION_PATH);
    let site = redact::site(&url);
    let cookies = cookie_header(expected.session, &url, http.now());
    let Some(cookies) = cookies.and_then(|cookies| secret_header(&cookies)) else {
        return Ok(Some(Unverified::MissingCookie { site, renewal: expected.renewal() }));
    };
    match http.retry(&url, policy, async || attempt(&url, &cookies, http).await).await {
        Ok(response) => evaluate(&response, &expected, site, run_log),
        Err(failure) => Ok(Some(Unverified::RequestFailed { site, failure })),
    }
}

async fn attempt(url: &Url, cookies: &HeaderValue, http: &Http) -> Result<Response, Failure> {
    let request = Get {
        url: url.clone(),
        headers: HeaderMap::from_iter([(COOKIE, cookies.clone())]),
        redirects: Redirects::Refused,
        max_bytes: MAX_BYTES,
        timeout: REQUEST_TIMEOUT,
    };
    http.send(&request).await?.require_final()
}

fn evaluate(
    response: &Response,
    expected: &SessionCheck<'_>,
    site: Text,
    run_log: &mut RunLog,
) -> Result<Option<Unverified>, VerifyError> {
    let rejected = |why: &'static str| {
        let session = match expected.source {
            Source::Connection => "of the connected Apple ID",
            Source::Inputs => "in `fastlane_session`",
        };
        let what = text!("Apple no longer accepts the session {} ({})", session, why);
        SessionRejected { what, remedy: expected.renewal() }
    };
    let session_status = match (response.status, api_errors(response)) {
        (StatusCode::UNAUTHORIZED, errors) if errors.is_some() || is_unauthenticated(&response.body) => {
            return Err(rejected("HTTP 401").into());
        }
        (StatusCode::FORBIDDEN, Some(errors)) => {
            return Ok(Some(Unverified::new(response.status, &errors)));
        }
        (StatusCode::OK, _) if response.is_json() => SessionStatus::read(&response.body),
        _ => None,
    };
    let Some(session_status) = session_status else {
        return Ok(Some(Unverified::NotAppleFormat { site, status: response.status.as_u16() }));
    };
    let Some(selected) = session_status.provider() else {
        return Err(rejected("it is not logged in to a team").into());
    };
    check_team(selected, &session_status.providers(), expected.team, run_log)?;
    Ok(match session_status.email_address() {
        Some(of_session) => compare_accounts(of_session, expected.email.expose_secret()),
        None => Some(Unverified::UnknownAccount { renewal: expected.renewal() }),
    })
}

/// Returns `None` if both are the same account. Apple ignores the case of email addresses.
fn compare_accounts(of_session: &str, of_credential: &str) -> Option<Unverified> {
    let is_same = of_session.trim().to_lowercase() == of_credential.trim().to_lowercase();
    (!is_same).then(|| Unverified::OtherAccount {
        of_session: redact::email(of_session),
        of_credential: redact::email(of_credential),
    })
}

/// Logs the team that fastlane will use. Warns if fastlane would have to ask which one.
fn check_team(
    selected: &Provider,
    teams: &[&Provider],
    wanted: Option<ProviderId>,
    run_log: &mut RunLog,
) -> Result<(), NoSuchTeam> {
    if let Some(wanted) = wanted {
        let team = teams.iter().find(|team| team.provider_id == wanted.number());
        let not_a_member = || NoSuchTeam::NotAMember { wanted: wanted.shown(), teams: list_teams(teams) };
        run_log.log_detail("Team", name_and_id(team.ok_or_else(not_a_member)?));
        return Ok(());
    }
    run_log.log_detail("Team", name_and_id(selected));
    if teams.len() > 1 {
        run_log.warn(text!(
            "The Apple ID belongs to {} teams, and in a build, fastlane cannot ask which one to use. Set `itc_team_id` to the number of one of them: {}.",
            teams.len(),
            list_teams(teams)
        ));
    }
    Ok(())
}

/// `Example Ltd (7), Other Inc (8)`
fn list_teams(teams: &[&Provider]) -> Text {
    let named: Vec<_> = teams.iter().take(MAX_LISTED).map(|team| name_and_id(team)).collect();
    match teams.len().saturating_sub(MAX_LISTED) {
        0 => Text::join(&named, ", "),
        more => text!("{} and {} more", Text::join(&named, ", "), more),
    }
}

/// Whether a body is the plain text of Apple's 401: `Unauthenticated` and the request's ID, as in
/// <https://github.com/fastlane/fastlane/issues/16126>.
fn is_unauthenticated(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.strip_prefix("Unauthenticated").is_some_and(|rest| rest.trim_start().starts_with("Request ID:"))
}

fn name_and_id(provider: &Provider) -> Text {
    text!("{} ({})", redact::service_text(&provider.name, 40), provider.provider_id)
}

/// The header `Cookie` for a request to `url`: the cookies that a browser would send there, by domain, path,
/// `secure` and expiry (RFC 6265). `None` if there are none.
fn cookie_header(session: &Session, url: &Url, now: OffsetDateTime) -> Option<Zeroizing<String>> {
    let mut store = CookieStore::default();
    let is_unexpired = |cookie: &&Cookie| cookie.ends_at().is_none_or(|end| end > now);
    for cookie in session.cookies.iter().filter(is_unexpired) {
        // The store accepts a cookie only from the site that it is for.
        let Ok(origin) = Url::parse(&format!("https://{}/", cookie.domain)) else { continue };
        let mut raw = RawCookie::build((cookie.name.as_str(), cookie.value.expose_secret()))
            .path(cookie.path.as_str())
            .secure(cookie.secure)
            .http_only(cookie.httponly);
        if cookie.for_domain {
            raw = raw.domain(cookie.domain.as_str());
        }
        // A cookie that the store rejects can't be sent anywhere.
        drop(store.insert_raw(&raw.build(), &origin));
    }
    let pairs: Vec<_> = store.get_request_values(url).collect();
    // Reserves the whole length: growing would leave copies that are not wiped.
    let length = pairs.iter().map(|(name, value)| name.len() + value.len() + 3).sum();
    let mut header = Zeroizing::new(String::with_capacity(length));
    for (name, value) in pairs {
        let separator = if header.is_empty() { "" } else { "; " };
        for part in [separator, name, "=", value] {
            header.push_str(part);
        }
    }
    Some(header).filter(|header| !header.is_empty())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use time::macros::datetime;

    use crate::formats::fastlane_session::from_pasted;

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    const NOW: OffsetDateTime = datetime!(2026-11-20 09:00 UTC);

    fn sent_to(url: &str, cookies: &str) -> Result<Vec<String>> {
        let session = from_pasted(&SecretString::from(format!(
            "[{{name: DES1, value: trust, domain: idmsa.apple.com}}, {cookies}]"
        )))?;
        let header = cookie_header(&session, &Url::parse(url)?, NOW);
        let mut pairs: Vec<_> =
            header.iter().flat_map(|header| header.split("; ")).map(str::to_owned).collect();
        pairs.sort();
        Ok(pairs)
    }

    #[test]
    fn only_the_cookies_for_the_host_are_sent() -> Result {
        let cookies = concat!(
            "{name: parent, value: 1, domain: apple.com}, ",
            "{name: dotted, value: 2, domain: .apple.com}, ",
            "{name: parent_only, value: 3, domain: apple.com, for_domain: false}, ",
            "{name: own, value: 4, domain: appstoreconnect.apple.com, for_domain: false}, ",
            "{name: other, value: 5, domain: idmsa.apple.com}, ",
            "{name: like, value: 6, domain: notapple.com}, ",
            "{name: path, value: 7, domain: apple.com, path: /olympus}, ",
            "{name: other_path, value: 8, domain: apple.com, path: /agreements}, ",
            "{name: expired, value: 9, domain: apple.com, expires: 2026-11-20T08:59:59Z}, ",
            "{name: alive, value: a, domain: apple.com, expires: 2026-11-20T09:00:01Z}, ",
            "{name: aged, value: b, domain: apple.com, max_age: 60, created_at: 2026-11-20T08:00:00Z}, ",
            "{name: secure, value: c, domain: apple.com, secure: true}",
        );
        let cookies = &cookies.replace("}, ", ", secure: false}, ");
        let https = "https://appstoreconnect.apple.com/olympus/v1/session";
        let expected = ["alive=a", "dotted=2", "own=4", "parent=1", "path=7", "secure=c"];
        assert_eq!(sent_to(https, cookies)?, expected);
        let http = "http://appstoreconnect.apple.com/olympus/v1/session";
        assert_eq!(sent_to(http, cookies)?, ["alive=a", "dotted=2", "own=4", "parent=1", "path=7"]);
        assert_eq!(sent_to("https://example.com/olympus", cookies)?, [""; 0]);
        Ok(())
    }
}
