//! Which names are exported, for whom, with what value: a table.

use secrecy::{ExposeSecret as _, SecretString};

use crate::apple::api_key::ApiKey;
use crate::apple::session::Session;
use crate::bitrise::envstore::Entry;
use crate::clock;
use crate::credential::{AppleId, Credential, Found, Source};
use crate::files::{ApiKeyFiles, Files};

/// Everything that an output's value can be made of.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub found: Option<&'a Found>,
    pub files: &'a Files,
    pub sms_default_phone_number: Option<&'a str>,
}

/// One row: a name that later Steps see, and what it says.
pub struct Output {
    pub name: &'static str,
    value: Value,
}

/// How to get a value, where it applies to this run. What is secret by type is redacted by the
/// Bitrise CLI in later Steps' logs, and nothing else: a redacted `false` makes logs unreadable.
enum Value {
    Plain(fn(Run<'_>) -> Option<String>),
    Secret(fn(Run<'_>) -> Option<SecretString>),
}

const fn plain(name: &'static str, value: fn(Run<'_>) -> Option<String>) -> Output {
    Output { name, value: Value::Plain(value) }
}

const fn secret(name: &'static str, value: fn(Run<'_>) -> Option<SecretString>) -> Output {
    Output { name, value: Value::Secret(value) }
}

/// All outputs, in the order of `step.yml`.
pub const TABLE: &[Output] = &[
    plain("APPLE_AUTH_METHOD", |run| Some(method(run).to_owned())),
    plain("APPLE_AUTH_SOURCE", |run| Some(source(run).to_owned())),
    plain("APPLE_API_KEY_PATH", key_path),
    plain("APPLE_API_KEY_URL", key_url),
    plain("APPLE_API_KEY_ID", key_id),
    plain("APPLE_API_ISSUER", issuer_id),
    plain("APPLE_API_KEY_ENTERPRISE", |run| enterprise(run, "yes", "no")),
    plain("API_PRIVATE_KEYS_DIR", key_folder),
    plain("APP_STORE_CONNECT_API_KEY_PATH", fastlane_json_path),
    plain("APP_STORE_CONNECT_API_KEY_KEY_ID", key_id),
    plain("APP_STORE_CONNECT_API_KEY_ISSUER_ID", issuer_id),
    plain("APP_STORE_CONNECT_API_KEY_KEY_FILEPATH", key_path),
    plain("APP_STORE_CONNECT_API_KEY_IN_HOUSE", |run| enterprise(run, "true", "false")),
    plain("PRECHECK_INCLUDE_IN_APP_PURCHASES", |run| run.key().map(|_| "false".to_owned())),
    plain("FASTLANE_USER", |run| Some(run.apple_id()?.email.expose_secret().to_owned())),
    secret("FASTLANE_PASSWORD", |run| run.apple_id()?.password.clone()),
    secret("FASTLANE_SESSION", |run| Some(run.session()?.to_fastlane())),
    secret("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD", |run| run.apple_id()?.app_password.clone()),
    plain("SPACESHIP_SKIP_2FA_UPGRADE", |run| run.apple_id().map(|_| "1".to_owned())),
    plain("SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER", |run| run.sms_default_phone_number.map(str::to_owned)),
    plain("APPLE_SESSION_EXPIRES_AT", |run| clock::rfc3339(run.session()?.expires_at?)),
];

fn method(run: Run<'_>) -> &'static str {
    match run.found.map(|found| &found.credential) {
        Some(Credential::ApiKey(_)) => "api_key",
        Some(Credential::AppleId(_)) => "apple_id",
        None => "none",
    }
}

fn source(run: Run<'_>) -> &'static str {
    match run.found.map(|found| found.source) {
        Some(Source::Connection) => "connection",
        Some(Source::Inputs) => "inputs",
        None => "none",
    }
}

fn key_id(run: Run<'_>) -> Option<String> {
    Some(run.key()?.id.to_string())
}

fn issuer_id(run: Run<'_>) -> Option<String> {
    Some(run.key()?.issuer.to_string())
}

fn enterprise(run: Run<'_>, yes: &str, no: &str) -> Option<String> {
    Some(if run.key()?.enterprise { yes } else { no }.to_owned())
}

fn key_path(run: Run<'_>) -> Option<String> {
    Some(run.key_files()?.private_key.clone())
}

fn key_url(run: Run<'_>) -> Option<String> {
    Some(run.key_files()?.private_key_url.clone())
}

fn key_folder(run: Run<'_>) -> Option<String> {
    Some(run.key_files()?.folder.clone())
}

fn fastlane_json_path(run: Run<'_>) -> Option<String> {
    Some(run.key_files()?.fastlane_json.clone())
}

impl<'a> Run<'a> {
    fn key(self) -> Option<&'a ApiKey> {
        match &self.found?.credential {
            Credential::ApiKey(key) => Some(key),
            Credential::AppleId(_) => None,
        }
    }

    fn key_files(self) -> Option<&'a ApiKeyFiles> {
        self.files.api_key.as_ref()
    }

    fn apple_id(self) -> Option<&'a AppleId> {
        match &self.found?.credential {
            Credential::AppleId(apple_id) => Some(apple_id),
            Credential::ApiKey(_) => None,
        }
    }

    fn session(self) -> Option<&'a Session> {
        self.apple_id()?.session.as_ref()
    }
}

impl Output {
    /// Whether the Bitrise CLI redacts it in later Steps' logs.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        matches!(self.value, Value::Secret(_))
    }

    fn entry(&self, run: Run<'_>) -> Option<Entry> {
        let value = match self.value {
            Value::Plain(value) => value(run)?.into(),
            Value::Secret(value) => value(run)?,
        };
        Some(Entry { key: self.name, value, is_sensitive: self.is_sensitive() })
    }
}

/// A value that no environment variable can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "The value for {0} holds a NUL character, which no environment variable can carry: set it again, on Bitrise or in the inputs."
)]
pub struct NulInValue(&'static str);

/// The outputs that apply to this run, with their values.
///
/// # Errors
/// [`NulInValue`], which would keep every later Step from starting.
pub fn entries(run: Run<'_>) -> Result<Vec<Entry>, NulInValue> {
    let entries = TABLE.iter().filter_map(|output| output.entry(run));
    entries
        .map(|entry| {
            let holds_nul = entry.value.expose_secret().contains('\0');
            if holds_nul { Err(NulInValue(entry.key)) } else { Ok(entry) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitrise::step_yml::StepYml;

    #[test]
    fn step_yml_declares_exactly_the_outputs_of_the_table_in_its_order() -> Result<(), serde_yaml::Error> {
        let step_yml = StepYml::embedded()?;
        let declared: Vec<_> = step_yml.outputs().map(|output| (output.name, output.is_sensitive)).collect();
        let exported: Vec<_> = TABLE.iter().map(|output| (output.name, output.is_sensitive())).collect();
        assert_eq!(declared, exported);
        Ok(())
    }
}
