//! The messages of a run: in the log as it goes, and in the summary at the end.

mod summary;

use secrecy::ExposeSecret as _;
use time::{Duration, OffsetDateTime};

use crate::apple::api_key::{IssuerId, KeyKind};
use crate::apple::app_store_connect::RateLimit;
use crate::apple::device::{self, Device, DeviceRecord, SkippedDevice};
use crate::bitrise::annotation::{self, Style};
use crate::bitrise::entry::Entry;
use crate::config::{self, BuildAnnotation, Config, RawInputs};
use crate::credential::{
    AppleId, ConnectionMode, Credential, CredentialKind, Method, ResolvedCredential, Source,
};
use crate::env::Env;
use crate::export::outputs::{OutputContext, Outputs, SkippedTool};
use crate::http::Http;
use crate::log::{RunLog, debug, info, set_verbose, success, title};
use crate::redact::{self, FatalError, Text, text};
use crate::timestamp;
use crate::verify::{self, Verification};

/// Logs the messages of a run, and collects what the summary shows.
#[derive(Debug)]
pub(crate) struct Report {
    pub run_log: RunLog,
    /// The current time, in UTC.
    now: fn() -> OffsetDateTime,
    started_at: OffsetDateTime,
    /// The kind of credential and its source.
    credential: Option<Text>,
    /// Whole days until the session expires.
    days_left: Option<i64>,
    /// Whether the credential is verified, in Markdown, and the reason.
    verified: Option<(&'static str, Text)>,
    /// The names and values of the exported outputs.
    outputs: Vec<(Text, Text)>,
    /// The result of `action: remove`.
    removal: Option<Text>,
    /// Input `build_annotation`, or its default until the inputs are read.
    build_annotation: BuildAnnotation,
    /// The current stage, and when it started.
    stage: Option<(&'static str, OffsetDateTime)>,
}

impl Report {
    /// The report of a run that starts now.
    pub(crate) fn new(now: fn() -> OffsetDateTime) -> Self {
        Self {
            run_log: RunLog::default(),
            now,
            started_at: now(),
            credential: None,
            days_left: None,
            verified: None,
            outputs: Vec::new(),
            removal: None,
            build_annotation: BuildAnnotation::Problems,
            stage: None,
        }
    }

    /// Starts a stage of the run. Logs at debug level how long the previous one took.
    pub(crate) fn start_stage(&mut self, name: &'static str) {
        self.end_stage();
        title(name);
        self.stage = Some((name, (self.now)()));
    }

    fn end_stage(&mut self) {
        if let Some((name, started_at)) = self.stage.take() {
            let elapsed = (self.now)() - started_at;
            debug(&text!("{} took {:.1} ms.", name, elapsed.as_seconds_f64() * 1000.0));
        }
    }

    /// Ends a successful run, and logs how long it took.
    pub(crate) fn finish(&mut self) {
        self.end_stage();
        success(&text!("Done in {:.1} s.", ((self.now)() - self.started_at).as_seconds_f64()));
    }

    /// Logs the inputs that differ from their defaults, or with `verbose_log` all of them. From then on, the values of
    /// secret inputs are hidden in untrusted text.
    pub(crate) fn log_inputs(&mut self, inputs: &RawInputs) {
        self.build_annotation = inputs.fields.build_annotation;
        inputs.secrets.iter().for_each(|secret| self.run_log.secrets.add(secret));
        set_verbose(inputs.fields.verbose_log);
        title("Inputs");
        let mut lines =
            inputs.lines.iter().filter(|line| line.is_changed || inputs.fields.verbose_log).peekable();
        if lines.peek().is_none() {
            info(&text!("All inputs are at their defaults."));
        }
        for line in lines {
            self.run_log.info(&text!("- {}: {}", line.name, line.value));
        }
    }

    /// Warns about inputs that look like mistakes, and about inputs that `connection` excludes.
    pub(crate) fn warn_about_inputs(&mut self, config: &Config) {
        if let Some(warning) = &config.notes.warning {
            self.run_log.warn(warning.clone());
        }
        if !config.notes.ignored.is_empty() {
            let subject = names_with_verb(&config.notes.ignored);
            let connection = config.connection.name();
            self.run_log.warn(text!("{} ignored, because `connection` is {}.", subject, connection));
        }
    }

    /// Logs the credential and its source. Warns if it may be the wrong one, or if its session expires soon.
    pub(crate) fn log_credential(&mut self, resolved: &ResolvedCredential, config: &Config) {
        let source = match resolved.source {
            Source::Connection => "connected on Bitrise",
            Source::Inputs => "in the inputs",
        };
        let kind = match &resolved.credential {
            Credential::ApiKey(_) => "API key",
            Credential::AppleId(_) => "Apple ID",
        };
        success(&text!("Using the {} {}.", kind, source));
        self.credential = Some(text!("{}, {}", kind, source));
        // The user might want the credential in the inputs, which can be another team's.
        if resolved.source == Source::Connection && config.credential.is_some() {
            self.run_log.warn(text!(
                "The Step uses the {} connected on Bitrise, not the credential in the inputs ({}). To use the one in the inputs, set `connection: \"off\"`.",
                kind,
                config::quote_names(&config.notes.credential_inputs)
            ));
        }
        match &resolved.credential {
            Credential::ApiKey(key) => {
                self.run_log.log_detail("Key ID", key.id.to_text());
                let issuer = key.issuer.as_ref().map_or(text!("none, an individual key"), IssuerId::to_text);
                self.run_log.log_detail("Issuer ID", issuer);
                if key.is_enterprise {
                    self.run_log.log_detail("Apple Developer Enterprise Program", text!("yes"));
                }
                if !redact::is_usual_key_id(key.id.as_str()) {
                    self.run_log.warn(text!(
                        "The key ID is not in the usual form (10 upper-case letters and digits): check it if Apple rejects the key."
                    ));
                }
                if key.issuer.is_none() {
                    self.run_log.info(&text!(
                        "- An individual key can't manage certificates, profiles or devices. Bitrise's own Steps and xcodebuild can't use it, because they need an issuer ID."
                    ));
                }
            }
            Credential::AppleId(apple_id) => self.log_apple_id(apple_id, resolved.source, config),
        }
    }

    /// Logs an Apple ID, records how many days its session has left, and warns if the session expires soon.
    fn log_apple_id(&mut self, apple_id: &AppleId, source: Source, config: &Config) {
        self.run_log.log_detail("Apple ID", redact::email(apple_id.email.expose_secret()));
        let Some(expires_at) = apple_id.session.as_ref().and_then(|session| session.expires_at) else {
            let state = if apple_id.session.is_some() { "expiry unknown" } else { "none" };
            self.run_log.log_detail("Session", text!("{}", state));
            return;
        };
        let now = (self.now)();
        let (date, left) = (timestamp::format(expires_at), timestamp::time_left(expires_at, now));
        self.run_log.log_detail("Session", text!("expires on {} ({} left)", date, left));
        self.days_left = Some((expires_at - now).whole_days());
        let warning_days = config.notes.session_expiry_warning_days;
        if warning_days > 0 && expires_at - now <= Duration::days(warning_days) {
            self.run_log.warn(text!(
                "The Apple ID's session expires on {}, in {}. To keep builds from failing, {}.",
                date,
                left,
                verify::renewal(source)
            ));
        }
    }

    /// Warns about tools that the user chose and that get no credential. The default of `export_for` also lists
    /// tools for other credentials, so it causes no warning.
    pub(crate) fn warn_about_skipped_tools(&mut self, skipped: &[SkippedTool], context: OutputContext<'_>) {
        let is_chosen = context.config.notes.tools_are_chosen;
        let Some(resolved) = context.resolved.filter(|_| is_chosen) else { return };
        let (incomplete, unusable): (Vec<_>, Vec<_>) =
            skipped.iter().partition(|skipped| !skipped.missing.is_empty());
        if !unusable.is_empty() {
            let (kind, other) = match resolved.credential.kind() {
                CredentialKind::ApiKey(KeyKind::Team) => ("an API key", "an Apple ID"),
                CredentialKind::ApiKey(KeyKind::Individual) => ("an individual API key", "a team key"),
                CredentialKind::AppleId => ("an Apple ID", "an API key"),
            };
            self.run_log.warn(text!(
                "Nothing is exported for {}, which can't use {}. Use {}, or change `export_for`.",
                config::quote_names(&unusable.iter().map(|skipped| skipped.tool.name).collect::<Vec<_>>()),
                kind,
                other
            ));
        }
        for SkippedTool { tool, missing } in incomplete {
            // Such as "`team_id` and an app-specific password (`app_password`)".
            let ways: Vec<_> = missing
                .iter()
                .map(|values| Text::join(values.iter().filter_map(|value| value.condition()), " and "))
                .collect();
            self.run_log.warn(text!(
                "Nothing is exported for `{}`, which needs more than this Apple ID: set {}.",
                tool.name,
                Text::join(&ways, ", or ")
            ));
        }
    }

    /// Returns the devices with a valid UDID that no earlier device has. Warns about the others: names the first
    /// few, and counts the rest.
    pub(crate) fn skip_unusable_devices(&mut self, records: &[DeviceRecord]) -> Vec<Device> {
        /// A connection can have thousands of devices.
        const MAX_NAMED: usize = 5;
        let (devices, skipped) = device::normalize(records);
        let show = |title: &str| redact::service_text(title, 60);
        for SkippedDevice { title, duplicate_of } in skipped.iter().take(MAX_NAMED) {
            self.run_log.warn(match duplicate_of {
                None => {
                    text!("The test device \"{}\" has no valid UDID and is skipped.", show(title))
                }
                Some(first) => text!(
                    "The test device \"{}\" has the same UDID as \"{}\" and is skipped.",
                    show(title),
                    show(devices.get(*first).map_or("", |device| &device.title))
                ),
            });
        }
        if let more @ 1.. = skipped.len().saturating_sub(MAX_NAMED) {
            self.run_log.warn(text!(
                "{} more test devices are skipped: they have no valid UDID, or the UDID of another device.",
                more
            ));
        }
        devices
    }

    /// Logs the result of the verification, and for `action: check` how many requests Apple still allows.
    pub(crate) fn log_verification(&mut self, verification: &Verification, config: &Config) {
        let reasons: Vec<_> = verification.unverified.iter().map(Text::of).collect();
        for reason in &reasons {
            self.run_log.warn(text!("Not verified, but the build continues: {}.", reason));
        }
        self.verified = Some(if verification.is_verified() {
            success(&text!("Apple accepted the credential."));
            ("✅ yes,", text!("Apple accepted the credential"))
        } else if verification.is_attempted {
            ("⚠️ no:", Text::join(&reasons, "; "))
        } else {
            ("⚪ no:", text!("`verify` is no"))
        });
        if let Some(RateLimit { limit, remaining }) = verification.rate_limit.filter(|_| config.is_check) {
            self.run_log.log_detail("Requests left this hour", text!("{} of {}", remaining, limit));
        }
    }

    /// Writes the summary on the build's page, if the user wants one. If that fails, warns.
    pub(crate) async fn write_summary(
        &mut self,
        error: Option<&FatalError>,
        time_limit: std::time::Duration,
        env: &Env,
        http: &Http<'_>,
    ) {
        let style = match error {
            Some(_) => Style::Error,
            None if self.run_log.warnings.is_empty() => Style::Info,
            None => Style::Warning,
        };
        match self.build_annotation {
            BuildAnnotation::Never => return,
            BuildAnnotation::Problems if style == Style::Info => return,
            BuildAnnotation::Problems | BuildAnnotation::Always => {}
        }
        match annotation::write(&self.summary(error), style, time_limit, env, http).await {
            Ok(true) => debug(&text!("The summary is on the build's page.")),
            Ok(false) => debug(&text!("There is no build page to write the summary on.")),
            Err(error) => self.run_log.warn(Text::of(&error)),
        }
    }

    /// Logs the outputs.
    pub(crate) fn log_outputs(&mut self, outputs: Outputs) {
        for (name, value) in &outputs.shown {
            self.run_log.info(&text!("- {}: {}", name, value));
        }
        self.outputs = outputs.shown;
    }

    /// Logs what `action: remove` removed.
    pub(crate) fn log_removal(&mut self, is_folder_deleted: bool, entries: &[Entry]) {
        for entry in entries {
            info(&text!("- {} is now empty for later Steps.", entry.name()));
        }
        let folder_line = if is_folder_deleted {
            "Deleted the folder with the credential."
        } else {
            "There was no folder to delete."
        };
        info(&text!("- {}", folder_line));
        let outputs_line = match entries.len() {
            0 => text!("No outputs were set."),
            1 => text!("1 output is now empty for later Steps."),
            several => text!("{} outputs are now empty for later Steps.", several),
        };
        self.removal = Some(text!("{} {}", folder_line, outputs_line));
    }
}

/// Names of inputs with "is" or "are", such as ``"`api_key_id` and `api_issuer` are"``.
fn names_with_verb(inputs: &[&'static str]) -> Text {
    text!("{} {}", config::quote_names(inputs), if inputs.len() == 1 { "is" } else { "are" })
}

/// The message if there is no credential: what to set up. `excluded_method` is the kind of a connected credential
/// that `connection` excludes.
pub(crate) fn missing_credential_message(config: &Config, excluded_method: Option<Method>) -> Text {
    const CONNECT_KEY: &str = "connect an API key on Bitrise (Workspace settings > Integrations > App Store Connect, then Project settings > Integrations > Stores)";
    const CONNECT_APPLE_ID: &str = "connect an Apple ID on Bitrise (Account settings > Apple Service connection, then Project settings > Integrations)";
    // None of these inputs is `api_key_path` or a secret, or there would be a credential.
    if config.connection.uses(Source::Inputs) && !config.notes.credential_inputs.is_empty() {
        return text!(
            "{} set, but no private key, session or password is: check the names of the Secrets. In a pull-request build, expose the Secrets, or set `if_missing` to skip.",
            names_with_verb(&config.notes.credential_inputs)
        );
    }
    match (config.connection, excluded_method) {
        (ConnectionMode::Automatic, _) => text!(
            "No Apple credential was found: {}, or set `api_key_path` and `api_issuer`, or `apple_id` and `fastlane_session`.",
            CONNECT_KEY
        ),
        (ConnectionMode::ApiKey, Some(_)) => text!(
            "`connection` is api_key, but no API key is connected to this project; an Apple ID is. Set `connection` to apple_id, or {}.",
            CONNECT_KEY
        ),
        (ConnectionMode::ApiKey, None) => text!(
            "No API key is connected to this project: {}, or set `connection` to off and provide the key in the inputs.",
            CONNECT_KEY
        ),
        (ConnectionMode::AppleId, Some(_)) => text!(
            "`connection` is apple_id, but no Apple ID is connected to this project; an API key is. Set `connection` to api_key, or {}.",
            CONNECT_APPLE_ID
        ),
        (ConnectionMode::AppleId, None) => text!(
            "No Apple ID is connected to this project: {}, or set `connection` to off and provide the Apple ID in the inputs.",
            CONNECT_APPLE_ID
        ),
        (ConnectionMode::Off, _) => text!(
            "`connection` is off, and the inputs contain no Apple credential: set `api_key_path` and `api_issuer`, or `apple_id` and `fastlane_session`."
        ),
    }
}
