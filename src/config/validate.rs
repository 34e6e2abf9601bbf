//! Checks the inputs against each other.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::key_location::KeyLocation;
use super::problems::{Problems, quote_names};
use super::raw::{Fields, RawInputs};
use super::values::variable_name;
use super::{
    Action, ApiKeyInputs, BuildLocation, Checks, Config, InputCredential, Job, Notes, OutputsConfig,
    RemoveConfig, Services, Verify,
};
use crate::apple::api_key::{KeyFileName, KeyKind};
use crate::credential::{AppleId, ConnectionMode, Source};
use crate::env::Env;
use crate::redact::{Text, text};

impl Job {
    /// Checks the inputs.
    ///
    /// # Errors
    /// All [`Problems`] at once.
    pub(crate) fn new(inputs: RawInputs, env: &Env) -> Result<Self, Problems> {
        let RawInputs { mut fields, mut problems, lines, .. } = inputs;
        let changed: Vec<_> = lines.iter().filter(|line| line.is_changed).map(|line| line.name).collect();
        let job = match fields.action {
            Action::Export | Action::Check => {
                Self::Export(Box::new(fields.into_config(&changed, &mut problems)))
            }
            Action::Remove => {
                // A problem with an input that removal doesn't use must not keep credentials on a machine.
                problems.retain_about(&["credentials_dir", "output_prefix"]);
                let output_prefix = fields.output_prefix.take(&mut problems).unwrap_or_default();
                // With an output prefix, `credentials_dir` defaults to the output of a run with that prefix.
                let credentials_dir = if output_prefix.is_empty() || changed.contains(&"credentials_dir") {
                    fields.credentials_dir.take(&mut problems)
                } else {
                    output_prefix.variable("APPLE_CREDENTIALS_DIR", env).map(Into::into)
                };
                Self::Remove(RemoveConfig { credentials_dir, output_prefix })
            }
        };
        if problems.is_empty() { Ok(job) } else { Err(problems) }
    }
}

/// The inputs of each kind of credential. None of them has a default, so the changed ones are those that are set.
const API_KEY_INPUTS: &[&str] = &["api_key_path", "api_key_id", "api_issuer"];
const APPLE_ID_INPUTS: &[&str] = &["apple_id", "password", "app_password", "fastlane_session"];

/// Without one of these, the inputs hold no credential.
const SECRET_INPUTS: &[&str] = &["api_key_path", "password", "app_password", "fastlane_session"];

