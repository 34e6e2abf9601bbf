//! Holds the inputs against each other.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;

use super::address::TypedBuildLocation;
use super::fields::Fields;
use super::key_location::TypedLocation;
use super::problems::{Problems, names};
use super::raw::RawInputs;
use super::unfilled;
use super::{
    Action, ApiKeyInputs, AppleIdInputs, Build, BuildLocation, Checks, Config, InputCredential, Job,
    KeyLocation, RemoveInputs, Services, Verify,
};
use crate::apple::api_key::{KeyFileName, KeyKind};
use crate::credential::{Source, Toggle};
use crate::env::Env;
use crate::redact::Text;
use crate::redact::text;

impl Job {
    /// Understands and checks the inputs.
    ///
    /// # Errors
    /// [`Problems`], all of them at once.
    pub(crate) fn new(given: RawInputs, env: &Env) -> Result<Self, Problems> {
        let RawInputs { mut fields, mut problems, changed, .. } = given;
        let job = match fields.action {
            Action::Remove => {
                // What other inputs hold must not keep credentials on a machine.
                problems.retain_about("credentials_dir");
                let folder = fields.credentials_dir.take("credentials_dir", &mut problems);
                Self::Remove(RemoveInputs { credentials_dir: folder.map(|folder| folder.0.expand(env)) })
            }
            Action::Export => Self::Export(Box::new(fields.export(&changed, env, &mut problems))),
        };
        if problems.is_empty() { Ok(job) } else { Err(problems) }
    }
}

/// The inputs that can make a credential, by what they are for.
#[derive(Default)]
struct Groups {
    /// What only says whose it is.
    key_identifiers: Vec<&'static str>,
    key_secrets: Vec<&'static str>,
    apple_id_identifiers: Vec<&'static str>,
    /// What logs in.
    apple_id_secrets: Vec<&'static str>,
}

impl Groups {
    fn of(fields: &Fields) -> Self {
        let set = |group: &[(&'static str, bool)]| {
            group.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect()
        };
        Self {
            key_identifiers: set(&[
                ("api_key_id", fields.api_key_id.is_set()),
                ("api_issuer", fields.api_issuer.is_set()),
            ]),
            key_secrets: set(&[("api_key_path", fields.api_key_path.is_set())]),
            apple_id_identifiers: set(&[("apple_id", fields.apple_id.is_set())]),
            apple_id_secrets: set(&[
                ("password", fields.password.is_set()),
                ("app_password", fields.app_password.is_set()),
                ("fastlane_session", fields.fastlane_session.is_set()),
            ]),
        }
    }

    fn api_key(&self) -> Vec<&'static str> {
        [self.key_secrets.as_slice(), &self.key_identifiers].concat()
    }

    fn apple_id(&self) -> Vec<&'static str> {
        [self.apple_id_identifiers.as_slice(), &self.apple_id_secrets].concat()
    }

    fn has_secret(&self) -> bool {
        !self.key_secrets.is_empty() || !self.apple_id_secrets.is_empty()
    }
}

impl Fields {
    fn export(mut self, changed: &BTreeSet<&'static str>, env: &Env, problems: &mut Problems) -> Config {
        let connection = self.connection;
        let groups = Groups::of(&self);
        let uses_inputs = connection.uses(Source::Config);
        let mut warnings = Vec::new();
        Config {
            connection,
            if_missing: self.if_missing,
            ignored: if uses_inputs { Vec::new() } else { self.ignored(&groups, changed) },
            without_secrets: if uses_inputs && !groups.has_secret() {
                [groups.api_key(), groups.apple_id()].concat()
            } else {
                Vec::new()
            },
            build: if connection.uses(Source::Connection) { self.build(env, problems) } else { None },
            credential: if uses_inputs && groups.has_secret() {
                self.credential(&groups, env, problems, &mut warnings)
            } else {
                None
            },
            source_inputs: [groups.api_key(), groups.apple_id()].concat(),
            app_password: if connection == Toggle::AppleId {
                self.app_password.take("app_password", problems).map(|password| password.0)
            } else {
                None
            },
            sms_default_phone_number: self
                .sms_default_phone_number
                .take("sms_default_phone_number", problems)
                .map(|number| number.0),
            export_for: self
                .export_for
                .require("export_for", problems)
                .map_or_else(Vec::new, |tools| tools.0),
            export_for_is_chosen: changed.contains("export_for"),
            // What is not used is not checked.
            export_token: if self.export_token {
                self.token_lifetime_seconds.require("token_lifetime_seconds", problems).map(|time| time.0)
            } else {
                None
            },
            checks: self.checks(problems),
            team_id: self.team_id.take("team_id", problems),
            itc_team_id: self.itc_team_id.take("itc_team_id", problems),
            session_expiry_warning_days: self
                .session_expiry_warning_days
                .require("session_expiry_warning_days", problems)
                .map_or(0, |days| days.0),
            warnings,
        }
    }

