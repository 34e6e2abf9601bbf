//! Is the session of the Apple ID still logged in, to the right account and team?

use cookie_store::{CookieStore, RawCookie};
use reqwest::header::{COOKIE, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{MAX_BYTES, REQUEST_TIMEOUT, Unverified, VerifyError};
use crate::apple::app_store_connect::ApiError;
use crate::apple::cookie::Cookie;
use crate::apple::olympus::{Provider, SESSION, SessionStatus};
use crate::apple::session::Session;
use crate::apple::team::ProviderId;
use crate::bitrise::connection::RE_AUTHENTICATE;
use crate::config::Services;
use crate::credential::Source;
use crate::formats::fastlane_session::NEW_SESSION;
use crate::http::{Answer, Failure, Get, HeaderMap, Http, Redirects, RetryPolicy, endpoint, secret_header};
use crate::log::RunLog;
use crate::redact::text;
use crate::redact::{self, Text, sentences};

/// How many teams a sentence names.
const NAMED: usize = 5;

sentences! {
    /// Apple does not take the session for logged in.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum SessionRefused {
        #[error("{}: {RE_AUTHENTICATE}.", self.what())]
        Connected(&'static str),
        #[error("{}: {NEW_SESSION}.", self.what())]
        Pasted(&'static str),
    }
}

sentences! {
    /// The session is good, but not for the team in `itc_team_id`.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum NoSuchTeam {
        #[error("The session's account does not belong to the team {wanted} in `itc_team_id`, only to {teams}: set it to one of these numbers.")]
        NotAMember { wanted: Text, teams: Text },
    }
}

impl SessionRefused {
    /// What to do, without what is wrong.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Connected(_) => RE_AUTHENTICATE,
            Self::Pasted(_) => NEW_SESSION,
        }
    }

    /// What is wrong, without what to do.
    pub(crate) fn what(&self) -> Text {
        match self {
            Self::Connected(why) => {
                text!("Apple no longer accepts the session of the connected Apple ID ({})", *why)
            }
            Self::Pasted(why) => {
                text!("Apple no longer accepts the session in `fastlane_session` ({})", *why)
            }
        }
    }
}

/// The session, and what is believed of it.
pub(super) struct Question<'a> {
    pub(super) session: &'a Session,
    pub(super) email: &'a SecretString,
    pub(super) source: Source,
    /// Input `itc_team_id`.
    pub(super) team: Option<ProviderId>,
}

/// Makes the check that fastlane makes, with the cookies that belong to its host. `None`: verified.
///
/// # Errors
/// [`SessionRefused`] when Apple says that nobody is logged in, [`NoSuchTeam`] when the account is
/// in other teams.
pub(super) async fn ask(
    question: Question<'_>,
    services: &Services,
    http: &Http,
    policy: RetryPolicy,
    run_log: &mut RunLog,
) -> Result<Option<Unverified>, VerifyError> {
    let url = endpoint(&services.apple_session, SESSION);
    let site = redact::site(&url);
    let cookies = cookie_header(question.session, &url, http.now());
    let Some(cookies) = cookies.and_then(|cookies| secret_header(&cookies)) else {
        return Ok(Some(Unverified::MissingCookie { site }));
    };
    match http.retry(&url, policy, async || ask_once(&url, &cookies, http).await).await {
        Ok(answer) => evaluate(&answer, &question, site, run_log),
        Err(failure) => Ok(Some(Unverified::NotAnswered { site, failure })),
    }
}

async fn ask_once(url: &Url, cookies: &HeaderValue, http: &Http) -> Result<Answer, Failure> {
    let request = Get {
        url: url.clone(),
        headers: HeaderMap::from_iter([(COOKIE, cookies.clone())]),
        redirects: Redirects::Refused,
        max_bytes: MAX_BYTES,
        timeout: REQUEST_TIMEOUT,
    };
    http.ask(&request).await?.settled()
}

fn evaluate(
    answer: &Answer,
    question: &Question<'_>,
    site: Text,
    run_log: &mut RunLog,
) -> Result<Option<Unverified>, VerifyError> {
    let refused = |what| match question.source {
        Source::Connection => SessionRefused::Connected(what),
        Source::Config => SessionRefused::Pasted(what),
    };
    match answer.status {
        StatusCode::UNAUTHORIZED if is_apples_refusal(&answer.body) => return Err(refused("HTTP 401").into()),
        StatusCode::FORBIDDEN if is_apples_refusal(&answer.body) => return Err(refused("HTTP 403").into()),
        _ => {}
    }
    let status = serde_json::from_slice::<SessionStatus>(&answer.body).ok();
    let (StatusCode::OK, Some(status)) = (answer.status, status) else {
        return Ok(Some(Unverified::NotAppleFormat { site, status: answer.status.as_u16() }));
    };
    let Some(selected) = status.provider else {
        return Err(refused("it is logged in to no team").into());
    };
    if let Some(address) = status.user.and_then(|user| user.email_address) {
        compare_accounts(&address, question.email.expose_secret(), run_log);
    }
    let teams =
        status.available_providers.filter(|all| !all.is_empty()).unwrap_or_else(|| vec![selected.clone()]);
    choose_team(&selected, &teams, question.team, run_log)?;
    Ok(None)
}

