//! What a run tells: in the log as it goes, and in the summary in the end.

mod summary;

use secrecy::ExposeSecret as _;
use time::{Duration, OffsetDateTime};

use crate::apple::api_key::IssuerId;
use crate::apple::device::{self, Device, DeviceRecord, SkipReason, SkippedDevice};
use crate::bitrise::annotation::{self, Style};
use crate::bitrise::entry::Entry;
use crate::config::{BuildAnnotation, Config, RawInputs, tool_names};
use crate::credential::{AppleId, Credential, Kind, ResolvedCredential, Source, Toggle};
use crate::env::Env;
use crate::export::outputs::{Outputs, SkippedTool};
use crate::http::Http;
use crate::log::RunLog;
use crate::log::{debug, done, info, set_verbose, title};
use crate::redact::text;
use crate::redact::{self, Failed, Text};
use crate::timestamp;
use crate::tools::{Login, OutputValue};
use crate::verify::Verification;

/// What was found out so far; what is missing when a run fails is not in the summary.
#[derive(Debug)]
pub(crate) struct Report {
    pub run_log: RunLog,
    began: OffsetDateTime,
    /// Which kind of credential is used, and from where.
    credential: Option<Text>,
    /// Whole days that are left of the session.
    days_left: Option<i64>,
    verification: Option<Verification>,
    /// Names and values.
    outputs: Vec<(&'static str, Text)>,
    /// What `action: remove` took away; there is no credential in the summary then.
    removal: Option<Text>,
    /// Input `build_annotation`; its default as long as the inputs are not read.
    build_annotation: BuildAnnotation,
    stage: Option<(&'static str, OffsetDateTime)>,
}

impl Report {
    /// Of a run that begins now.
    #[must_use]
    pub(crate) fn new(now: OffsetDateTime) -> Self {
        Self {
            run_log: RunLog::default(),
            began: now,
            credential: None,
            days_left: None,
            verification: None,
            outputs: Vec::new(),
            removal: None,
            build_annotation: BuildAnnotation::Problems,
            stage: None,
        }
    }

    /// Begins a stage of the run, and says at debug level how long the one before took.
    pub(crate) fn stage(&mut self, name: &'static str, now: OffsetDateTime) {
        self.end_stage(now);
        title(name);
        self.stage = Some((name, now));
    }

    fn end_stage(&mut self, now: OffsetDateTime) {
        if let Some((name, began)) = self.stage.take() {
            debug(&text!("{} took {:.1} ms.", name, (now - began).as_seconds_f64() * 1000.0));
        }
    }

    /// Says that the run succeeded, and how long it took.
    pub(crate) fn done(&mut self, now: OffsetDateTime) {
        self.end_stage(now);
        done(&text!("Done in {:.1} s.", (now - self.began).as_seconds_f64()));
    }

    /// The inputs that differ from their defaults, or with `verbose_log` all of them.
    pub(crate) fn inputs(&mut self, inputs: &RawInputs) {
        self.build_annotation = inputs.build_annotation();
        set_verbose(inputs.is_verbose());
        title("Config");
        let mut any = false;
        for line in inputs.lines.iter().filter(|line| line.is_changed || inputs.is_verbose()) {
            any = true;
            info(&text!("- {}: {}", line.name, line.value));
        }
        if !any {
            info(&text!("- All have their defaults."));
        }
    }

    /// What is odd about the inputs: those that are set, and that the toggle leaves aside, and what
    /// may be meant as it is.
    pub(crate) fn warn_about_inputs(&mut self, config: &Config) {
        for warning in &config.warnings {
            self.run_log.warn(warning.clone());
        }
        if !config.ignored.is_empty() {
            let names = crate::config::names(&config.ignored);
            self.run_log.warn(text!("Ignored, because `connection` is {}: {}.", config.connection, names));
        }
    }

    /// The credential in use: which, from where, whose, and for how long; and what it cannot do.
    pub(crate) fn resolved(&mut self, resolved: &ResolvedCredential, config: &Config, now: OffsetDateTime) {
        let origin = match resolved.source {
            Source::Connection => "connected on Bitrise",
            Source::Config => "in the config",
        };
        let kind = match &resolved.credential {
            Credential::ApiKey(_) => "API key",
            Credential::AppleId(_) => "Apple ID",
        };
        done(&text!("Using the {} {}.", kind, origin));
        self.credential = Some(text!("{}, {}", kind, origin));
        self.warn_about_overridden_inputs(kind, resolved, config);
        match &resolved.credential {
            Credential::ApiKey(key) => {
                self.run_log.detail("Key ID", key.id.shown());
                self.run_log.detail(
                    "Issuer ID",
                    key.issuer().map_or(text!("none, an individual key"), IssuerId::shown),
                );
                if key.enterprise {
                    self.run_log.detail("Apple Developer Enterprise Program", text!("yes"));
                }
                if !key.id.is_usual() {
                    self.run_log.warn(text!(
                        "The key ID is not of the usual form (10 upper-case letters and digits): check it if Apple refuses the key."
                    ));
                }
                if key.issuer().is_none() {
                    self.run_log.info(&text!(
                        "- An individual key cannot provision (certificates, profiles, devices). Bitrise's own Steps and xcodebuild cannot use it: they ask for an issuer."
                    ));
                }
            }
            Credential::AppleId(apple_id) => {
                self.run_log.detail("Apple ID", redact::email(apple_id.email.expose_secret()));
                self.run_log.detail("Session", session(apple_id, now));
                self.session_end(apple_id, config.session_expiry_warning_days, now);
            }
        }
    }

    /// Warns of a credential in the config that lost to the connected one: it may be another
    /// team's, and the one that the user means.
    fn warn_about_overridden_inputs(
        &mut self,
        kind: &'static str,
        resolved: &ResolvedCredential,
        config: &Config,
    ) {
        if resolved.source == Source::Connection && config.credential.is_some() {
            self.run_log.warn(text!(
                "The {} connected on Bitrise is used, and the credential in the config ({}) is not: to use that one, set `connection: \"off\"`.",
                kind,
                crate::config::names(&config.source_inputs)
            ));
        }
    }

    /// Warns of tools that the user chose, and that get no credential. The default also names tools
    /// for other credentials, and nobody chose it.
    pub(crate) fn skipped_tools(
        &mut self,
        skipped_tools: &[SkippedTool],
        resolved: Option<&ResolvedCredential>,
        config: &Config,
    ) {
        let Some(resolved) = resolved.filter(|_| config.export_for_is_chosen) else { return };
        let useless: Vec<_> =
            skipped_tools.iter().filter(|of| of.missing.is_empty()).map(|of| of.tool).collect();
        if !useless.is_empty() {
            self.run_log.warn(text!(
                "Some of the tools in `export_for` cannot use {}: {}.",
                match Login::of(&resolved.credential) {
                    Login::TeamKey => "an API key",
                    Login::IndividualKey => "an individual API key",
                    Login::AppleId => "an Apple ID",
                },
                tool_names(useless)
            ));
        }
        for SkippedTool { tool, missing } in skipped_tools.iter().filter(|of| !of.missing.is_empty()) {
            let ways: Vec<_> = missing.iter().map(|facts| conditions(facts)).collect();
            self.run_log.warn(text!(
                "Nothing is exported for {}, which needs more than this Apple ID: set {}.",
                tool.name,
                Text::join(&ways, ", or ")
            ));
        }
    }

    fn session_end(&mut self, apple_id: &AppleId, warning_days: i64, now: OffsetDateTime) {
        let Some(end) = apple_id.session.as_ref().and_then(|session| session.expires_at) else { return };
        self.days_left = Some((end - now).whole_days());
        if warning_days > 0 && end - now <= Duration::days(warning_days) {
            self.run_log.warn(text!(
                "The Apple ID's session ends on {}, in {}: renew it before builds fail.",
                timestamp::format(end),
                timestamp::time_left(end, now)
            ));
        }
    }

    /// The test devices that can be used. Warns about the first that are skipped and counts the others.
    pub(crate) fn usable_devices(&mut self, records: &[DeviceRecord]) -> Vec<Device> {
        /// A connection can have thousands of devices.
        const MAX_NAMED: usize = 5;
        /// Enough of a title to tell devices apart.
        const MAX_TITLE: usize = 60;
        let (devices, skipped) = device::usable(records);
        let title = |title: &str| redact::service_text(title, MAX_TITLE);
        for SkippedDevice { title: skipped, reason } in skipped.iter().take(MAX_NAMED) {
            self.run_log.warn(match reason {
                SkipReason::MissingUdid => {
                    text!("The test device \"{}\" has no valid UDID and is skipped.", title(skipped))
                }
                SkipReason::DuplicateOf(first) => text!(
                    "The test device \"{}\" has the same UDID as \"{}\" and is skipped.",
                    title(skipped),
                    title(devices.get(*first).map_or("", |device| &device.title))
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

    /// Whether Apple was asked, and what it said.
    pub(crate) fn verification(&mut self, verification: &Verification) {
        if verification.is_verified() {
            done(&text!("Apple accepted it."));
        }
        for reason in verification.reasons() {
            self.run_log.warn(text!("Not verified, and the build goes on: {}.", reason));
        }
        self.verification = Some(verification.clone());
    }

    /// Writes the summary on the build's page, where the user wants one. That it cannot be written
    /// is no reason to fail a build.
    pub(crate) async fn write_summary(
        &mut self,
        failed: Option<&Failed>,
        time_limit: std::time::Duration,
        env: &Env,
        http: &Http,
    ) {
        let style = match failed {
            Some(_) => Style::Error,
            None if self.run_log.warnings().is_empty() => Style::Info,
            None => Style::Warning,
        };
        let is_wanted = match self.build_annotation {
            BuildAnnotation::Problems => style != Style::Info,
            BuildAnnotation::Always => true,
            BuildAnnotation::Never => false,
        };
        if !is_wanted {
            return;
        }
        match annotation::write(&self.summary(failed), style, time_limit, env, http).await {
            Ok(true) => debug(&text!("The summary is on the build's page.")),
            Ok(false) => debug(&text!("There is no build's page to write the summary on.")),
            Err(error) => self.run_log.warn(Text::of(&error)),
        }
    }

    /// What later Steps see.
    pub(crate) fn outputs(&mut self, outputs: Outputs) {
        for (name, value) in &outputs.shown {
            info(&text!("- {}: {}", *name, value));
        }
        self.outputs = outputs.shown;
    }

    /// What `action: remove` took away.
    pub(crate) fn removal(&mut self, folder_deleted: bool, entries: &[Entry]) {
        for entry in entries {
            info(&text!("- {} is now empty for later steps.", entry.key));
        }
        let folder = if folder_deleted {
            "The credential's folder is deleted."
        } else {
            "There was no folder to delete."
        };
        info(&text!("- {}", folder));
        let outputs = match entries.len() {
            0 => text!("No output is taken from later steps."),
            1 => text!("1 output is now empty for later steps."),
            several => text!("{} outputs are now empty for later steps.", several),
        };
        self.removal = Some(text!("{} {}", folder, outputs));
    }
}

/// ``"`team_id` and an app-specific password (`app_password`)"``
fn conditions(facts: &[OutputValue]) -> Text {
    let conditions: Vec<_> =
        facts.iter().filter_map(|fact| fact.condition()).map(|what| text!("{}", what)).collect();
    Text::join(&conditions, " and ")
}

fn session(apple_id: &AppleId, now: OffsetDateTime) -> Text {
    let Some(session) = &apple_id.session else { return text!("none") };
    match session.expires_at {
        Some(end) => text!("ends on {} ({} left)", timestamp::format(end), timestamp::time_left(end, now)),
        None => text!("its end is unknown"),
    }
}

/// ``"`api_key_id` and `api_issuer` are"``
fn are(inputs: &[&'static str]) -> Text {
    match inputs.split_last() {
        Some((last, [])) => text!("`{}` is", *last),
        Some((last, others)) => text!("{} and `{}` are", crate::config::names(others), *last),
        None => text!(""),
    }
}

/// What to set up when there is no credential, and where. `other_connected`: what is connected
/// although the toggle asks for the other kind.
#[must_use]
pub(crate) fn missing(inputs: &Config, other_connected: Option<Kind>) -> Text {
    const KEY: &str = "connect an API key on Bitrise (Project settings > Integrations > Stores)";
    const APPLE_ID: &str = "connect an Apple ID on Bitrise (Account settings > Apple Service connection, then Project settings > Integrations)";
    if !inputs.without_secrets.is_empty() {
        return text!(
            "{} set, but no key or password is: check the spelling of the Secret's name. In a pull-request build, expose the Secret, or set `if_missing` to skip.",
            are(&inputs.without_secrets)
        );
    }
    match (inputs.connection, other_connected) {
        (Toggle::Automatic, _) => text!(
            "No Apple credential was found: {}, or set `api_key_path` and `api_issuer`, or `apple_id` and `fastlane_session`.",
            KEY
        ),
        (Toggle::ApiKey, Some(_)) => text!(
            "`connection` is api_key, but no API key is connected to this project; an Apple ID is. To use that, set `connection` to apple_id. Otherwise {}.",
            KEY
        ),
        (Toggle::ApiKey, None) => {
            text!(
                "No API key is connected to this project: {}, or set `connection` to off and give the key in the inputs.",
                KEY
            )
        }
        (Toggle::AppleId, Some(_)) => text!(
            "`connection` is apple_id, but no Apple ID is connected to this project; an API key is. To use that, set `connection` to api_key. Otherwise {}.",
            APPLE_ID
        ),
        (Toggle::AppleId, None) => text!(
            "No Apple ID is connected to this project: {}, or set `connection` to off and give the Apple ID in the inputs.",
            APPLE_ID
        ),
        (Toggle::Off, _) => text!(
            "`connection` is off, and no Apple credential is in the inputs: set `api_key_path` and `api_issuer`, or `apple_id` and `fastlane_session`."
        ),
    }
}
