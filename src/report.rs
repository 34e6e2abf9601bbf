//! What a run tells: in the log as it goes, and on the build's page in the end.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use time::{Duration, OffsetDateTime};

use crate::bitrise::entry::Entry;
use crate::bitrise::log::{done, printable, title};
use crate::clock;
use crate::credential::{AppleId, Credential, Found, Source, Toggle};
use crate::inputs::{Inputs, Values};
use crate::tools::{Tool, chosen};
use crate::verify::Verification;
use crate::warnings::Warnings;

/// A session lasts that long, as Apple makes them now.
const SESSION_DAYS: i64 = 30;

/// What was found out so far; what is missing when a run fails is not on the page.
#[derive(Debug, Default)]
pub struct Report {
    pub warnings: Warnings,
    /// Label and value of what describes the credential, for log and page alike.
    credential: Vec<(&'static str, String)>,
    /// Instant and days left.
    session_end: Option<(OffsetDateTime, i64)>,
    verification: Option<Verification>,
    /// Names, and who reads them.
    outputs: Vec<(&'static str, String)>,
    /// What `action: remove` took away; there is no credential on the page then.
    removal: Option<String>,
    stage: Option<(&'static str, OffsetDateTime)>,
}

impl Report {
    /// Begins a stage of the run, and says at debug level how long the one before took.
    pub fn stage(&mut self, name: &'static str, now: OffsetDateTime) {
        self.end_stage(now);
        title(name);
        self.stage = Some((name, now));
    }

    /// Ends the stage that is under way.
    pub fn end_stage(&mut self, now: OffsetDateTime) {
        if let Some((name, began)) = self.stage.take() {
            let milliseconds = (now - began).as_seconds_f64() * 1000.0;
            log::debug!("{name} took {milliseconds:.1} ms.");
        }
    }

    /// The inputs as the Step got them, secrets hidden.
    pub fn values(&mut self, values: &Values) {
        title("Inputs");
        for (name, value) in &values.printable {
            log::info!("- {name}: {value}");
        }
    }

    /// The inputs that are set, and that the toggle leaves aside.
    pub fn ignored(&mut self, inputs: &Inputs) {
        if !inputs.ignored.is_empty() {
            let names: Vec<_> = inputs.ignored.iter().map(|name| format!("`{name}`")).collect();
            let names = names.join(", ");
            self.warnings.add(format!("Ignored, because `connection` is {}: {names}.", inputs.connection));
        }
    }

    /// The credential in use: which, from where, whose, and for how long; and what it cannot do.
    pub fn found(&mut self, found: &Found, inputs: &Inputs, now: OffsetDateTime) {
        let origin = match found.source {
            Source::Connection => "connected on Bitrise",
            Source::Inputs => "in the inputs",
        };
        let kind = match &found.credential {
            Credential::ApiKey(_) => "API key",
            Credential::AppleId(_) => "Apple ID",
        };
        done(&format!("Using the {kind} {origin}."));
        self.credential = describe(&found.credential, now);
        for (label, value) in &self.credential {
            log::info!("- {label}: {value}");
        }
        self.credential.insert(0, ("Credential", format!("{kind}, {origin}")));
        match &found.credential {
            Credential::ApiKey(key) => {
                if !key.id.is_usual() {
                    self.warnings.add(format!("The key ID {} is not of the usual form (10 upper-case letters and digits): check it if Apple refuses the key.", key.id));
                }
                if key.issuer().is_none() {
                    log::info!(
                        "- An individual key cannot provision (certificates, profiles, devices), and Bitrise's own Steps cannot use it: they ask for an issuer."
                    );
                    self.useless_for(inputs, "individual API key", |tool| !tool.takes_individual_key());
                }
            }
            Credential::AppleId(apple_id) => {
                self.useless_for(inputs, "Apple ID", |tool| !tool.takes_apple_id());
                self.session_end(apple_id, inputs.session_expiry_warning_days, now);
            }
        }
    }

    fn useless_for(&mut self, inputs: &Inputs, what: &str, cannot: fn(Tool) -> bool) {
        let names: Vec<_> =
            inputs.export_for.iter().filter(|tool| cannot(**tool)).map(|tool| tool.name()).collect();
        if names.is_empty() {
            return;
        }
        let warning =
            format!("An {what} is of no use to some of the tools in `export_for`: {}.", names.join(", "));
        if inputs.export_for_is_chosen {
            self.warnings.add(warning);
        } else {
            // The default names them for all credentials: worth a line, and no place in the report.
            log::warn!("{warning}");
        }
    }

    fn session_end(&mut self, apple_id: &AppleId, warning_days: i64, now: OffsetDateTime) {
        let Some(end) = apple_id.session.as_ref().and_then(|session| session.expires_at) else { return };
        self.session_end = Some((end, (end - now).whole_days()));
        if warning_days > 0 && end - now <= Duration::days(warning_days) {
            self.warnings.add(format!(
                "The Apple ID's session ends on {}, in {}: renew it before builds fail.",
                clock::day(end),
                clock::time_left(end, now),
            ));
        }
    }

    /// Whether Apple was asked, and what it said.
    pub fn verification(&mut self, verification: &Verification) {
        match verification {
            Verification::Verified => done("Apple accepted it."),
            Verification::NotVerified { why } => {
                self.warnings.add(format!("Not verified, and the build goes on: {why}."));
            }
            Verification::NotAsked => {}
        }
        self.verification = Some(verification.clone());
    }

    /// The names of what later Steps see.
    pub fn outputs(&mut self, entries: &[Entry], tools: &BTreeSet<Tool>) {
        for entry in entries {
            log::info!("- {}{}", entry.key, if entry.is_sensitive { " (secret)" } else { "" });
        }
        self.outputs = entries.iter().map(|entry| (entry.key, readers(entry.key, tools))).collect();
    }

    /// What `action: remove` took away.
    pub fn removal(&mut self, folder_deleted: bool, entries: &[Entry]) {
        let folder = if folder_deleted { "The credential's folder is deleted" } else { "No folder was left" };
        self.removal = Some(format!("{folder}, {} outputs are unset.", entries.len()));
    }

    /// The build's page: Markdown, without secrets.
    #[must_use]
    pub fn page(&self, error: Option<&str>) -> String {
        let mut page = String::new();
        let mut line = |text: &str| {
            page.push_str(text);
            page.push('\n');
        };
        line("### Apple services connection");
        line("");
        if let Some(error) = error {
            line(&format!("❌ **{}**", markdown(error)));
            line("");
        }
        if !self.credential.is_empty() {
            line("| | |");
            line("|---|---|");
            for (label, value) in &self.credential {
                line(&format!("| {label} | {} |", markdown(value)));
            }
            if let Some((_, days)) = self.session_end {
                line(&format!("| Days left | {} |", bar(days)));
            }
            if let Some(verification) = &self.verification {
                line(&format!("| Verified | {} |", markdown(&verified(verification))));
            }
            line("");
        } else if let Some(removal) = &self.removal {
            line(&format!("🧹 {removal}"));
            line("");
        } else if error.is_none() {
            line("⚪ No Apple credential was found.");
            line("");
        }
        for warning in self.warnings.all() {
            line(&format!("- ⚠️ {}", markdown(warning)));
        }
        if !self.warnings.all().is_empty() {
            line("");
        }
        if !self.outputs.is_empty() {
            line("| Output | Read by |");
            line("|---|---|");
            for (name, readers) in &self.outputs {
                line(&format!("| `{name}` | {readers} |"));
            }
        }
        page
    }
}

fn describe(credential: &Credential, now: OffsetDateTime) -> Vec<(&'static str, String)> {
    match credential {
        Credential::ApiKey(key) => {
            let mut rows = vec![("Key ID", key.id.to_string())];
            match key.issuer() {
                Some(issuer) => rows.push(("Issuer ID", issuer.to_string())),
                None => rows.push(("Issuer ID", "none, an individual key".to_owned())),
            }
            if key.enterprise {
                rows.push(("Apple Developer Enterprise Program", "yes".to_owned()));
            }
            rows
        }
        Credential::AppleId(apple_id) => {
            vec![("Apple ID", masked(apple_id.email.expose_secret())), ("Session", session(apple_id, now))]
        }
    }
}

fn session(apple_id: &AppleId, now: OffsetDateTime) -> String {
    let Some(session) = &apple_id.session else { return "none".to_owned() };
    match session.expires_at {
        Some(end) => format!("ends on {} ({} left)", clock::day(end), clock::time_left(end, now)),
        None => "its end is unknown".to_owned(),
    }
}

/// `j***@example.com`: enough to tell accounts apart.
fn masked(apple_id: &str) -> String {
    let first = apple_id.chars().next().map(String::from).unwrap_or_default();
    match apple_id.split_once('@') {
        Some((_, domain)) => format!("{first}***@{domain}"),
        None => format!("{first}***"),
    }
}

fn verified(verification: &Verification) -> String {
    match verification {
        Verification::Verified => "✅ yes, Apple accepted it".to_owned(),
        Verification::NotVerified { why } => format!("⚠️ no: {why}"),
        Verification::NotAsked => "⚪ no: `verify` is no".to_owned(),
    }
}

/// ▓▓▓▓▓▓░░░░ 18
fn bar(days: i64) -> String {
    const WIDTH: i64 = 10;
    let filled = (days.clamp(0, SESSION_DAYS) * WIDTH + SESSION_DAYS - 1) / SESSION_DAYS;
    (0..WIDTH).map(|at| if at < filled { '▓' } else { '░' }).chain(format!(" {days}").chars()).collect()
}

fn readers(name: &str, tools: &BTreeSet<Tool>) -> String {
    let rows = chosen(tools).filter(|output| output.name == name).filter_map(|output| output.tool);
    let readers: Vec<_> = rows.map(Tool::readers).collect();
    if readers.is_empty() { "your workflow".to_owned() } else { readers.join(", ") }
}

/// Text that Markdown shows as it is, in one line of a table. What stands between backticks
/// stays code, in which nothing but the table's own bar is special.
fn markdown(text: &str) -> String {
    let text = printable(text);
    let mut escaped = String::with_capacity(text.len());
    for (at, part) in text.split('`').enumerate() {
        let is_code = at % 2 == 1;
        if at > 0 {
            escaped.push('`');
        }
        for c in part.chars() {
            match c {
                '|' => escaped.push_str("\\|"),
                _ if is_code => escaped.push(c),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '&' => escaped.push_str("&amp;"),
                '*' | '_' | '[' | ']' | '\\' => escaped.extend(['\\', c]),
                _ => escaped.push(c),
            }
        }
    }
    escaped
}

/// What to set up when there is no credential, and where.
#[must_use]
pub fn missing(inputs: &Inputs) -> String {
    const KEY: &str = "an API key on Bitrise (Workspace settings > Integrations > App Store Connect, then Project settings > Integrations > Stores)";
    const APPLE_ID: &str = "an Apple ID on Bitrise (Account settings > Apple Service connection, then Project settings > Integrations)";
    match inputs.connection {
        Toggle::Automatic => format!(
            "No Apple credential was found: connect {KEY}, or set `api_key_path` and `api_issuer`, or `apple_id` and `fastlane_session`."
        ),
        Toggle::ApiKey => format!("No API key is connected to this project: connect {KEY}, or choose another `connection`."),
        Toggle::AppleId => format!("No Apple ID is connected to this project: connect {APPLE_ID}, or choose another `connection`."),
        Toggle::Off => "No Apple credential is in the inputs, and `connection` is off: set `api_key_path` and `api_issuer`, or `apple_id` and `fastlane_session`.".to_owned(),
    }
}