    /// What is set although the toggle rules it out.
    fn ignored(&self, groups: &Groups, changed: &BTreeSet<&'static str>) -> Vec<&'static str> {
        let choices = ["api_key_type", "api_key_enterprise_account"];
        let fills_in = |name: &str| self.connection == Toggle::AppleId && name == "app_password";
        let mut ignored = groups.api_key();
        ignored.extend(choices.into_iter().filter(|name| changed.contains(name)));
        ignored.extend(groups.apple_id().into_iter().filter(|name| !fills_in(name)));
        ignored
    }

    fn credential(
        &mut self,
        groups: &Groups,
        env: &Env,
        problems: &mut Problems,
        warnings: &mut Vec<Text>,
    ) -> Option<InputCredential> {
        let (of_key, of_apple_id) = (groups.api_key(), groups.apple_id());
        if !of_key.is_empty() && !of_apple_id.is_empty() {
            let all = [of_key.as_slice(), &of_apple_id].concat();
            problems.add_to_all(
                all,
                text!(
                    "The inputs hold both an API key ({}) and an Apple ID ({}): clear one of the two groups",
                    names(&of_key),
                    names(&of_apple_id)
                ),
            );
        }
        let api_key = if of_key.is_empty() { None } else { self.api_key(env, problems, warnings) };
        let apple_id = if of_apple_id.is_empty() { None } else { self.apple_id(groups, problems, warnings) };
        api_key.map(InputCredential::ApiKey).or(apple_id.map(InputCredential::AppleId))
    }

    fn api_key(
        &mut self,
        env: &Env,
        problems: &mut Problems,
        warnings: &mut Vec<Text>,
    ) -> Option<ApiKeyInputs> {
        if !self.api_key_path.is_set() {
            problems
                .add("api_key_path", text!("is empty, or the variable in it is empty or misspelled: set it to the path, URL or text of AuthKey_<ID>.p8"));
        }
        let location = self.api_key_path.take("api_key_path", problems);
        let file_name = location.as_ref().and_then(TypedLocation::file_name);
        if file_name == Some(KeyFileName::InAppPurchase) {
            problems.add("api_key_path", text!("is named SubscriptionKey_<ID>.p8, so it is an In-App Purchase key, which App Store Connect's API refuses: make a key under Users and Access > Integrations > App Store Connect API"));
        }
        let id_in_name = file_name.as_ref().and_then(KeyFileName::key_id).cloned();
        // What the content may still say is no problem yet.
        let may_hold_id = |location: &TypedLocation| location.may_be_json() || location.may_be_folder();
        if location.as_ref().is_some_and(|location| !may_hold_id(location))
            && file_name.is_none()
            && !self.api_key_id.is_set()
        {
            problems.add("api_key_id", text!("is empty, or the variable in it is empty or misspelled, and the name in `api_key_path` is not AuthKey_<ID>.p8: set `api_key_id` to the key ID"));
        }
        let is_named_individual =
            matches!(file_name, Some(KeyFileName::Api { kind: KeyKind::Individual, .. }));
        let is_individual = self.api_key_type == KeyKind::Individual;
        match self.api_issuer.is_set() {
            true if is_individual => problems.add(
                "api_issuer",
                text!("is set, but an individual key has no issuer: clear it, or set `api_key_type` to team"),
            ),
            true if is_named_individual => warnings.push(text!(
                "The file in `api_key_path` is named ApiKey_<ID>.p8, as individual keys are, but `api_key_type` is team. If Apple refuses the key, set `api_key_type` to individual and clear `api_issuer`."
            )),
            false if !is_individual && is_named_individual => problems.add(
                "api_issuer",
                text!("is empty, and ApiKey_<ID>.p8 is the name of an individual key: set `api_key_type` to individual, or `api_issuer` to the issuer ID of a team's key"),
            ),
            false if !is_individual && !location.as_ref().is_some_and(TypedLocation::may_be_json) => problems.add(
                "api_issuer",
                text!("is empty, or the variable in it is empty or misspelled: set it to the issuer ID, the UUID above the list of keys in App Store Connect > Users and Access > Integrations"),
            ),
            _ => {}
        }
        Some(ApiKeyInputs {
            id: self.api_key_id.take("api_key_id", problems),
            id_in_name,
            issuer: self.api_issuer.take("api_issuer", problems),
            kind: self.api_key_type,
            key: match location? {
                TypedLocation::Url(url) => KeyLocation::Url(url),
                TypedLocation::File(path) => KeyLocation::File(path.expand(env)),
                TypedLocation::Text(text) => KeyLocation::Text(text),
            },
            enterprise: self.api_key_enterprise_account,
        })
    }

    /// An Apple ID needs its address and something that logs in.
    fn apple_id(
        &mut self,
        groups: &Groups,
        problems: &mut Problems,
        warnings: &mut Vec<Text>,
    ) -> Option<AppleIdInputs> {
        if !self.apple_id.is_set() {
            let log_in = names(&groups.apple_id_secrets);
            problems.add("apple_id", if groups.apple_id_secrets == ["app_password"] {
                text!("is empty, or the variable in it is empty or misspelled, and {} needs it: set it to the e-mail address of the Apple ID, or, to add the password to the connected Apple ID, set `connection` to apple_id", log_in)
            } else {
                text!("is empty, or the variable in it is empty or misspelled, and {} needs it: set it to the e-mail address of the Apple ID", log_in)
            });
        }
        if groups.apple_id_secrets.is_empty() {
            problems.add(
                "apple_id",
                text!("alone cannot log in: set one of `password`, `fastlane_session`, `app_password`"),
            );
        }
        let email = self.apple_id.take("apple_id", problems);
        let password = self.password.take("password", problems).map(|password| password.0);
        if password.as_ref().is_some_and(|password| unfilled::name(password.expose_secret()).is_some()) {
            warnings.push(text!("`password` begins with $ and looks like a variable that was never filled in. If it is one: is it spelled right, and is it set in this workflow?"));
        }
        let app_password = self.app_password.take("app_password", problems).map(|password| password.0);
        let fastlane_session = self.fastlane_session.take("fastlane_session", problems);
        Some(AppleIdInputs { email: email?.0, password, app_password, fastlane_session })
    }

    fn build(&mut self, env: &Env, problems: &mut Problems) -> Option<Build> {
        if !self.build_url.is_set() && self.connection != Toggle::Automatic {
            problems.add("build_url", text!("is empty, and `connection: {}` reads the connection there: run on Bitrise, or set `connection` to off and give the credential in the inputs", self.connection));
        }
        Some(Build {
            location: match self.build_url.take("build_url", problems)? {
                TypedBuildLocation::Url(url) => BuildLocation::Url(url),
                TypedBuildLocation::File(path) => BuildLocation::File(path.expand(env)),
            },
            api_token: self.build_api_token.take("build_api_token", problems),
        })
    }

    /// A check that is asked for is never left out silently.
    fn checks(&mut self, problems: &mut Problems) -> Option<Checks> {
        let asks =
            [("bundle_id", self.bundle_id.is_set()), ("required_access", self.required_access.is_set())];
        let bundle_id = self.bundle_id.take("bundle_id", problems);
        let required_access = self.required_access.take("required_access", problems);
        if self.verify == Verify::No {
            for (input, _) in asks.into_iter().filter(|(_, is_set)| *is_set) {
                problems.add(
                    input,
                    text!("asks for a check, but `verify` is no: set `verify` to yes, or clear `{}`", input),
                );
            }
            return None;
        }
        Some(Checks {
            services: self.services(problems)?,
            is_strict: self.verify == Verify::Strict,
            bundle_id,
            required_access: required_access.map(|access| access.0).unwrap_or_default(),
        })
    }

    fn services(&mut self, problems: &mut Problems) -> Option<Services> {
        let app_store_connect = self.app_store_connect_url.require("app_store_connect_url", problems);
        let enterprise =
            self.app_store_connect_enterprise_url.require("app_store_connect_enterprise_url", problems);
        let session = self.apple_session_url.require("apple_session_url", problems);
        Some(Services {
            app_store_connect: app_store_connect?.0,
            app_store_connect_enterprise: enterprise?.0,
            apple_session: session?.0,
        })
    }
}
