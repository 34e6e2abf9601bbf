//! Is the Apple ID's session still logged in, to the right account and team?

use cookie_store::{CookieStore, RawCookie};
use reqwest::header::COOKIE;
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{CheckError, MAX_LISTED, Unverified, api_errors, authenticated_request};
use crate::apple::cookie::Cookie;
use crate::apple::olympus::{Provider, SESSION_PATH, SessionStatus};
use crate::apple::session::Session;
use crate::apple::team::ProviderId;
use crate::bitrise::connection::RE_AUTHENTICATE;
use crate::config::{Config, Services};
use crate::credential::{AppleId, Source};
use crate::formats::fastlane_session::PASTE_NEW_SESSION;
use crate::http::{Http, RetryPolicy, endpoint};
use crate::log::RunLog;
use crate::redact::{self, FatalError, Text, text};

/// How to get a new session. Completes a sentence.
pub(crate) fn renewal(source: Source) -> &'static str {
    match source {
        Source::Connection => RE_AUTHENTICATE,
        Source::Inputs => PASTE_NEW_SESSION,
    }
}

/// Sends the request that fastlane sends, with the session's cookies for its URL.
pub(super) async fn check(
    apple_id: &AppleId,
    source: Source,
    services: &Services,
    config: &Config,
    http: &Http<'_>,
    policy: RetryPolicy,
    run_log: &mut RunLog,
) -> Result<(), CheckError> {
    let renewal = renewal(source);
    let session = apple_id.session.as_ref().ok_or(Unverified::WithoutSession)?;
    let url = endpoint(&services.apple_session, SESSION_PATH);
    let site = redact::site(&url);
    let cookies = cookie_header(session, &url, http.now());
    let request = cookies.and_then(|cookies| authenticated_request(&url, COOKIE, &cookies));
    let Some(request) = request else { return Err(Unverified::MissingCookie { site, renewal }.into()) };
    let response = http.retry(&url, policy, async || http.send(&request).await?.require_final()).await;
    let response = response.map_err(|failure| Unverified::RequestFailed { site: site.clone(), failure })?;

    let rejected = |why: &'static str| {
        let origin = match source {
            Source::Connection => "of the connected Apple ID",
            Source::Inputs => "in `fastlane_session`",
        };
        let problem = text!("Apple no longer accepts the session {} ({})", origin, why);
        if config.needs_session() {
            CheckError::Rejected(FatalError::new(text!("{}: {}.", problem, renewal)))
        } else {
            // No tool needs the session, and an upload with an app-specific password still works.
            Unverified::SessionRejected { problem, renewal }.into()
        }
    };
    let status = response.status;
    let session_status = match (status, api_errors(&response)) {
        (StatusCode::UNAUTHORIZED, errors) if errors.is_some() || is_unauthenticated(&response.body) => {
            return Err(rejected("HTTP 401"));
        }
        (StatusCode::FORBIDDEN, Some(errors)) => return Err(Unverified::new(status, &errors).into()),
        (StatusCode::OK, _) if response.is_json() => SessionStatus::read(&response.body),
        _ => None,
    };
    let session_status =
        session_status.ok_or(Unverified::NotAppleFormat { site, status: status.as_u16() })?;
    let Some(session_email) = session_status.email_address() else {
        return Err(Unverified::UnknownAccount { renewal }.into());
    };
    let credential_email = apple_id.email.expose_secret();
    // Apple ignores the case of email addresses.
    if session_email.trim().to_lowercase() != credential_email.trim().to_lowercase() {
        let (session_email, credential_email) =
            (redact::email(session_email), redact::email(credential_email));
        return Err(Unverified::OtherAccount { session_email, credential_email }.into());
    }
    let selected = session_status.provider().ok_or_else(|| rejected("it is not logged in to a team"))?;
    check_team(selected, &session_status, config.itc_team_id, run_log)
}

