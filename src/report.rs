//! What the log tells about a run.

use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

use crate::bitrise::envstore::Entry;
use crate::bitrise::log::{done, title};
use crate::clock;
use crate::credential::{AppleId, Credential, Found, Source, Toggle};
use crate::inputs::{Inputs, Values};

/// The inputs as the Step got them, secrets hidden.
pub fn values(values: &Values) {
    title("Inputs");
    for (name, value) in &values.printable {
        log::info!("- {name}: {value}");
    }
}

/// The inputs that are set, and that the toggle leaves aside.
pub fn ignored(inputs: &Inputs) {
    if inputs.ignored.is_empty() {
        return;
    }
    let names: Vec<_> = inputs.ignored.iter().map(|name| format!("`{name}`")).collect();
    log::warn!("Ignored, because `connection` is {}: {}.", inputs.connection, names.join(", "));
}

/// The credential in use: which, from where, whose, and for how long.
pub fn found(found: &Found, now: OffsetDateTime) {
    let origin = match found.source {
        Source::Connection => "connected on Bitrise",
        Source::Inputs => "in the inputs",
    };
    match &found.credential {
        Credential::ApiKey(key) => {
            done(&format!("Using the API key {origin}."));
            log::info!("- Key ID: {}", key.id);
            log::info!("- Issuer ID: {}", key.issuer);
            if key.enterprise {
                log::info!("- Apple Developer Enterprise Program: yes");
            }
            if !key.id.is_usual() {
                log::warn!(
                    "The key ID {} is not of the usual form (10 upper-case letters and digits): check it if Apple refuses the key.",
                    key.id
                );
            }
        }
        Credential::AppleId(apple_id) => {
            done(&format!("Using the Apple ID {origin}."));
            log::info!("- Apple ID: {}", masked(apple_id.email.expose_secret()));
            log::info!("- Session: {}", session(apple_id, now));
        }
    }
}

fn session(apple_id: &AppleId, now: OffsetDateTime) -> String {
    let Some(session) = &apple_id.session else { return "none".to_owned() };
    match session.expires_at {
        Some(expires_at) => {
            format!("ends on {} ({} left)", clock::day(expires_at), clock::time_left(expires_at, now))
        }
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

/// What to set up when there is no credential, and where.
#[must_use]
pub fn missing(inputs: &Inputs) -> String {
    const CONNECT: &str = "on Bitrise (Workspace settings > Integrations > Apple Service connection, then assign it to the project)";
    match inputs.connection {
        Toggle::Automatic => format!(
            "No Apple credential was found: connect an API key or an Apple ID {CONNECT}, or set `api_key_path` and `api_issuer`, or `apple_id` and `fastlane_session`."
        ),
        Toggle::ApiKey => format!("No API key is connected to this project: connect one {CONNECT}, or choose another `connection`."),
        Toggle::AppleId => format!("No Apple ID is connected to this project: connect one {CONNECT}, or choose another `connection`."),
        Toggle::Off => "No Apple credential is in the inputs, and `connection` is off: set `api_key_path` and `api_issuer`, or `apple_id` and `fastlane_session`.".to_owned(),
    }
}

/// The names of what later Steps see.
pub fn outputs(entries: &[Entry]) {
    for entry in entries {
        log::info!("- {}{}", entry.key, if entry.is_sensitive { " (secret)" } else { "" });
    }
}
