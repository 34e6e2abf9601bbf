//! The content of a team, and what its key can see.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Behaviour;

/// A team on App Store Connect or in the Enterprise Program, and what the account's key can see in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Team {
    /// The role of the key, or of the owner of an individual key.
    pub role: Role,
    /// Whether the role includes access to certificates, identifiers and profiles. An admin always has it, an
    /// individual key never.
    pub provisioning: bool,
    /// Whether the Account Holder must accept an agreement. Every list then responds with 403.
    pub agreement_missing: bool,
    /// The requests left in this hour, out of [`Team::HOURLY_LIMIT`]. With 0, every request gets 429.
    pub requests_left: u32,
    /// The apps.
    pub apps: Vec<App>,
    /// The bundle IDs of the apps that the owner of an individual key can see; `None` for all. A team key
    /// sees all apps.
    pub owner_apps: Option<Vec<String>>,
    /// The bundle IDs, with or without an app.
    pub bundle_ids: Vec<BundleId>,
    /// The certificates.
    pub certificates: Vec<SigningCertificate>,
    /// The users.
    pub users: Vec<User>,
    /// A behaviour for every request to a list, by its path (`v1/certificates`). [`Account::behaviours`] take
    /// precedence.
    ///
    /// [`Account::behaviours`]: crate::Account::behaviours
    pub behaviours_by_path: BTreeMap<String, Behaviour>,
}

impl Team {
    /// The limit of requests per hour in Apple's documentation.
    ///
    /// <https://developer.apple.com/documentation/appstoreconnectapi/identifying-rate-limits>
    pub const HOURLY_LIMIT: u32 = 3500;

    /// A team whose apps have these bundle IDs, which are registered too. The apps are named after them, and have IDs
    /// from 1600000001. Otherwise like [`Team::default`].
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

    /// Adds one certificate of the type `DISTRIBUTION` for each of these expiration dates.
    #[must_use]
    pub fn with_distribution_certificates<'a>(mut self, dates: impl IntoIterator<Item = &'a str>) -> Self {
        for (number, date) in (1..).zip(dates) {
            self.certificates.push(SigningCertificate {
                id: format!("CERT{number:06}"),
                expiration_date: Some(date.to_owned()),
                ..SigningCertificate::default()
            });
        }
        self
    }

    /// Adds a behaviour for every request to the list at this path, such as `v1/certificates`.
    #[must_use]
    pub fn with_behaviour_at(mut self, path: &str, behaviour: Behaviour) -> Self {
        self.behaviours_by_path.insert(path.to_owned(), behaviour);
        self
    }
}

impl Default for Team {
    /// An admin's key in an empty team.
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
            behaviours_by_path: BTreeMap::new(),
        }
    }
}

/// The role of a key, and what a team key with this role sees. Apple has more roles than these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees every list.
    Admin,
    /// Sees apps; with [`Team::provisioning`], also bundle IDs and certificates.
    AppManager,
    /// Sees the same lists as an app manager.
    Developer,
    /// Sees no list.
    AccessToReports,
}

/// An app: <https://developer.apple.com/documentation/appstoreconnectapi/app>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// The app's Apple ID, a number.
    pub id: String,
    /// The app's bundle ID.
    pub bundle_id: String,
    /// Its name.
    pub name: String,
}

/// A bundle ID: <https://developer.apple.com/documentation/appstoreconnectapi/bundleid>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleId {
    /// Apple's ID for the bundle ID.
    pub id: String,
    /// The bundle ID itself. A wildcard ends with `*`.
    pub identifier: String,
    /// Its name.
    pub name: String,
}

/// A certificate: <https://developer.apple.com/documentation/appstoreconnectapi/certificate>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigningCertificate {
    /// Apple's ID for the certificate.
    pub id: String,
    /// Its name.
    pub name: String,
    /// One of Apple's types, such as `DISTRIBUTION`.
    pub certificate_type: String,
    /// Sent unchanged. Recorded responses of Apple have `2020-02-12T13:17:50.000+0000`, which is not RFC 3339
    /// (`certificate.json` in `codemagic-ci-cd/cli-tools`, `certificates.json` in fastlane's spaceship).
    pub expiration_date: Option<String>,
}

impl Default for SigningCertificate {
    /// A distribution certificate of Example Ltd, without an expiration date.
    fn default() -> Self {
        Self {
            id: "CERT000000".to_owned(),
            name: "Apple Distribution: Example Ltd (ABCDE12345)".to_owned(),
            certificate_type: "DISTRIBUTION".to_owned(),
            expiration_date: None,
        }
    }
}

/// A user: <https://developer.apple.com/documentation/appstoreconnectapi/user>
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Apple's ID for the user.
    pub id: String,
    /// The e-mail address.
    pub username: String,
}

/// An entry of a list.
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
            ("certificateType", json!(self.certificate_type)),
            ("expirationDate", json!(self.expiration_date)),
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
