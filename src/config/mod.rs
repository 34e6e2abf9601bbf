//! The Step's inputs: reads `step.yml` and the environment into one validated [`Config`].
//!
//! [`raw`] reads each input from the environment, or its default from `step.yml`, [`values`] parses each input on
//! its own, and [`validate`] checks the inputs against each other. All problems are reported at once.

mod arguments;
mod key_location;
mod problems;
mod raw;
mod validate;
mod values;

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
use crate::credential::{AppleId, ConnectionMode};
use crate::redact::Text;
use crate::tools::{OutputPrefix, OutputValue, Tool};

pub use arguments::env_from_arguments;
pub(crate) use key_location::KeyLocation;
pub(crate) use problems::{fail_with_all, quote_names};
pub(crate) use raw::RawInputs;
pub(crate) use validate::{INDIVIDUAL_KEY_NAME_PROBLEM, INDIVIDUAL_KEY_NAME_WARNING, MISSING_ISSUER_PROBLEM};

/// What the run does: the value of input `action`, with its settings.
#[derive(Debug)]
pub(crate) enum Job {
    /// For `export` and `check`.
    Export(Box<Config>),
    Remove(RemoveConfig),
}

/// Configures `action: remove`.
#[derive(Debug)]
pub(crate) struct RemoveConfig {
    /// The folder of the earlier run, if it left one.
    pub credentials_dir: Option<PathBuf>,
    pub output_prefix: OutputPrefix,
}

/// Configures `action: export` and `action: check`. Validated as far as possible without reading files and
/// without the network.
#[derive(Debug)]
pub struct Config {
    /// Whether to export only the result of the checks, and no credential.
    pub is_check: bool,
    pub connection: ConnectionMode,
    pub if_missing: IfMissing,
    /// Where to read the connection; `None` if `connection` is off, and outside a build.
    pub build_url: Option<BuildLocation>,
    pub build_api_token: Option<SecretString>,
    /// The complete credential in the inputs, if `connection` allows it.
    pub credential: Option<InputCredential>,
    /// Input `app_password`, used if the connected Apple ID has no app-specific password.
    pub app_password: Option<SecretString>,
    /// The team in App Store Connect.
    pub itc_team_id: Option<ProviderId>,
    /// `None` with `verify: no`.
    pub checks: Option<Checks>,
    pub outputs: OutputsConfig,
    pub notes: Notes,
}

impl Config {
    /// Whether a tool uses the session of an Apple ID.
    pub fn needs_session(&self) -> bool {
        let mut outputs = self.outputs.tools.iter().flat_map(|tool| tool.outputs());
        outputs.any(|(_, value)| value == OutputValue::SessionCookies)
    }
}

#[derive(Debug)]
pub struct OutputsConfig {
    /// In the order of the table of tools.
    pub tools: Vec<&'static Tool>,
    pub prefix: OutputPrefix,
    /// The lifetime of the exported token; `None` to export no token.
    pub token_lifetime: Option<Duration>,
    /// The team on Apple's developer portal.
    pub team_id: Option<TeamId>,
    pub sms_default_phone_number: Option<String>,
}

/// Facts about the inputs that only the log and the errors use.
#[derive(Debug)]
pub struct Notes {
    /// Inputs that are set although `connection` excludes them.
    pub ignored: Vec<&'static str>,
    /// The inputs that are set and belong to a credential.
    pub credential_inputs: Vec<&'static str>,
    /// Whether `export_for` differs from its default, which lists tools for every kind of credential.
    pub tools_are_chosen: bool,
    /// Warn about a session that ends within this many days; 0 to never warn.
    pub session_expiry_warning_days: i64,
    /// Warns about a valid input that looks like a mistake.
    pub warning: Option<Text>,
}

/// Input `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Export,
    Check,
    Remove,
}

/// Input `if_missing`: what to do if there is no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfMissing {
    Fail,
    Skip,
}

/// Input `verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verify {
    Yes,
    Strict,
    No,
}

/// Input `build_annotation`: when to write the summary on the build's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BuildAnnotation {
    Problems,
    Always,
    Never,
}

/// How to verify the credential: inputs `verify`, `bundle_id` and `required_access`.
#[derive(Debug)]
pub struct Checks {
    pub services: Services,
    /// Whether a credential that can't be verified is an error.
    pub is_strict: bool,
    /// The app that the credential's team must have.
    pub bundle_id: Option<BundleId>,
    /// What an API key must be allowed to do.
    pub required_access: BTreeSet<Access>,
}

/// Where to read the connection.
#[derive(Debug)]
pub enum BuildLocation {
    /// The URL of the build's page, below which Bitrise serves the connection.
    Url(Url),
    /// A JSON file in the connection's format.
    File(PathBuf),
}

/// Apple's services: inputs `app_store_connect_url`, `app_store_connect_enterprise_url` and
/// `apple_session_url`.
#[derive(Debug)]
pub struct Services {
    pub app_store_connect: Url,
    pub app_store_connect_enterprise: Url,
    pub apple_session: Url,
}

#[derive(Debug)]
pub enum InputCredential {
    ApiKey(ApiKeyInputs),
    AppleId {
        /// Without its session.
        apple_id: AppleId,
        /// As pasted, not yet parsed.
        fastlane_session: Option<SecretString>,
    },
}

#[derive(Debug)]
pub struct ApiKeyInputs {
    /// Input `api_key_path`.
    pub location: KeyLocation,
    /// Input `api_key_id`.
    pub id: Option<KeyId>,
    /// Input `api_issuer`.
    pub issuer: Option<IssuerId>,
    /// Input `api_key_type`.
    pub kind: KeyKind,
    pub is_enterprise: bool,
}
