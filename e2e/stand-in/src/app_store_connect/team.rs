//! What a team has, and what its key may see of it.

use serde::Deserialize;
use serde_json::{Value, json};

/// A team on App Store Connect, or in the Enterprise Program, and what the account's key may do in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Team {
    /// The role that was given to the key, or that the owner of an individual key has.
    pub role: Role,
    /// Whether that role comes with access to certificates, identifiers and profiles; an admin has it
    /// in any case, an individual key in none.
    pub provisioning: bool,
    /// Whether the Account Holder has still to sign an agreement.
    pub agreement_missing: bool,
    /// How many requests are left in this hour, out of [`Team::HOURLY_LIMIT`]. With 0, each is one too
    /// many: 429.
    pub requests_left: u32,
    /// The apps.
    pub apps: Vec<App>,
    /// The bundle IDs of the apps that the owner of an individual key has access to; `None` for all.
    /// A team key sees all apps.
    pub owner_apps: Option<Vec<String>>,
    /// The bundle IDs, registered ones without an app too.
    pub bundle_ids: Vec<BundleId>,
    /// The certificates.
    pub certificates: Vec<SigningCertificate>,
    /// The users.
    pub users: Vec<User>,
}

impl Team {
    /// The limit in Apple's documentation.
    ///
    /// <https://developer.apple.com/documentation/appstoreconnectapi/identifying-rate-limits>
    pub const HOURLY_LIMIT: u32 = 3500;

    /// `apps` of these bundle IDs, named after them and numbered from 1600000001, each with its
    /// registered bundle ID; for the rest as [`Team::default`].
    #[must_use]
    pub fn with_apps<'a>(bundle_ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut team = Self::default();
        for (number, bundle_id) in (1_600_000_001_u64..).zip(bundle_ids) {
            let name = bundle_id.rsplit('.').next().unwrap_or(bundle_id).to_owned();
            let identifier = bundle_id.to_owned();
            team.bundle_ids.push(BundleId { id: format!("ID{number}"), identifier, name: name.clone() });
            team.apps.push(App { id: number.to_string(), bundle_id: bundle_id.to_owned(), name });
        }
        team
    }
}

impl Default for Team {
    /// An admin's key in a team with nothing in it.
    fn default() -> Self {
        Self {
            role: Role::Admin,
            provisioning: true,
            agreement_missing: false,
            requests_left: Self::HOURLY_LIMIT - 1,
            apps: Vec::new(),
            owner_apps: None,
            bundle_ids: Vec::new(),
            certificates: Vec::new(),
            users: Vec::new(),
        }
    }
}

/// A role that a key can have. Four of Apple's, which differ in what can be asked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May see everything, the users too.
    Admin,
    /// May see apps.
    AppManager,
    /// May see apps.
    Developer,
    /// May see reports, and nothing that is asked here.
    AccessToReports,
}

/// <https://developer.apple.com/documentation/appstoreconnectapi/app>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// The app's Apple ID, digits.
    pub id: String,
    /// Its bundle ID.
    pub bundle_id: String,
    /// Its name.
    pub name: String,
}

/// <https://developer.apple.com/documentation/appstoreconnectapi/bundleid>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleId {
    /// Apple's own ID for it.
    pub id: String,
    /// The bundle ID itself, `*` at its end for a wildcard.
    pub identifier: String,
    /// Its name.
    pub name: String,
}

/// <https://developer.apple.com/documentation/appstoreconnectapi/certificate>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningCertificate {
    /// Apple's own ID for it.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// <https://developer.apple.com/documentation/appstoreconnectapi/user>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Apple's own ID for it.
    pub id: String,
    /// The e-mail address.
    pub username: String,
}

/// One entry of a list: its ID and its attributes.
pub(super) struct Resource {
    pub id: String,
    pub attributes: Vec<(&'static str, Value)>,
}

impl App {
    pub(super) fn resource(&self) -> Resource {
        let attributes = vec![
            ("name", json!(self.name)),
            ("bundleId", json!(self.bundle_id)),
            ("sku", json!(self.bundle_id)),
            ("primaryLocale", json!("en-US")),
        ];
        Resource { id: self.id.clone(), attributes }
    }
}

impl BundleId {
    pub(super) fn resource(&self) -> Resource {
        let attributes = vec![
            ("name", json!(self.name)),
            ("identifier", json!(self.identifier)),
            ("platform", json!("UNIVERSAL")),
            ("seedId", json!("ABCDE12345")),
        ];
        Resource { id: self.id.clone(), attributes }
    }
}

impl SigningCertificate {
    pub(super) fn resource(&self) -> Resource {
        let attributes = vec![
            ("name", json!(self.name)),
            ("displayName", json!(self.name)),
            ("certificateType", json!("DISTRIBUTION")),
            ("platform", json!(null)),
        ];
        Resource { id: self.id.clone(), attributes }
    }
}

impl User {
    pub(super) fn resource(&self) -> Resource {
        let attributes = vec![
            ("username", json!(self.username)),
            ("firstName", json!("Jane")),
            ("lastName", json!("Doe")),
            ("roles", json!(["ADMIN"])),
            ("allAppsVisible", json!(true)),
            ("provisioningAllowed", json!(true)),
        ];
        Resource { id: self.id.clone(), attributes }
    }
}