/// Apple takes addresses in any case.
fn compare_accounts(of_session: &str, of_credential: &str, run_log: &mut RunLog) {
    if of_session.trim().to_lowercase() != of_credential.trim().to_lowercase() {
        run_log.warn(text!(
            "The session belongs to another account ({}) than the Apple ID ({}), and fastlane uses both: give a session and an Apple ID of one account.",
            redact::email(of_session),
            redact::email(of_credential)
        ));
    }
}

fn choose_team(
    selected: &Provider,
    teams: &[Provider],
    wanted: Option<ProviderId>,
    run_log: &mut RunLog,
) -> Result<(), NoSuchTeam> {
    if let Some(wanted) = wanted {
        let team = teams.iter().find(|team| team.provider_id == wanted.number());
        let not_a_member = || NoSuchTeam::NotAMember { wanted: wanted.shown(), teams: list(teams) };
        run_log.detail("Team", named(team.ok_or_else(not_a_member)?));
        return Ok(());
    }
    run_log.detail("Team", named(selected));
    if teams.len() > 1 {
        run_log.warn(text!(
            "The Apple ID belongs to {} teams, and in a build fastlane cannot ask which to use: set `itc_team_id` to the number of one. They are {}.",
            teams.len(),
            list(teams)
        ));
    }
    Ok(())
}

/// `Example Ltd (7), Other Inc (8)`
fn list(teams: &[Provider]) -> Text {
    let named: Vec<_> = teams.iter().take(NAMED).map(named).collect();
    match teams.len().saturating_sub(NAMED) {
        0 => Text::join(&named, ", "),
        more => text!("{} and {} more", Text::join(&named, ", "), more),
    }
}

/// Whether the body of a refusal is Apple's own, and not that of a proxy on the way: an error as
/// the App Store Connect API has it, or `Unauthenticated` with the number of the request, in plain
/// text (as in the log of <https://github.com/fastlane/fastlane/issues/16126>).
fn is_apples_refusal(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    ApiError::read(body).is_some()
        || text
            .strip_prefix("Unauthenticated")
            .is_some_and(|rest| rest.trim_start().starts_with("Request ID:"))
}

/// A team as people know it, and its ID.
fn named(provider: &Provider) -> Text {
    text!("{} ({})", redact::service_text(&provider.name, 40), provider.provider_id)
}

/// The value of the header `Cookie` for a request to `url`, or `None` when no cookie belongs
/// there: by domain, path, `secure` and expiry, as a browser decides it (RFC 6265).
fn cookie_header(session: &Session, url: &Url, now: OffsetDateTime) -> Option<Zeroizing<String>> {
    let mut store = CookieStore::default();
    let alive = |cookie: &&Cookie| cookie.lifetime.ends_at().is_none_or(|end| end > now);
    for cookie in session.cookies.iter().filter(alive) {
        // A cookie is taken from the site that sets it, which is the one it names.
        let Ok(origin) = Url::parse(&format!("https://{}/", cookie.domain)) else { continue };
        let mut raw = RawCookie::build((cookie.name.as_str(), cookie.value.expose_secret()))
            .path(cookie.path.as_str())
            .secure(cookie.secure)
            .http_only(cookie.httponly);
        if cookie.for_domain {
            raw = raw.domain(cookie.domain.as_str());
        }
        // What the store does not take belongs to no host.
        drop(store.insert_raw(&raw.build(), &origin));
    }
    let pairs: Vec<_> = store.get_request_values(url).collect();
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

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    const NOW: OffsetDateTime = datetime!(2026-11-20 09:00 UTC);

    fn sent_to(url: &str, cookies: &str) -> std::result::Result<Vec<String>, Box<dyn std::error::Error>> {
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
    fn exactly_the_cookies_that_belong_to_the_host_are_sent() -> Result {
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
        let https = "https://appstoreconnect.apple.com/olympus/v1/session";
        let expected = ["alive=a", "dotted=2", "own=4", "parent=1", "path=7", "secure=c"];
        assert_eq!(sent_to(https, cookies)?, expected);
        let http = "http://appstoreconnect.apple.com/olympus/v1/session";
        assert_eq!(sent_to(http, cookies)?, ["alive=a", "dotted=2", "own=4", "parent=1", "path=7"]);
        assert_eq!(sent_to("https://example.com/olympus", cookies)?, [""; 0]);
        Ok(())
    }
}
