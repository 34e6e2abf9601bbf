//! Does Apple accept the API key, and does its team have the app that the build is for?

use reqwest::StatusCode;

use crate::apple::api_key::{ApiKey, KeyKind};
use crate::apple::app_store_connect::{APPS, App, BUNDLE_IDS};
use crate::apple::bundle_id::{BundleId, MAX_LENGTH, is_app_id};
use crate::log::RunLog;
use crate::redact::{self, FatalError, Text, text};

use super::client::Client;
use super::{CheckError, MAX_LISTED, Unverified};

/// Lists one app, or one bundle ID in the Enterprise Program, which has no apps.
pub(super) async fn check_key(client: &Client<'_>, run_log: &mut RunLog) -> Result<(), CheckError> {
    let list = if client.key.is_enterprise { BUNDLE_IDS } else { APPS };
    match client.probe(list).await {
        // Apple accepted the token, or it would have returned 401.
        Err(CheckError::Unverified(Unverified::RoleTooLow { code, detail })) => {
            run_log.warn(text!("The API key is valid, but it can't list apps ({}: {}). If later Steps need the list of apps, use a key with a role that can read it.", code, detail));
            Ok(())
        }
        result => result,
    }
}

/// Looks for the app with this bundle ID, and returns its number in App Store Connect. In the Enterprise Program, which
/// has no apps, looks for the bundle ID itself.
pub(super) async fn check(
    client: &Client<'_>,
    bundle_id: &BundleId,
    run_log: &mut RunLog,
) -> Result<Option<String>, CheckError> {
    let apps = read_apps(client, Some(bundle_id)).await?;
    let Some(app) = apps.iter().find(|app| app.attributes.bundle_id == bundle_id.as_str()) else {
        return Err(CheckError::Rejected(no_such_app(client, bundle_id).await));
    };
    let name = redact::service_text(app.attributes.name.as_deref().unwrap_or_default(), 60);
    if client.key.is_enterprise {
        run_log.log_detail("Bundle ID", text!("{} ({})", bundle_id.to_text(), name));
        return Ok(None);
    }
    if !is_app_id(&app.id) {
        return Err(client.not_apple_format(StatusCode::OK).into());
    }
    let shown_id = redact::checked(&app.id, is_app_id);
    run_log.log_detail("App", text!("{} ({}, {})", name, bundle_id.to_text(), shown_id));
    Ok(Some(app.id.clone()))
}

/// Reads the list of the team's apps. With `wanted`, reads only the apps that Apple's filter selects, up to the page
/// with the wanted app: the filter also selects longer bundle IDs that contain the wanted one.
async fn read_apps(client: &Client<'_>, wanted: Option<&BundleId>) -> Result<Vec<App>, CheckError> {
    let (list, filter, fields) = if client.key.is_enterprise {
        (BUNDLE_IDS, "filter[identifier]", ("fields[bundleIds]", "identifier,name"))
    } else {
        (APPS, "filter[bundleId]", ("fields[apps]", "bundleId,name"))
    };
    let wanted = wanted.map(BundleId::as_str);
    let query: Vec<_> = wanted.map(|wanted| (filter, wanted)).into_iter().chain([fields]).collect();
    client.read_list(list, &query, |app: &App| wanted == Some(&app.attributes.bundle_id)).await
}

/// The error for an app that the team does not have. It lists some of the team's apps, if the key can list them.
async fn no_such_app(client: &Client<'_>, bundle_id: &BundleId) -> FatalError {
    let apps = match read_apps(client, None).await {
        Ok(apps) => apps,
        Err(CheckError::Unverified(_)) => Vec::new(),
        Err(CheckError::Rejected(error)) => return error,
    };
    let total = apps.len();
    let wanted = bundle_id.as_str().to_lowercase();
    let others = apps.into_iter().map(|app| app.attributes.bundle_id).filter(|id| id.len() <= MAX_LENGTH);
    let distance = |id: &str| strsim::damerau_levenshtein(&wanted, &id.to_lowercase());
    // The most similar first.
    let mut others: Vec<_> = others.map(|id| (distance(&id), id)).collect();
    others.sort();
    let named: Vec<_> = others.iter().take(MAX_LISTED).map(|(_, id)| redact::service_text(id, 100)).collect();
    let (key_id, bundle_id) = (client.key.id.to_text(), bundle_id.to_text());
    let is_individual = client.key.kind() == KeyKind::Individual;
    let problem = if is_individual {
        text!("The individual API key {} cannot see the app {}", key_id, bundle_id)
    } else {
        let lacks = if client.key.is_enterprise { "has not registered" } else { "has no app" };
        text!("The API key {} is valid, but its team {} {}", key_id, lacks, bundle_id)
    };
    // Names the likely mistake, and says what to do about it.
    let advice = match others.first() {
        _ if is_individual => {
            text!("Give the key's owner access to {} in Users and Access, or use a team key", bundle_id)
        }
        Some((..=1, _)) => text!("`bundle_id` looks misspelled: correct it"),
        Some((_, closest)) if vendor(&wanted) != vendor(&closest.to_lowercase()) => {
            text!("This looks like another team's key: use a key of the team that owns the app")
        }
        Some(_) if client.key.is_enterprise => {
            text!("Register {} at developer.apple.com > Account > Identifiers", bundle_id)
        }
        Some(_) => text!("The app seems to have no record yet: create it in App Store Connect > Apps"),
        None if client.key.is_enterprise => {
            text!("Register it at developer.apple.com > Account > Identifiers, or use another team's key")
        }
        None => text!(
            "Either the app does not exist yet, or this is another team's key: create the app, or use another key"
        ),
    };
    FatalError::new(text!("{}.{} {}.", problem, list_others(client.key, &named, total), advice))
}

/// A sentence about the apps that the key can see, with a leading space. Empty if `named` is empty.
fn list_others(key: &ApiKey, named: &[Text], total: usize) -> Text {
    let list = Text::join(named, ", ");
    let subject = if key.kind() == KeyKind::Individual { "It can see" } else { "The team has" };
    let (one, several) = if key.is_enterprise { ("bundle ID", "bundle IDs") } else { ("app", "apps") };
    match total {
        _ if named.is_empty() => text!(""),
        1 => text!(" {} one {}: {}.", subject, one, list),
        _ if total <= named.len() => text!(" {} {} {}: {}.", subject, total, several, list),
        _ => text!(" {} {} {}, the most similar: {}.", subject, total, several, list),
    }
}

/// The first two parts of a bundle ID, such as `com.example`, which a team's apps usually share.
fn vendor(bundle_id: &str) -> Vec<&str> {
    bundle_id.split('.').take(2).collect()
}