/// The inputs in `names` that are changed, that is, differ from their defaults.
fn changed_among(names: &[&str], changed: &[&'static str]) -> Vec<&'static str> {
    changed.iter().copied().filter(|name| names.contains(name)).collect()
}

/// The inputs of a credential that are set although `connection` excludes them.
fn ignored_inputs(changed: &[&'static str], connection: ConnectionMode) -> Vec<&'static str> {
    let choices = &["api_key_type", "api_key_enterprise_account"];
    let mut ignored = changed_among(&[API_KEY_INPUTS, choices, APPLE_ID_INPUTS].concat(), changed);
    // With `connection: apple_id`, `app_password` is not ignored: it can complete the connected Apple ID.
    ignored.retain(|name| connection != ConnectionMode::AppleId || *name != "app_password");
    ignored
}

/// Warns about a team key in a file with the name of an individual key.
pub(crate) const INDIVIDUAL_KEY_NAME_WARNING: &str = "The file in `api_key_path` is named ApiKey_<ID>.p8, like individual keys, but `api_key_type` is team. If Apple rejects the key, set `api_key_type` to individual and clear `api_issuer`.";

/// The problem with an empty `api_issuer`. Completes "`api_issuer` …".
pub(crate) const MISSING_ISSUER_PROBLEM: &str = "is empty (or its variable is empty or misspelled): set it to the issuer ID, the UUID above the list of keys in App Store Connect > Users and Access > Integrations";

/// The problem with an empty `api_issuer` if the file has the name of an individual key. Completes
/// "`api_issuer` …".
pub(crate) const INDIVIDUAL_KEY_NAME_PROBLEM: &str = "is empty, and ApiKey_<ID>.p8 is the name of an individual key: set `api_key_type` to individual, or `api_issuer` to the issuer ID of a team key";

/// Warns about a valid input that looks like a mistake.
fn warning_about(credential: &InputCredential) -> Option<Text> {
    match credential {
        InputCredential::ApiKey(key) => (key.kind == KeyKind::Team && key.location.is_named_individual())
            .then(|| text!("{}", INDIVIDUAL_KEY_NAME_WARNING)),
        InputCredential::AppleId { apple_id, .. } => {
            let password = apple_id.password.as_ref()?;
            variable_name(password.expose_secret()).map(|_| text!("`password` looks like an unexpanded variable (it begins with $). If it should be a variable, check that it is spelled correctly and set in this workflow."))
        }
    }
}

impl Fields {
    fn into_config(mut self, changed: &[&'static str], problems: &mut Problems) -> Config {
        let connection = self.connection;
        let uses_inputs = connection.uses(Source::Inputs);
        let build_url =
            if connection.uses(Source::Connection) { self.take_build_url(problems) } else { None };
        let build_api_token = build_url.as_ref().and_then(|_| self.build_api_token.take(problems));
        let credential = if uses_inputs { self.take_credential(changed, problems) } else { None };
        Config {
            is_check: self.action == Action::Check,
            connection,
            if_missing: self.if_missing,
            build_url,
            build_api_token,
            app_password: (connection == ConnectionMode::AppleId)
                .then(|| self.app_password.take(problems))
                .flatten(),
            outputs: OutputsConfig {
                sms_default_phone_number: self.sms_default_phone_number.take(problems),
                tools: self.export_for.require(problems).unwrap_or_default(),
                prefix: self.output_prefix.take(problems).unwrap_or_default(),
                // Inputs that the run doesn't use are not checked.
                token_lifetime: self
                    .export_token
                    .then(|| self.token_lifetime_seconds.require(problems))
                    .flatten()
                    .map(Duration::from_secs),
                team_id: self.team_id.take(problems),
            },
            checks: self.take_checks(changed, problems),
            itc_team_id: self.itc_team_id.take(problems),
            notes: Notes {
                ignored: if uses_inputs { Vec::new() } else { ignored_inputs(changed, connection) },
                credential_inputs: changed_among(&[API_KEY_INPUTS, APPLE_ID_INPUTS].concat(), changed),
                tools_are_chosen: changed.contains(&"export_for"),
                session_expiry_warning_days: self
                    .session_expiry_warning_days
                    .require(problems)
                    .unwrap_or_default()
                    .cast_signed(),
                warning: credential.as_ref().and_then(warning_about),
            },
            credential,
        }
    }

    /// Returns `None` if only identifiers are set, as in a pull-request build, which can't see Secrets.
    fn take_credential(
        &mut self,
        changed: &[&'static str],
        problems: &mut Problems,
    ) -> Option<InputCredential> {
        if changed_among(SECRET_INPUTS, changed).is_empty() {
            return None;
        }
        let api_key_inputs = changed_among(API_KEY_INPUTS, changed);
        let apple_id_inputs = changed_among(APPLE_ID_INPUTS, changed);
        if !api_key_inputs.is_empty() && !apple_id_inputs.is_empty() {
            problems.add_conflict(text!(
                "The inputs contain both an API key ({}) and an Apple ID ({}): clear one of the two groups.",
                quote_names(&api_key_inputs),
                quote_names(&apple_id_inputs)
            ));
        }
        let api_key = if api_key_inputs.is_empty() { None } else { self.take_api_key(problems) };
        let apple_id =
            if apple_id_inputs.is_empty() { None } else { self.take_apple_id(&apple_id_inputs, problems) };
        api_key.or(apple_id)
    }

    fn take_api_key(&mut self, problems: &mut Problems) -> Option<InputCredential> {
        if !self.api_key_path.is_set() {
            problems
                .add("api_key_path", "is empty (or its variable is empty or misspelled): set it to the path, URL or text of AuthKey_<ID>.p8");
        }
        let location = self.api_key_path.take(problems);
        let file_name = location.as_ref().and_then(KeyLocation::file_name);
        if file_name == Some(KeyFileName::InAppPurchase) {
            problems.add("api_key_path", "The file in `api_key_path` is named SubscriptionKey_<ID>.p8, so it is an In-App Purchase key, which the App Store Connect API rejects: create a key in Users and Access > Integrations > App Store Connect API.");
        }
        let may_hold_ids = location.as_ref().is_some_and(KeyLocation::may_hold_ids);
        if location.is_some() && !may_hold_ids && file_name.is_none() && !self.api_key_id.is_set() {
            problems.add("api_key_id", "is empty (or its variable is empty or misspelled), and the file name in `api_key_path` is not AuthKey_<ID>.p8: set `api_key_id` to the key ID");
        }
        let is_named_individual = location.as_ref().is_some_and(KeyLocation::is_named_individual);
        match (self.api_key_type, self.api_issuer.is_set()) {
            (KeyKind::Individual, true) => problems.add(
                "api_issuer",
                "is set, but an individual key has no issuer: clear it, or set `api_key_type` to team",
            ),
            (KeyKind::Team, false) if is_named_individual => {
                problems.add("api_issuer", INDIVIDUAL_KEY_NAME_PROBLEM);
            }
            (KeyKind::Team, false) if !may_hold_ids => problems.add("api_issuer", MISSING_ISSUER_PROBLEM),
            _ => {}
        }
        let id = self.api_key_id.take(problems);
        let issuer = self.api_issuer.take(problems);
        let is_enterprise = self.api_key_enterprise_account;
        let inputs = ApiKeyInputs { location: location?, id, issuer, kind: self.api_key_type, is_enterprise };
        Some(InputCredential::ApiKey(inputs))
    }

    /// An Apple ID needs an e-mail address and a password or session. `inputs` are its inputs that are set.
    fn take_apple_id(&mut self, inputs: &[&'static str], problems: &mut Problems) -> Option<InputCredential> {
        if !self.apple_id.is_set() {
            let names = quote_names(inputs);
            let verb = if inputs.len() == 1 { "needs" } else { "need" };
            problems.add("apple_id", if inputs == ["app_password"] {
                text!("is empty (or its variable is empty or misspelled), but {} {} it: set it to the e-mail address of the Apple ID, or, to add the password to the connected Apple ID, set `connection` to apple_id", names, verb)
            } else {
                text!("is empty (or its variable is empty or misspelled), but {} {} it: set it to the e-mail address of the Apple ID", names, verb)
            });
        }
        if inputs == ["apple_id"] {
            problems.add(
                "apple_id",
                "alone cannot log in: set one of `password`, `fastlane_session`, `app_password`",
            );
        }
        let email = self.apple_id.take(problems);
        let password = self.password.take(problems);
        let app_password = self.app_password.take(problems);
        let fastlane_session = self.fastlane_session.take(problems);
        let apple_id = AppleId { email: email?, password, app_password, session: None };
        Some(InputCredential::AppleId { apple_id, fastlane_session })
    }

    fn take_build_url(&mut self, problems: &mut Problems) -> Option<BuildLocation> {
        if !self.build_url.is_set() && self.connection != ConnectionMode::Automatic {
            problems.add("build_url", text!("is empty, but `connection: {}` needs it to read the Apple service connection: run on Bitrise, or set `connection` to off and provide the credential in the inputs", self.connection.name()));
        }
        self.build_url.take(problems)
    }

    /// With `verify: no`, an input that asks for a check is a problem: the Step never skips a check silently.
    fn take_checks(&mut self, changed: &[&'static str], problems: &mut Problems) -> Option<Checks> {
        let bundle_id = self.bundle_id.take(problems);
        let required_access = self.required_access.take(problems).unwrap_or_default();
        if self.verify == Verify::No {
            for input in changed_among(&["bundle_id", "required_access"], changed) {
                problems.add(
                    input,
                    text!("is set, but `verify` is no, which turns the check off: set `verify` to yes, or clear `{}`", input),
                );
            }
            if self.action == Action::Check {
                problems.add("verify", "is no, but `action` is check: set `verify` to yes");
            }
            return None;
        }
        let app_store_connect = self.app_store_connect_url.require(problems);
        let enterprise = self.app_store_connect_enterprise_url.require(problems);
        let session = self.apple_session_url.require(problems);
        let services = Services {
            app_store_connect: app_store_connect?,
            app_store_connect_enterprise: enterprise?,
            apple_session: session?,
        };
        Some(Checks { services, is_strict: self.verify == Verify::Strict, bundle_id, required_access })
    }
}
