//! The Step's inputs: `step.yml` and the environment in, one validated struct out.
//!
//! [`given`] takes their texts, [`fields`] has the type of each, and [`Job::new`] holds them
//! against each other and tells all problems at once.

mod access;
mod address;
mod apple_id;
mod choice;
mod field;
mod fields;
mod identifiers;
mod job;
mod key_location;
mod numbers;
mod phone_number;
mod problems;
mod raw;
mod tools;
mod unfilled;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;

use crate::apple::api_key::{IssuerId, KeyId, KeyKind};
use crate::apple::app_store_connect::Access;
use crate::apple::bundle_id::BundleId;
use crate::apple::team::{ProviderId, TeamId};
use crate::credential::Toggle;
use crate::redact::Text;
use crate::tools::{OutputValue, Tool};

pub(crate) use problems::names;
pub(crate) use raw::RawInputs;
pub(crate) use tools::names as tool_names;

/// What the Step is to do, input `action`.
#[derive(Debug)]
pub(crate) enum Job {
    Export(Box<Config>),
    Remove(RemoveInputs),
}

/// The inputs of `action: remove`.
#[derive(Debug)]
pub(crate) struct RemoveInputs {
    /// `None`: no earlier run left a folder.
    pub credentials_dir: Option<PathBuf>,
}

/// The inputs of `action: export`, checked as far as that needs neither files nor network.
#[derive(Debug)]
pub struct Config {
    pub connection: Toggle,
    pub if_missing: IfMissing,
    /// Where the connection is read; `None` when the toggle is off, or outside of a build.
    pub build: Option<Build>,
    /// The complete credential in the inputs that the toggle lets through.
    pub credential: Option<InputCredential>,
    /// The inputs that it is made of.
    pub source_inputs: Vec<&'static str>,
    /// For a connected Apple ID that has none.
    pub app_password: Option<SecretString>,
    pub sms_default_phone_number: Option<String>,
    /// In the order of the table of tools.
    pub export_for: Vec<&'static Tool>,
    /// Whether the user chose them: the default also names tools that this credential is not for.
    pub export_for_is_chosen: bool,
    /// The lifetime of the token to export, if one is.
    pub export_token: Option<Duration>,
    /// What to ask Apple about the credential; `None`: nothing.
    pub checks: Option<Checks>,
    /// On Apple's developer portal.
    pub team_id: Option<TeamId>,
    /// In App Store Connect.
    pub itc_team_id: Option<ProviderId>,
    /// A session that ends within so many days is warned of; 0: never.
    pub session_expiry_warning_days: i64,
    /// Config that are set, and that the toggle rules out.
    pub ignored: Vec<&'static str>,
    /// Config that only say whose the credential is, while every secret beside them is empty.
    pub without_secrets: Vec<&'static str>,
    /// What is odd about the inputs, and may be meant.
    pub warnings: Vec<Text>,
}

impl Config {
    /// Whether the session of an Apple ID is needed: only where fastlane is to use it.
    #[must_use]
    pub fn needs_session(&self) -> bool {
        let mut outputs = self.export_for.iter().flat_map(|tool| tool.outputs());
        outputs.any(|(_, fact)| fact == OutputValue::SessionCookies)
    }
}

/// Input `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Export,
    Remove,
}

/// Input `if_missing`: what to do when there is no credential at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfMissing {
    Fail,
    Skip,
}

/// Input `verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verify {
    Yes,
    Strict,
    No,
}

/// Input `build_annotation`: when the summary is written on the build's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BuildAnnotation {
    Problems,
    Always,
    Never,
}

/// What to ask Apple about the credential, and whom: inputs `verify`, `bundle_id` and
/// `required_access`.
#[derive(Debug)]
pub struct Checks {
    pub services: Services,
    /// Whether all that leaves the credential unverified is an error.
    pub is_strict: bool,
    /// The app that the credential's team must have.
    pub bundle_id: Option<BundleId>,
    /// What an API key must be allowed to do.
    pub required_access: BTreeSet<Access>,
}

/// Config `build_url` and `build_api_token`.
#[derive(Debug)]
pub struct Build {
    pub location: BuildLocation,
    pub api_token: Option<SecretString>,
}

/// Where the connection is read.
#[derive(Debug)]
pub enum BuildLocation {
    /// The build's page, below which Bitrise serves the connection.
    Url(Url),
    /// A JSON file in the connection's format.
    File(PathBuf),
}

/// Whom to ask about the credential: inputs `app_store_connect_url`,
/// `app_store_connect_enterprise_url` and `apple_session_url`.
#[derive(Debug)]
pub struct Services {
    pub app_store_connect: Url,
    pub app_store_connect_enterprise: Url,
    pub apple_session: Url,
}

#[derive(Debug)]
pub enum InputCredential {
    ApiKey(ApiKeyInputs),
    AppleId(AppleIdInputs),
}

#[derive(Debug)]
pub struct ApiKeyInputs {
    pub key: KeyLocation,
    /// Input `api_key_id`.
    pub id: Option<KeyId>,
    /// The ID in the file name.
    pub id_in_name: Option<KeyId>,
    /// Input `api_issuer`.
    pub issuer: Option<IssuerId>,
    /// Input `api_key_type`.
    pub kind: KeyKind,
    pub enterprise: bool,
}

#[derive(Debug)]
pub struct AppleIdInputs {
    pub email: SecretString,
    pub password: Option<SecretString>,
    pub app_password: Option<SecretString>,
    /// What was pasted, not yet read.
    pub fastlane_session: Option<SecretString>,
}

/// Where the private key is.
#[derive(Debug)]
pub enum KeyLocation {
    Url(Url),
    File(PathBuf),
    Text(SecretString),
}
