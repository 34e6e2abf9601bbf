//! Reads the inputs from the environment. The defaults are in `step.yml`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::key_location::KeyLocation;
use super::problems::Problems;
use super::values::{
    self, Field, can_show_variable, expand_home, is_phone_number, is_word, parse_choice, parse_number,
};
use super::{Action, BuildAnnotation, BuildLocation, IfMissing, Verify};
use crate::apple::api_key::{IssuerId, KeyId, KeyKind};
use crate::apple::app_store_connect::Access;
use crate::apple::bundle_id::BundleId;
use crate::apple::private_key::strip_wrapping;
use crate::apple::team::{ProviderId, TeamId};
use crate::apple::token;
use crate::bitrise::step_yml::StepYml;
use crate::credential::ConnectionMode;
use crate::env::Env;
use crate::redact::{self, ISSUES, Text, error_messages, text};
use crate::tools::{OutputPrefix, Tool};

macro_rules! inputs {
    (
        ($env:ident)
        choices { $($(#[$meta:meta])* $choice:ident: $choice_type:ty,)+ }
        values { $($value:ident: $value_type:ty = ($parse:expr, $shown:expr),)+ }
    ) => {
        /// The inputs as `envy` reads them: the choices with their types, the others as text.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Texts {
            $($(#[$meta])* $choice: $choice_type,)+
            $($value: SecretString,)+
        }

        /// Every input with its type, parsed on its own.
        pub(crate) struct Fields {
            $(pub(crate) $choice: $choice_type,)+
            $(pub(super) $value: Field<$value_type>,)+
        }

        impl Fields {
            const NAMES: &'static [&'static str] = &[$(stringify!($choice),)+ $(stringify!($value),)+];

            fn parse(texts: Texts, $env: &Env) -> Self {
                Self {
                    $($choice: texts.$choice,)+
                    $($value: {
                        let (name, value) = (stringify!($value), texts.$value.expose_secret());
                        Field::parse(name, value, $parse, $shown)
                    },)+
                }
            }

            /// Fills in how the log shows the value, unless the input is a choice.
            fn fill_in_value(&self, line: &mut InputLine) {
                match line.name {
                    $(stringify!($value) => line.value = self.$value.shown.clone(),)+
                    _ => {}
                }
            }
        }
    };
}

inputs! {
    (env)
    // Inputs whose allowed values `step.yml` lists.
    choices {
        action: Action,
        connection: ConnectionMode,
        if_missing: IfMissing,
        api_key_type: KeyKind,
        #[serde(deserialize_with = "deserialize_yes_no")]
        api_key_enterprise_account: bool,
        #[serde(deserialize_with = "deserialize_yes_no")]
        export_token: bool,
        verify: Verify,
        build_annotation: BuildAnnotation,
        #[serde(deserialize_with = "deserialize_yes_no")]
        verbose_log: bool,
    }
    // Other inputs, each with the functions that parse it and that show it in the log.
    values {
        api_key_path: KeyLocation = (|value| KeyLocation::parse(value, env), KeyLocation::shown),
        api_key_id: KeyId = (values::parse_key_id, KeyId::to_text),
        api_issuer: IssuerId = (values::parse_issuer_id, IssuerId::to_text),
        apple_id: SecretString = (values::parse_apple_id, |_| Text::hidden()),
        password: SecretString = (values::parse_password, |_| Text::hidden()),
        app_password: SecretString = (values::parse_app_password, |_| Text::hidden()),
        fastlane_session: SecretString = (|secret| Ok::<_, Text>(secret.into()), |_| Text::hidden()),
        sms_default_phone_number: String =
            (values::parse_phone_number, |number| redact::checked(number, is_phone_number)),
        team_id: TeamId = (values::parse_team_id, TeamId::to_text),
        itc_team_id: ProviderId = (|value| ProviderId::parse(strip_wrapping(value)), |id| id.to_text()),
        export_for: Vec<&'static Tool> =
            (values::parse_tools, |tools| Text::join(tools.iter().map(|tool| tool.name), ", ")),
        output_prefix: OutputPrefix = (OutputPrefix::parse, |prefix| prefix.name("")),
        token_lifetime_seconds: u64 =
            (|value| parse_number(value, 60..=token::MAX_LIFETIME.as_secs()), Text::of),
        bundle_id: BundleId = (BundleId::parse, BundleId::to_text),
        required_access: BTreeSet<Access> =
            (values::parse_required_access, |access| Text::join(access.iter().map(|access| access.name()), ", ")),
        // At most a century, longer than any session.
        session_expiry_warning_days: u64 = (|value| parse_number(value, 0..=36_500), Text::of),
        credentials_dir: PathBuf =
            (|path| Ok::<_, Text>(expand_home(path, env)), |path| redact::path(path)),
        app_store_connect_url: Url = (values::parse_base_url, redact::url),
        app_store_connect_enterprise_url: Url = (values::parse_base_url, redact::url),
        apple_session_url: Url = (values::parse_base_url, redact::url),
        build_url: BuildLocation = (|value| BuildLocation::parse(value, env), BuildLocation::shown),
        build_api_token: SecretString = (|secret| Ok::<_, Text>(secret.into()), |_| Text::hidden()),
    }
}

/// Reads `yes` or `no`, the only values that `step.yml` lists for the input.
fn deserialize_yes_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(deserializer)? == "yes")
}

error_messages! {
    /// `step.yml` is invalid, or its inputs are not those of this module.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum Bug {
        #[error("The Step hit a bug (its own step.yml cannot be read) and exported nothing. Please report this line at {ISSUES}.")]
        StepYml,
        #[error("The Step hit a bug (its inputs are not those of step.yml: {0}) and exported nothing. Please report this line at {ISSUES}.")]
        Fields(Text),
    }
}

