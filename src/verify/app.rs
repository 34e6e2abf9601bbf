//! Does the credential's team have the app that the build is for?

use crate::apple::api_key::{ApiKey, Owner};
use crate::apple::app_store_connect::{APPS, App, BUNDLE_IDS, PAGE};
use crate::apple::bundle_id::BundleId;
use crate::log::RunLog;
use crate::redact::text;
use crate::redact::{self, Text, sentences};

use super::client::{Client, Reply};
use super::{Unverified, Verification, VerifyError, shown};

/// How many of the team's apps an error names.
const NAMED: usize = 5;

/// How many entries of a list are looked at: many times what a large team has.
const MAX_SEEN: usize = 5_000;

/// Longer than any bundle ID of Apple's, which have 155 characters at most.
const MAX_BUNDLE_ID: usize = 255;

sentences! {
    /// The key is good, but its team does not have the app.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum NoSuchApp {
        #[error("The API key {key_id} is good, but its team has no app {bundle_id}.{others} {mistake}.")]
        App { key_id: Text, bundle_id: Text, others: Text, mistake: Mistake },
        #[error("The individual API key {key_id} does not see the app {bundle_id}{others}. Give its owner access to the app in Users and Access, or use a team's key.")]
        OwnersApp { key_id: Text, bundle_id: Text, others: Text },
        #[error("The API key {key_id} is good, but its team has not registered {bundle_id}.{others} {mistake}.")]
        BundleId { key_id: Text, bundle_id: Text, others: Text, mistake: Mistake },
    }
}

sentences! {
    /// Which of the usual mistakes it looks like, and what to do.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum Mistake {
        #[error("This looks like another team's key: use one of the team that owns the app")]
        OtherTeam,
        #[error("This looks like an app without a record: create it in App Store Connect > Apps")]
        NoRecord,
        #[error("Register it in developer.apple.com > Account > Identifiers")]
        NotRegistered,
        #[error("`bundle_id` looks misspelled: correct it")]
        Slip,
        #[error("Either the app was never registered there, or this is another team's key: create the app, or use another key")]
        Unclear,
    }
}

/// Looks for the app by its bundle ID, in the Enterprise Program for the bundle ID itself.
///
/// # Errors
/// [`NoSuchApp`], or when Apple refuses the key.
pub(super) async fn ask(
    client: &Client<'_>,
    bundle_id: &BundleId,
    verification: &mut Verification,
    run_log: &mut RunLog,
) -> Result<(), VerifyError> {
    let is_enterprise = client.key.enterprise;
    let is_it =
        |app: &App| app.attributes.bundle_id == bundle_id.as_str() && (is_enterprise || app.id().is_some());
    let filter = if is_enterprise { "filter[identifier]" } else { "filter[bundleId]" };
    match search(client, Some((filter, bundle_id.as_str())), is_it).await? {
        Search::Over { found: Some(app), .. } => {
            let name = app.attributes.name.as_deref().unwrap_or_default();
            let name = redact::service_text(name, 60);
            match app.id().filter(|_| !is_enterprise) {
                Some(id) => {
                    let id = redact::checked(id, crate::apple::bundle_id::is_app_id);
                    run_log.detail("App", text!("{} ({}, {})", name, bundle_id.shown(), id));
                }
                None => run_log.detail("Bundle ID", text!("{} ({})", bundle_id.shown(), name)),
            }
            verification.app_id = app.id().filter(|_| !is_enterprise).map(str::to_owned);
        }
        Search::Over { found: None, .. } => return Err(missing(client, bundle_id).await?.into()),
        Search::Stopped(Reply::Forbidden(error)) if error.is_of_the_role() => {
            let (code, detail) = (shown(&error.code), shown(error.words()));
            verification.unverified.push(Unverified::AppsHidden { code, detail });
        }
        Search::Stopped(Reply::Forbidden(error)) => {
            verification.unverified.push(Unverified::forbidden(&error));
        }
        Search::Stopped(Reply::Open(reason)) => verification.unverified.push(reason),
        Search::Stopped(Reply::Listed(_)) => {}
    }
    Ok(())
}

/// What a search through a list came to.
enum Search {
    /// Either one was found, or all were seen.
    Over { found: Option<App>, seen: Vec<App>, total: usize },
    /// Not by a page: by a refusal, or by no answer.
    Stopped(Reply<App>),
}