/// Checks `itc_team_id`, and logs the team that fastlane will use. Warns if fastlane would have to ask.
fn check_team(
    selected: &Provider,
    session_status: &SessionStatus,
    wanted: Option<ProviderId>,
    run_log: &mut RunLog,
) -> Result<(), CheckError> {
    let teams = session_status.providers();
    let team = match wanted {
        None => selected,
        Some(wanted) => teams.iter().find(|team| team.provider_id == wanted.number()).ok_or_else(|| {
            if !session_status.lists_providers() {
                return Unverified::TeamsNotListed.into();
            }
            CheckError::Rejected(FatalError::new(text!(
                "The session's account does not belong to the team {} in `itc_team_id`, only to {}: correct `itc_team_id`.",
                wanted.to_text(),
                list_teams(&teams)
            )))
        })?,
    };
    run_log.log_detail("Team", name_and_id(team));
    if wanted.is_none() && teams.len() > 1 {
        run_log.warn(text!(
            "The Apple ID belongs to {} teams, and in a build, fastlane cannot ask which one to use. Set `itc_team_id` to the number of one of them: {}.",
            teams.len(),
            list_teams(&teams)
        ));
    }
    Ok(())
}

/// Lists teams, such as `Example Ltd (7), Other Inc (8)`.
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
    let rest = text.strip_prefix("Unauthenticated").filter(|rest| !rest.contains('<'));
    rest.is_some_and(|rest| rest.trim_start().starts_with("Request ID:"))
}

fn name_and_id(provider: &Provider) -> Text {
    text!("{} ({})", redact::service_text(&provider.name, 40), provider.provider_id)
}

/// The header `Cookie` for a request to `url`: the cookies that a browser would send there, by domain, path,
/// `secure` and expiry (RFC 6265). `None` if there are none.
fn cookie_header(session: &Session, url: &Url, now: OffsetDateTime) -> Option<Zeroizing<String>> {
    let mut store = CookieStore::default();
    let is_unexpired = |cookie: &&Cookie| cookie.expires_at().is_none_or(|end| end > now);
    for cookie in session.cookies.iter().filter(is_unexpired) {
        // The store accepts a cookie only from the site that it is for.
        let Ok(origin) = Url::parse(&format!("https://{}/", cookie.domain)) else { continue };
        let mut raw = RawCookie::build((cookie.name.as_str(), cookie.value.expose_secret()))
            .path(cookie.path.as_str())
            .secure(cookie.secure);
        if cookie.for_domain {
            raw = raw.domain(cookie.domain.as_str());
        }
        // A cookie that the store rejects can't be sent anywhere.
        drop(store.insert_raw(&raw.build(), &origin));
    }
    let pairs = store.get_request_values(url).map(|(name, value)| ["; ", name, "=", value]);
    // Without the separator before the first pair.
    let parts: Vec<_> = pairs.flatten().skip(1).collect();
    // `concat` reserves the whole length: growing would leave copies that are not wiped.
    (!parts.is_empty()).then(|| Zeroizing::new(parts.concat()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use crate::formats::fastlane_session::from_pasted;

    use super::*;

    const COOKIES: &str = "[
        {name: DES1, value: 0, domain: idmsa.apple.com, secure: false},
        {name: parent, value: 1, domain: apple.com, secure: false},
        {name: dotted, value: 2, domain: .apple.com, secure: false},
        {name: parent_only, value: 3, domain: apple.com, for_domain: false, secure: false},
        {name: own, value: 4, domain: appstoreconnect.apple.com, for_domain: false, secure: false},
        {name: lookalike, value: 5, domain: notapple.com, secure: false},
        {name: path, value: 6, domain: apple.com, path: /olympus, secure: false},
        {name: other_path, value: 7, domain: apple.com, path: /agreements, secure: false},
        {name: expired, value: 8, domain: apple.com, secure: false, expires: 2026-11-20T08:59:59Z},
        {name: alive, value: 9, domain: apple.com, secure: false, expires: 2026-11-20T09:00:01Z},
        {name: aged, value: a, domain: apple.com, secure: false, max_age: 60, created_at: 2026-11-20T08:00:00Z},
        {name: secure, value: b, domain: apple.com, secure: true},
    ]";

    #[test]
    fn only_the_cookies_for_the_url_are_sent() {
        let session = from_pasted(&COOKIES.into()).unwrap();
        for (url, expected) in [
            ("https://appstoreconnect.apple.com/olympus/v1", "alive dotted own parent path secure"),
            ("http://appstoreconnect.apple.com/olympus/v1", "alive dotted own parent path"),
            ("https://example.com/olympus", ""),
        ] {
            let header = cookie_header(&session, &Url::parse(url).unwrap(), datetime!(2026-11-20 09:00 UTC));
            let pairs = header.iter().flat_map(|header| header.split("; "));
            let mut names: Vec<_> = pairs.filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
            names.sort_unstable();
            assert_eq!(names.join(" "), expected, "{url}");
        }
    }
}