/// All inputs, each parsed on its own.
pub(crate) struct RawInputs {
    pub fields: Fields,
    pub(super) problems: Problems,
    /// The lines for the log, one for each input, in the order of `step.yml`.
    pub lines: Vec<InputLine>,
    /// The values of the sensitive inputs.
    pub secrets: Vec<SecretString>,
}

/// An input as the log shows it.
pub(crate) struct InputLine {
    pub name: &'static str,
    pub value: Text,
    /// Whether the value differs from the default.
    pub is_changed: bool,
}

impl RawInputs {
    /// Reads the inputs that `step.yml` declares.
    ///
    /// # Errors
    /// [`Bug`], which the tests rule out. Problems with the inputs are collected in `problems`.
    pub(crate) fn read(env: &Env) -> Result<Self, Bug> {
        let step_yml = StepYml::embedded().map_err(|_| Bug::StepYml)?;
        let mut problems = Problems::default();
        let mut texts = Vec::new();
        let mut secrets = Vec::new();
        let mut lines = Vec::new();
        for input in &step_yml.inputs {
            let name = Fields::NAMES.iter().copied().find(|name| *name == input.name);
            let name = name
                .ok_or_else(|| Bug::Fields(text!("{} is unknown", redact::checked(&input.name, is_word))))?;
            let default = expand_default(name, &input.default, env, &mut problems);
            let value = match env.vars.get(name) {
                Some(value) => trim_value(name, value.expose_secret()),
                None if env.is_not_utf8(name) => {
                    problems.add(name, "has a value that is not valid UTF-8: replace it with plain text");
                    String::new().into()
                }
                None => default.clone(),
            };
            let is_changed = value.expose_secret() != default.expose_secret();
            // Errors name an unexpanded variable, so it is not masked, except in `password`: a password can look like one.
            if input.is_sensitive && (name == "password" || !can_show_variable(value.expose_secret())) {
                secrets.push(value.clone());
            }
            let choice =
                (!input.value_options.is_empty()).then(|| parse_choice(value.expose_secret(), input));
            let (value, shown) = match choice {
                // `fill_in_value` replaces the hidden text once the value is parsed.
                None => (value, Text::hidden()),
                Some(Ok(option)) => (option.into(), redact::checked(option, is_word)),
                Some(Err(problem)) => {
                    problems.add(name, problem);
                    // Continues with the default, to report the problems with the other inputs too.
                    (default, Text::hidden())
                }
            };
            lines.push(InputLine { name, value: shown, is_changed });
            texts.push((name.to_owned(), value.expose_secret().to_owned()));
        }
        let texts = envy::from_iter::<_, Texts>(texts).map_err(|error| Bug::Fields(redact::cause(&error)))?;
        let fields = Fields::parse(texts, env);
        for line in &mut lines {
            fields.fill_in_value(line);
        }
        Ok(Self { fields, problems, lines, secrets })
    }
}

/// Expands the variables in the default like the Bitrise CLI (`os.Expand` in Go): an unset variable is empty.
fn expand_default(name: &'static str, default: &str, env: &Env, problems: &mut Problems) -> SecretString {
    let is_set_in_env = env.vars.contains_key(name);
    let value = shellexpand::env_with_context_no_errors(default, |variable| {
        if !is_set_in_env && env.is_not_utf8(variable) {
            problems.add(
                name,
                "takes its default from a variable that is not valid UTF-8: correct that variable",
            );
        }
        Some(env.vars.get(variable).map_or("", ExposeSecret::expose_secret))
    });
    trim_value(name, &value)
}

/// Trims a value. A password can begin or end with blanks, so it only loses the line breaks at its end.
fn trim_value(name: &str, value: &str) -> SecretString {
    if name == "password" { value.trim_end_matches(['\r', '\n']).into() } else { value.trim().into() }
}