/// Goes through the pages of a list, up to the first entry that `is_it`. Apple's filter lets more
/// through than what is asked for, so that even with it there can be several.
async fn search(
    client: &Client<'_>,
    filter: Option<(&str, &str)>,
    is_it: impl Fn(&App) -> bool,
) -> Result<Search, VerifyError> {
    let (path, fields) = if client.key.enterprise {
        (BUNDLE_IDS, ("fields[bundleIds]", "identifier,name"))
    } else {
        (APPS, ("fields[apps]", "bundleId,name"))
    };
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = cursor.as_deref().map(|cursor| ("cursor", cursor));
        let query: Vec<_> = filter.into_iter().chain([fields, ("limit", PAGE)]).chain(page).collect();
        let mut listing = match client.list::<App>(path, &query).await? {
            Reply::Listed(listing) => listing,
            stopped => return Ok(Search::Stopped(stopped)),
        };
        let (total, next) = (listing.total(), listing.cursor());
        if let Some(at) = listing.data.iter().position(&is_it) {
            return Ok(Search::Over { found: Some(listing.data.swap_remove(at)), seen, total });
        }
        listing.data.retain(|app| app.attributes.bundle_id.len() <= MAX_BUNDLE_ID);
        listing.data.truncate(MAX_SEEN - seen.len().min(MAX_SEEN));
        seen.append(&mut listing.data);
        // The same page again, and again, would be no way to go through a list.
        if next.is_none() || next == cursor || seen.len() == MAX_SEEN {
            let total = total.max(seen.len());
            return Ok(Search::Over { found: None, seen, total });
        }
        cursor = next;
    }
}

/// Says what the team has instead.
async fn missing(client: &Client<'_>, bundle_id: &BundleId) -> Result<NoSuchApp, VerifyError> {
    let (mut apps, total) = match search(client, None, |_| false).await? {
        Search::Over { seen, total, .. } => (seen, total),
        Search::Stopped(_) => (Vec::new(), 0),
    };
    let wanted = bundle_id.as_str().to_lowercase();
    apps.sort_by_cached_key(|app| {
        (distance(&wanted, &app.attributes.bundle_id), app.attributes.bundle_id.clone())
    });
    let named: Vec<_> =
        apps.iter().take(NAMED).map(|app| redact::service_text(&app.attributes.bundle_id, 100)).collect();
    let others = others(client.key, &named, total);
    let (key_id, bundle_id) = (client.key.id.shown(), bundle_id.shown());
    let nearest = apps.first().map(|app| app.attributes.bundle_id.to_lowercase());
    let mistake = |if_new| mistake(&wanted, nearest.as_deref(), if_new);
    Ok(match client.key.owner {
        Owner::Individual => NoSuchApp::OwnersApp { key_id, bundle_id, others },
        Owner::Team(_) if client.key.enterprise => {
            NoSuchApp::BundleId { key_id, bundle_id, others, mistake: mistake(Mistake::NotRegistered) }
        }
        Owner::Team(_) => NoSuchApp::App { key_id, bundle_id, others, mistake: mistake(Mistake::NoRecord) },
    })
}

/// What there is instead, as the sentence for this kind of key goes on.
fn others(key: &ApiKey, named: &[Text], total: usize) -> Text {
    let list = Text::join(named, ", ");
    let (one, several) = if key.enterprise { ("bundle ID", "bundle IDs") } else { ("app", "apps") };
    match (&key.owner, total) {
        (_, 0) => text!(""),
        (Owner::Individual, _) if total <= named.len() => text!(", only {}", list),
        (Owner::Individual, _) => text!(", only (of {}): {}", total, list),
        (Owner::Team(_), 1) => text!(" Its only {}: {}.", one, list),
        (Owner::Team(_), _) if total <= named.len() => text!(" Its {} {}: {}.", total, several, list),
        (Owner::Team(_), _) => text!(" The nearest of its {} {}: {}.", total, several, list),
    }
}

/// `if_new`: what it is when the team has other apps of the same vendor.
fn mistake(wanted: &str, nearest: Option<&str>, if_new: Mistake) -> Mistake {
    match nearest {
        None => Mistake::Unclear,
        Some(nearest) if distance(wanted, nearest) <= 1 => Mistake::Slip,
        Some(nearest) if vendor(wanted) == vendor(nearest) => if_new,
        Some(_) => Mistake::OtherTeam,
    }
}

fn distance(wanted: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(wanted, &other.to_lowercase())
}

/// `com.example` of `com.example.app`: what the apps of one team mostly share.
fn vendor(bundle_id: &str) -> Vec<&str> {
    bundle_id.split('.').take(2).collect()
}
