//! The App Store Connect API, and the Enterprise Program API beside it.

mod error;
mod list;
mod team;
mod token;

pub use team::{App, BundleId, Role, SigningCertificate, Team, User};

pub(crate) use error::request_id;

use crate::Behaviour;
use crate::http::{Answer, Head, Judgement};
use crate::keys::PublicKey;
use error::Refusal;
use list::List;
use team::Resource;

/// An account as its one API key shows it: who may ask, and when. What is found is its [`Team`].
#[derive(Clone, Debug)]
pub struct Account {
    /// The API key's public half.
    pub public_key: PublicKey,
    /// The token's `kid`.
    pub key_id: String,
    /// The token's `iss`; `None` for an individual key, whose tokens have `sub` instead.
    pub issuer_id: Option<String>,
    /// In the Apple Developer Enterprise Program: another audience, no `/v1/apps`.
    pub enterprise: bool,
    /// How far the service's clock is ahead of this computer's; negative when it is behind.
    pub clock_skew_seconds: i64,
    /// One per request, in order.
    pub behaviours: Vec<Behaviour>,
}

/// `GET /v1/apps`, `/v1/bundleIds`, `/v1/certificates`, `/v1/users`
///
/// `path` is what follows the base URL, `now` is the service's own clock in Unix seconds.
pub(crate) fn api(
    account: &Account,
    team: &Team,
    head: &Head,
    path: &str,
    origin: &str,
    now: i64,
) -> Judgement {
    let mut judgement = match accepts_json(head) {
        Err(accept) => Refusal::not_acceptable(accept),
        Ok(()) => judge(account, team, head, path, origin, now).unwrap_or_else(Judgement::from),
    };
    judgement.answer.unix_seconds = now;
    // On every answer, says Apple: <https://developer.apple.com/documentation/appstoreconnectapi/identifying-rate-limits>
    let limits = format!("user-hour-lim:{};user-hour-rem:{};", Team::HOURLY_LIMIT, team.requests_left);
    judgement.answer = judgement.answer.with("X-Rate-Limit", &limits);
    judgement
}

fn judge(
    account: &Account,
    team: &Team,
    head: &Head,
    path: &str,
    origin: &str,
    now: i64,
) -> Result<Judgement, Refusal> {
    token::check_authorization(account, head, now).map_err(Refusal::not_authorized)?;
    let (list, resources) = found_at(account, team, path).ok_or_else(|| Refusal::not_found(path))?;
    if team.requests_left == 0 {
        return Err(Refusal::rate_limit_exceeded());
    }
    if team.agreement_missing {
        return Err(Refusal::agreement_missing());
    }
    if !may_see(account, team, &list) {
        let who = if account.issuer_id.is_some() { "a key" } else { "an individual key" };
        let why = format!("{who} with the role {:?} may not see {}", team.role, list.kind);
        return Err(Refusal::forbidden(why));
    }
    let url = format!("{origin}{}", head.path());
    let page = list.page(&resources, &url, head.query().unwrap_or_default())?;
    Ok(Judgement::ok(Answer::json(200, page.to_string())))
}

/// The list at a path, as the account's key sees it; `None` where there is none.
fn found_at(account: &Account, team: &Team, path: &str) -> Option<(List, Vec<Resource>)> {
    match path {
        // The Enterprise Program API has no apps: nothing there goes to the App Store.
        "v1/apps" if account.enterprise => None,
        "v1/apps" => {
            // "Team: access to all apps … Individual: access and roles of the associated user."
            // <https://developer.apple.com/documentation/appstoreconnectapi/creating-api-keys-for-app-store-connect-api>
            let limited = team.owner_apps.as_ref().filter(|_| account.issuer_id.is_none());
            let seen = |app: &&App| limited.is_none_or(|seen| seen.contains(&app.bundle_id));
            Some((list::APPS, team.apps.iter().filter(seen).map(App::resource).collect()))
        }
        "v1/bundleIds" => Some((list::BUNDLE_IDS, team.bundle_ids.iter().map(BundleId::resource).collect())),
        "v1/certificates" => {
            let resources = team.certificates.iter().map(SigningCertificate::resource).collect();
            Some((list::CERTIFICATES, resources))
        }
        "v1/users" => Some((list::USERS, team.users.iter().map(User::resource).collect())),
        _ => None,
    }
}

/// Whether the key's role reaches so far.
///
/// Apple documents that individual keys reach no provisioning, and that access to it comes with a role
/// or apart from it (`provisioningAllowed`). What a role for reports alone is answered it does not, nor
/// that only an admin sees the users, and one public report has a key that may not write see them.
///
/// <https://developer.apple.com/documentation/appstoreconnectapi/creating-api-keys-for-app-store-connect-api>
/// <https://developer.apple.com/documentation/appstoreconnectapi/user/attributes>
fn may_see(account: &Account, team: &Team, list: &List) -> bool {
    match list.kind {
        "users" => team.role == Role::Admin,
        "bundleIds" | "certificates" => {
            account.issuer_id.is_some()
                && match team.role {
                    Role::Admin => true,
                    Role::AppManager | Role::Developer => team.provisioning,
                    Role::AccessToReports => false,
                }
        }
        _ => team.role != Role::AccessToReports,
    }
}

/// `Err` with the header `Accept` where it has no room for JSON.
fn accepts_json(head: &Head) -> Result<(), &str> {
    let mut all_refused = None;
    for accept in head.values("Accept") {
        let ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
        for range in ranges {
            if ["*/*", "application/*", "application/json"].contains(&range) {
                return Ok(());
            }
        }
        all_refused = Some(accept);
    }
    all_refused.map_or(Ok(()), Err)
}
