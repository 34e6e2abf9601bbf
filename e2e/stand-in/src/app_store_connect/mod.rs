//! The App Store Connect API and the Enterprise Program API.

mod error;
mod list;
mod team;
mod token;

pub use team::{App, BundleId, Role, SigningCertificate, Team, User};

pub(crate) use error::request_id;

use crate::Behaviour;
use crate::http::{Decision, Head, Response};
use crate::keys::PublicKey;
use error::Refusal;
use list::List;
use team::Resource;

/// An account with one API key. The account's apps, certificates and users are in a [`Team`].
#[derive(Clone, Debug)]
pub struct Account {
    /// The API key's public key.
    pub public_key: PublicKey,
    /// The token's `kid`.
    pub key_id: String,
    /// The token's `iss`; `None` for an individual key, whose tokens have `sub` instead.
    pub issuer_id: Option<String>,
    /// Whether the account is in the Apple Developer Enterprise Program, where tokens have a different audience and
    /// `/v1/apps` does not exist.
    pub enterprise: bool,
    /// How far the service's clock is ahead of this computer's; negative if it is behind.
    pub clock_skew_seconds: i64,
    /// The faults of the server: one behaviour per request, in order.
    pub behaviours: Vec<Behaviour>,
}

/// `GET /v1/apps`, `/v1/bundleIds`, `/v1/certificates`, `/v1/users`
///
/// `path` is the part of the path after the base URL, and `now` is the service's time in Unix seconds.
pub(crate) fn api(
    account: &Account,
    team: &Team,
    head: &Head,
    path: &str,
    origin: &str,
    now: i64,
) -> Decision {
    let mut decision = match accepts_json(head) {
        Err(accept) => Refusal::not_acceptable(accept),
        Ok(()) => decide(account, team, head, path, origin, now).unwrap_or_else(Decision::from),
    };
    decision.response.unix_seconds = now;
    // Every response has this header: <https://developer.apple.com/documentation/appstoreconnectapi/identifying-rate-limits>
    let limits = format!("user-hour-lim:{};user-hour-rem:{};", Team::HOURLY_LIMIT, team.requests_left);
    decision.response = decision.response.with_header("X-Rate-Limit", &limits);
    decision
}

fn decide(
    account: &Account,
    team: &Team,
    head: &Head,
    path: &str,
    origin: &str,
    now: i64,
) -> Result<Decision, Refusal> {
    token::check_authorization(account, head, now).map_err(Refusal::not_authorized)?;
    let (list, resources) = list_at(account, team, path).ok_or_else(|| Refusal::not_found(path))?;
    if team.requests_left == 0 {
        return Err(Refusal::rate_limit_exceeded());
    }
    if team.agreement_missing {
        return Err(Refusal::agreement_missing());
    }
    if !can_see(account, team, &list) {
        let key_kind = if account.issuer_id.is_some() { "a key" } else { "an individual key" };
        let why = format!("{key_kind} with the role {:?} can't see {}", team.role, list.kind);
        return Err(Refusal::forbidden(why));
    }
    let url = format!("{origin}{}", head.path());
    let page = list.page(&resources, &url, head.query().unwrap_or_default())?;
    Ok(Decision::ok(Response::json(200, page.to_string())))
}

/// The list at a path, and its resources without the apps that the key can't see. `None` if there is no such list.
fn list_at(account: &Account, team: &Team, path: &str) -> Option<(List, Vec<Resource>)> {
    match path {
        // The Enterprise Program API has no apps: enterprise apps never go to the App Store.
        "v1/apps" if account.enterprise => None,
        "v1/apps" => {
            // "Team: access to all apps … Individual: access and roles of the associated user."
            // <https://developer.apple.com/documentation/appstoreconnectapi/creating-api-keys-for-app-store-connect-api>
            let visible_ids = team.owner_apps.as_ref().filter(|_| account.issuer_id.is_none());
            let is_visible = |app: &&App| visible_ids.is_none_or(|ids| ids.contains(&app.bundle_id));
            Some((list::APPS, team.apps.iter().filter(is_visible).map(App::resource).collect()))
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

/// Whether the key's role can see the list.
///
/// Apple documents that individual keys have no access to provisioning, and that access to it comes with a
/// role or separately (`provisioningAllowed`). The stand-in assumes that roles for reports see nothing, and that
/// only admins see users, although in one public report, a key without write access can see users.
///
/// <https://developer.apple.com/documentation/appstoreconnectapi/creating-api-keys-for-app-store-connect-api>
/// <https://developer.apple.com/documentation/appstoreconnectapi/user/attributes>
fn can_see(account: &Account, team: &Team, list: &List) -> bool {
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

/// Returns the header `Accept` as the error if it excludes JSON.
fn accepts_json(head: &Head) -> Result<(), &str> {
    let mut without_json = None;
    for accept in head.values("Accept") {
        let ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
        for range in ranges {
            if ["*/*", "application/*", "application/json"].contains(&range) {
                return Ok(());
            }
        }
        without_json = Some(accept);
    }
    without_json.map_or(Ok(()), Err)
}
