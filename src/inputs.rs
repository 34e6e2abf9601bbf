//! The Step's inputs: `step.yml` and the environment in, one validated struct out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error as ValueError;

use crate::apple::api_key::{IssuerId, KeyId, Owner, is_usual_key_id, is_uuid};
use crate::apple::key_text::{is_key_text, is_path_like, must_not_be_shown};
use crate::apple::token;
use crate::bitrise::step_yml::{Declared, StepYml};
use crate::credential::{Source, Toggle};
use crate::host::Host;
use crate::http::is_loopback;
use crate::tools::{self, Tool};

/// What the Step is to do, input `action`.
#[derive(Debug)]
pub enum Job {
    Export(Box<Inputs>),
    Remove(RemoveInputs),
}

/// The inputs of `action: remove`.
#[derive(Debug)]
pub struct RemoveInputs {
    /// `None`: no earlier run left a folder.
    pub credentials_dir: Option<PathBuf>,
    pub verbose_log: bool,
}

/// The inputs of `action: export`, checked as far as that needs neither files nor network.
#[derive(Debug)]
pub struct Inputs {
    pub connection: Toggle,
    pub if_missing: IfMissing,
    pub verbose_log: bool,
    /// Where the connection is read; `None` when the toggle is off, or outside of a build.
    pub build: Option<Build>,
    /// The complete credential in the inputs that the toggle lets through.
    pub credential: Option<InputCredential>,
    /// For a connected Apple ID that has none.
    pub app_password: Option<SecretString>,
    pub sms_default_phone_number: Option<String>,
    pub export_for: BTreeSet<Tool>,
    /// Whether the user chose them: the default also names tools that this credential is not for.
    pub export_for_is_chosen: bool,
    /// The lifetime of the token to export, if one is.
    pub export_token: Option<Duration>,
    /// Whom to ask whether the credential is good; `None`: nobody.
    pub verify: Option<Services>,
    /// A session that ends within so many days is warned of; 0: never.
    pub session_expiry_warning_days: i64,
    /// Inputs that are set, and that the toggle rules out.
    pub ignored: Vec<&'static str>,
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

/// Inputs `build_url` and `build_api_token`.
#[derive(Debug)]
pub struct Build {
    pub location: BuildLocation,
    pub api_token: SecretString,
}

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
    pub id: KeyId,
    pub owner: Owner,
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

/// Input `api_key_path`: where the private key is.
#[derive(Debug)]
pub enum KeyLocation {
    Url(Url),
    File(PathBuf),
    Text(SecretString),
}

/// Everything that is wrong with the inputs, in one sentence per input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// The input that it is about, when it is about one.
    input: Option<String>,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.input {
            Some(input) => write!(f, "`{input}` {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Problems {
    fn add(&mut self, text: impl Into<String>) {
        self.0.push(Problem { input: None, text: text.into() });
    }

    fn add_to(&mut self, input: &str, text: impl Into<String>) {
        self.0.push(Problem { input: Some(input.to_owned()), text: text.into() });
    }

    /// Keeps the value, or notes what is wrong with the input.
    fn check<T, E: fmt::Display>(&mut self, input: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add_to(input, error.to_string())).ok()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "{only}."),
            several => {
                write!(f, "{} problems with the inputs:", several.len())?;
                for (problem, number) in several.iter().zip(1..) {
                    write!(f, " ({number}) {problem}.")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Problems {}

/// The inputs as the environment has them: one field an input, all text.
#[derive(Deserialize)]
struct Raw {
    action: String,
    connection: String,
    api_key_path: SecretString,
    api_key_id: SecretString,
    api_issuer: SecretString,
    api_key_type: String,
    api_key_enterprise_account: String,
    apple_id: SecretString,
    password: SecretString,
    app_password: SecretString,
    fastlane_session: SecretString,
    sms_default_phone_number: String,
    if_missing: String,
    export_for: String,
    export_token: String,
    token_lifetime_seconds: String,
    verify: String,
    session_expiry_warning_days: String,
    credentials_dir: String,
    verbose_log: String,
    app_store_connect_url: String,
    app_store_connect_enterprise_url: String,
    apple_session_url: String,
    build_url: String,
    build_api_token: SecretString,
}

/// Leading and trailing blanks of these are kept: they can be part of a password.
const UNTRIMMED: [&str; 2] = ["password", "app_password"];

/// The text of every input, before it is understood.
pub struct Values {
    by_name: BTreeMap<String, String>,
    /// Name and printable value of every input, in the order of `step.yml`.
    pub printable: Vec<(String, String)>,
    /// Whether `export_for` is what the user chose, and not the default.
    export_for_is_chosen: bool,
    problems: Problems,
}

impl Values {
    /// Takes the inputs that `step.yml` declares from the environment, or their defaults.
    #[must_use]
    pub fn read(step_yml: &StepYml, host: &Host) -> Self {
        let mut values = Self {
            by_name: BTreeMap::new(),
            printable: Vec::new(),
            export_for_is_chosen: false,
            problems: Problems::default(),
        };
        for input in step_yml.inputs() {
            let value = value_of(&input, host, &mut values.problems);
            values.printable.push((input.name.to_owned(), printable_value(&input, &value)));
            let value = allowed(&input, value, &mut values.problems);
            if input.name == "export_for" {
                values.export_for_is_chosen = tools::parse_list(&value) != tools::parse_list(input.default);
            }
            values.by_name.insert(input.name.to_owned(), value);
        }
        values
    }
}

impl Inputs {
    /// Whether the session of an Apple ID is needed: only where fastlane is to use it.
    #[must_use]
    pub fn needs_session(&self) -> bool {
        self.export_for.contains(&Tool::Fastlane)
    }
}

impl Job {
    /// Understands and checks the inputs.
    ///
    /// # Errors
    /// [`Problems`], all of them at once.
    pub fn from_values(values: Values, host: &Host) -> Result<Self, Problems> {
        let mut problems = values.problems;
        // The names are those of step.yml and all fields are text, so this fails only when the
        // two were changed apart.
        let raw: Raw = match envy::from_iter(values.by_name) {
            Ok(raw) => raw,
            Err(error) => {
                problems.add(format!("The inputs cannot be read ({error})"));
                return Err(problems);
            }
        };
        let job = match choice("action", &raw.action, &mut problems) {
            Some(Action::Remove) => {
                // What other inputs hold must not keep credentials on a machine.
                problems.0.retain(|problem| problem.input.as_deref() == Some("credentials_dir"));
                Self::Remove(raw.remove_inputs(host))
            }
            Some(Action::Export) | None => Self::Export(Box::new(Inputs {
                export_for_is_chosen: values.export_for_is_chosen,
                ..raw.export_inputs(host, &mut problems)
            })),
        };
        if problems.0.is_empty() { Ok(job) } else { Err(problems) }
    }
}

/// The value of one input: from the environment, else its default, expanded as the Bitrise CLI
/// expands it (`os.Expand`: an unknown name is empty).
fn value_of(input: &Declared<'_>, host: &Host, problems: &mut Problems) -> String {
    if host.env_not_utf8.iter().any(|name| name == input.name) {
        problems.add_to(input.name, "is not text in UTF-8: set it again");
        return String::new();
    }
    let value = match host.env.get(input.name) {
        Some(value) => value.clone(),
        None => shellexpand::env_with_context_no_errors(input.default, |name| {
            if host.env_not_utf8.iter().any(|set| set == name) {
                problems.add_to(input.name, format!("is not text in UTF-8: correct the variable {name}"));
            }
            Some(host.env.get(name).map_or("", String::as_str))
        })
        .into_owned(),
    };
    if UNTRIMMED.contains(&input.name) { value } else { value.trim().to_owned() }
}

/// The value if `step.yml` allows it. If not, the default: one wrong choice must not hide what is
/// wrong with the other inputs.
fn allowed(input: &Declared<'_>, value: String, problems: &mut Problems) -> String {
    if input.value_options.is_empty() || input.value_options.contains(&value) {
        return value;
    }
    let expected = input.value_options.join(", ");
    let found = shown_choice(&value);
    problems.add_to(input.name, format!("is {found}: use one of {expected}"));
    input.default.to_owned()
}

/// A value that is no choice, as far as it may be repeated.
fn shown_choice(value: &str) -> String {
    match value {
        "" => "empty".to_owned(),
        short if short.len() <= LONGEST_CHOICE => format!("{short:?}"),
        _ => "something else".to_owned(),
    }
}

/// Longer than any choice by far: what is longer was meant for another field, maybe a secret one.
const LONGEST_CHOICE: usize = 12;

/// What the log may show of an input.
fn printable_value(input: &Declared<'_>, value: &str) -> String {
    const HIDDEN: &str = "*****";
    if value.is_empty() {
        return "<unset>".to_owned();
    }
    let is_no_choice = !input.value_options.is_empty() && value.len() > LONGEST_CHOICE;
    if input.is_sensitive || is_no_choice || must_not_be_shown(value) {
        return HIDDEN.to_owned();
    }
    if let Ok(mut url) = Url::parse(value)
        && (url.has_host() || url.scheme() == "file")
    {
        // A pre-signed URL is a secret from its query on; so is a password before the host.
        let has_secret = url.query().is_some() || !url.username().is_empty() || url.password().is_some();
        url.set_query(None);
        url.set_fragment(None);
        // Refused where there is none to take away.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        return if has_secret { format!("{url}?{HIDDEN}") } else { url.into() };
    }
    // Of a URL that cannot be taken apart, nobody knows where its secrets are.
    let could_be_secret = value.contains("://") || value.lines().count() > 1;
    if could_be_secret { HIDDEN.to_owned() } else { value.to_owned() }
}

/// Reads a value that [`allowed`] has let through.
fn choice<'de, T: Deserialize<'de>>(input: &str, value: &'de str, problems: &mut Problems) -> Option<T> {
    let parsed = T::deserialize(value.into_deserializer());
    problems.check(input, parsed.map_err(|error: ValueError| error.to_string()))
}

fn non_empty(value: SecretString) -> Option<SecretString> {
    Some(value).filter(|value| !value.expose_secret().is_empty())
}

fn is_set(value: &SecretString) -> bool {
    !value.expose_secret().is_empty()
}

/// ``"`a`, `b`"``
fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Raw {
    fn remove_inputs(self, host: &Host) -> RemoveInputs {
        let credentials_dir = Some(self.credentials_dir).filter(|folder| !folder.is_empty());
        RemoveInputs {
            credentials_dir: credentials_dir.map(|folder| expand_tilde(&folder, host)),
            verbose_log: self.verbose_log == "yes",
        }
    }

    fn export_inputs(self, host: &Host, problems: &mut Problems) -> Inputs {
        let connection = choice("connection", &self.connection, problems).unwrap_or(Toggle::Automatic);
        let if_missing = choice("if_missing", &self.if_missing, problems).unwrap_or(IfMissing::Fail);
        let phone_number = self.sms_default_phone_number.clone();
        let sms_default_phone_number = match phone_number.as_str() {
            "" => None,
            number => problems.check("sms_default_phone_number", check_phone_number(number)),
        };
        let build =
            if connection.uses(Source::Connection) { self.build(host, connection, problems) } else { None };

        let export_for = self.export_for(problems);
        // What is not used is not checked.
        let export_token = (self.export_token == "yes")
            .then(|| number(&self.token_lifetime_seconds, &TOKEN_LIFETIMES))
            .and_then(|seconds| problems.check("token_lifetime_seconds", seconds));
        let verify = (self.verify == "yes").then(|| self.services(problems)).flatten();
        let days = number(&self.session_expiry_warning_days, &WARNING_DAYS);
        let days = problems.check("session_expiry_warning_days", days);

        let api_key_inputs = self.set_of(&API_KEY_INPUTS);
        let mut apple_id_inputs = self.set_of(&[("apple_id", |raw| &raw.apple_id)]);
        apple_id_inputs.extend(self.set_of(&LOG_IN_INPUTS));
        let mut ignored = Vec::new();
        let mut credential = None;
        if connection.uses(Source::Inputs) {
            if !api_key_inputs.is_empty() && !apple_id_inputs.is_empty() {
                problems.add(format!(
                    "The inputs hold both an API key ({}) and an Apple ID ({}): clear one of the two groups",
                    list(&api_key_inputs),
                    list(&apple_id_inputs),
                ));
            }
            if !api_key_inputs.is_empty() {
                credential = self.api_key(host, problems).map(InputCredential::ApiKey);
            }
            if !apple_id_inputs.is_empty() {
                credential = self.apple_id(problems).map(InputCredential::AppleId).or(credential);
            }
        } else {
            let fills_in = |name: &&str| connection == Toggle::AppleId && *name == "app_password";
            ignored.extend(api_key_inputs);
            if self.api_key_type == "individual" {
                ignored.push("api_key_type");
            }
            if self.api_key_enterprise_account == "yes" {
                ignored.push("api_key_enterprise_account");
            }
            ignored.extend(apple_id_inputs.into_iter().filter(|name| !fills_in(name)));
        }
        Inputs {
            connection,
            if_missing,
            verbose_log: self.verbose_log == "yes",
            build,
            credential,
            app_password: Some(self.app_password)
                .filter(|_| connection == Toggle::AppleId)
                .and_then(non_empty),
            sms_default_phone_number,
            export_for,
            export_for_is_chosen: false,
            export_token: export_token.map(Duration::from_secs),
            verify,
            session_expiry_warning_days: days.and_then(|days| days.try_into().ok()).unwrap_or_default(),
            ignored,
        }
    }

    /// The names of those of the group that are set.
    fn set_of(&self, group: &[(&'static str, Field)]) -> Vec<&'static str> {
        group.iter().filter(|(_, field)| is_set(field(self))).map(|(name, _)| *name).collect()
    }

    fn build(&self, host: &Host, connection: Toggle, problems: &mut Problems) -> Option<Build> {
        if self.build_url.is_empty() {
            if connection != Toggle::Automatic {
                problems.add(format!(
                    "`build_url` is empty, and `connection: {}` reads the connection there: run on Bitrise, or set `connection` to off and give the credential in the inputs",
                    self.connection,
                ));
            }
            return None;
        }
        let location = problems.check("build_url", build_location(&self.build_url, host))?;
        Some(Build { location, api_token: self.build_api_token.clone() })
    }

    fn export_for(&self, problems: &mut Problems) -> BTreeSet<Tool> {
        let tools = tools::parse_list(&self.export_for).map_err(|unknown| {
            let names = Tool::ALL.map(Tool::name).join(", ");
            format!("names {unknown:?}, which is no tool that this Step knows: use a list of {names}")
        });
        let tools = problems.check("export_for", tools).unwrap_or_default();
        if let Some((name, one, other)) = tools::conflict(&tools) {
            problems.add(format!(
                "`export_for` names {} and {}, which want different values in {name}: choose one of the two, or run the Step twice and rename the outputs",
                one.name(),
                other.name(),
            ));
        }
        tools
    }

    fn services(&self, problems: &mut Problems) -> Option<Services> {
        let app_store_connect =
            problems.check("app_store_connect_url", base_url(&self.app_store_connect_url));
        let app_store_connect_enterprise = problems
            .check("app_store_connect_enterprise_url", base_url(&self.app_store_connect_enterprise_url));
        let apple_session = problems.check("apple_session_url", base_url(&self.apple_session_url));
        Some(Services {
            app_store_connect: app_store_connect?,
            app_store_connect_enterprise: app_store_connect_enterprise?,
            apple_session: apple_session?,
        })
    }

    fn api_key(&self, host: &Host, problems: &mut Problems) -> Option<ApiKeyInputs> {
        let path = self.api_key_path.expose_secret();
        let key = match path {
            "" => {
                problems.add("`api_key_path` is empty: an API key needs its private key (the URL, path or text of AuthKey_<ID>.p8)");
                None
            }
            value => problems.check("api_key_path", key_location(value, host)),
        };
        let id = match self.api_key_id.expose_secret() {
            "" => {
                let from_name = key.as_ref().and_then(KeyLocation::key_id);
                if from_name.is_none() && key.is_some() {
                    problems.add("The key ID is unknown: set `api_key_id`, or let the file in `api_key_path` be named AuthKey_<ID>.p8");
                }
                from_name
            }
            value => problems.check("api_key_id", KeyId::parse(value)),
        };
        let owner = match self.api_issuer.expose_secret() {
            "" if self.api_key_type == "individual" => Some(Owner::Individual),
            "" => {
                problems.add("`api_issuer` is empty: an API key needs its issuer ID (a UUID, shown above the list of keys in App Store Connect > Users and Access > Integrations)");
                None
            }
            _ if self.api_key_type == "individual" => {
                problems.add("`api_issuer` is set, and an individual key has no issuer: clear it, or set `api_key_type` to team");
                None
            }
            value => problems.check("api_issuer", IssuerId::parse(value)).map(Owner::Team),
        };
        Some(ApiKeyInputs {
            key: key?,
            id: id?,
            owner: owner?,
            enterprise: self.api_key_enterprise_account == "yes",
        })
    }

    fn apple_id(&self, problems: &mut Problems) -> Option<AppleIdInputs> {
        let log_in = self.set_of(&LOG_IN_INPUTS);
        let email = non_empty(self.apple_id.clone());
        if email.is_none() {
            problems.add(format!(
                "`apple_id` is empty, and {} needs it: set the Apple ID's e-mail address{}",
                list(&log_in),
                if log_in == ["app_password"] {
                    ", or set `connection` to apple_id to add the app-specific password to the connected Apple ID"
                } else {
                    ""
                },
            ));
        }
        if log_in.is_empty() {
            problems.add(format!(
                "`apple_id` alone cannot log in: set one of {}",
                list(&["password", "fastlane_session", "app_password"]),
            ));
            return None;
        }
        Some(AppleIdInputs {
            email: email?,
            password: non_empty(self.password.clone()),
            app_password: non_empty(self.app_password.clone()),
            fastlane_session: non_empty(self.fastlane_session.clone()),
        })
    }
}

/// Seconds: a minute at least, and at most what Apple accepts.
const TOKEN_LIFETIMES: RangeInclusive<u64> = 60..=token::MAX_LIFETIME.as_secs();

/// Up to a century, which no session lasts.
const WARNING_DAYS: RangeInclusive<u64> = 0..=36_500;

type Field = fn(&Raw) -> &SecretString;

const API_KEY_INPUTS: [(&str, Field); 3] = [
    ("api_key_path", |raw| &raw.api_key_path),
    ("api_key_id", |raw| &raw.api_key_id),
    ("api_issuer", |raw| &raw.api_issuer),
];

const LOG_IN_INPUTS: [(&str, Field); 3] = [
    ("password", |raw| &raw.password),
    ("app_password", |raw| &raw.app_password),
    ("fastlane_session", |raw| &raw.fastlane_session),
];

impl KeyLocation {
    /// The key ID in the file name `AuthKey_<ID>.p8`: percent-decoded, query ignored.
    fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Url(url) => {
                let name = url.path_segments()?.next_back()?;
                let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
                // A percent-encoded slash separates too, as in object names of storage services.
                KeyId::from_file_name(name.rsplit('/').next()?)
            }
            Self::File(path) => KeyId::from_file_name(path.file_name()?.to_str()?),
            Self::Text(_) => None,
        }
    }
}

/// Tells apart what people put into `api_key_path`. Looks at the value only, not at the disk.
fn key_location(value: &str, host: &Host) -> Result<KeyLocation, String> {
    if is_uuid(value) {
        return Err("holds an issuer ID; put the URL, path or text of AuthKey_<ID>.p8 there, and the issuer ID into `api_issuer`".to_owned());
    }
    if is_usual_key_id(value) {
        return Err("holds a key ID; put the URL, path or text of AuthKey_<ID>.p8 there, and the key ID into `api_key_id`".to_owned());
    }
    let scheme = value.split_once("://").map(|(scheme, _)| scheme);
    let scheme = scheme.filter(|scheme| scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
    let Some(scheme) = scheme else {
        let extension = Path::new(value).extension();
        let is_path = is_path_like(value) || extension.is_some_and(|name| name == "p8" || name == "pem");
        // A key with something around it is no path: as a key it is refused by name, unseen.
        let is_text = is_key_text(value) || (!is_path && must_not_be_shown(value));
        return Ok(if is_text {
            KeyLocation::Text(value.into())
        } else {
            KeyLocation::File(expand_tilde(value, host))
        });
    };
    let url = Url::parse(value).map_err(|error| format!("is no valid URL ({error}): correct it"))?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok(KeyLocation::Url(url)),
        "http" if is_loopback(&url) => Ok(KeyLocation::Url(url)),
        "http" => Err("is a plain http URL, which would send the key in the clear: use https".to_owned()),
        "file" => Ok(KeyLocation::File(file_path(&url)?)),
        other => Err(format!(
            "is a URL of the kind {other:?}: use an https:// or file:// URL, a path, or the key's text"
        )),
    }
}

/// The base URL of one of Apple's services.
fn base_url(value: &str) -> Result<Url, String> {
    let expected = "use an https:// URL";
    let url = Url::parse(value).map_err(|error| format!("is no valid URL ({error}): {expected}"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(format!("would send a token in the clear: {expected}")),
    }
}

/// A whole number within a range.
fn number(value: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        format!("is {}: use a whole number from {least} to {most}", shown_choice(value))
    })
}

fn build_location(value: &str, host: &Host) -> Result<BuildLocation, String> {
    let expected = "use the build's https:// URL, or the file:// URL of a JSON file";
    let url = Url::parse(value).map_err(|error| format!("is no valid URL ({error}): {expected}"))?;
    match url.scheme() {
        "https" => Ok(BuildLocation::Url(url)),
        "http" if is_loopback(&url) => Ok(BuildLocation::Url(url)),
        "http" => {
            Err(format!("is a plain http URL, which would send the build's token in the clear: {expected}"))
        }
        "file" => Ok(BuildLocation::File(match value.strip_prefix("file://~") {
            Some(rest) => expand_tilde(&format!("~{rest}"), host),
            None => file_path(&url)?,
        })),
        other => Err(format!("is a URL of the kind {other:?}: {expected}")),
    }
}

fn file_path(url: &Url) -> Result<PathBuf, String> {
    url.to_file_path().map_err(|()| {
        "is a file:// URL with a host: write it with three slashes, file:///path/to/file".to_owned()
    })
}

fn expand_tilde(path: &str, host: &Host) -> PathBuf {
    match (path.strip_prefix('~'), host.var("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            PathBuf::from(format!("{home}{rest}"))
        }
        _ => PathBuf::from(path),
    }
}

/// fastlane compares it with the numbers that Apple shows, so it must have their form.
fn check_phone_number(number: &str) -> Result<String, &'static str> {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let known = |b: u8| b.is_ascii_digit() || b"+-() .".contains(&b);
    if number.starts_with('+') && (5..=20).contains(&digits) && number.bytes().all(known) {
        Ok(number.to_owned())
    } else {
        Err("is no phone number with its country code: write it as Apple shows it, like +81-80-1234-5678")
    }
}
