//! What the Step does, shown on this machine alone: `cargo run --example demo`.
//!
//! The real binary runs twice, as the Bitrise CLI would start it: with an API key that is
//! connected to the project, and with the connection toggled off and an Apple ID in the inputs.
//! Bitrise and Apple are played by the bundled stand-in, on loopback, which verifies what it is
//! sent as they do; the key is made on the spot; all files lie in a temporary folder that goes
//! away at the end.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use stand_in::Service;
use test_support::{CONNECTED_APPLE_ID, Outcome, Step, account, all, api_key, logged_in, pasted_session};

fn main() -> Result<(), Box<dyn Error>> {
    build()?;

    heading("1. An API key is connected to the project; Apple is the stand-in");
    let device = json!({
        "device_identifier": "00008030-001A2B3C4D5E6F70", "title": "Jane's iPhone", "device_type": "ios",
    });
    let connected = all([api_key(), json!({"test_devices": [device]})]);
    show(&Step::new().connected(&connected).verified_by(account(vec![])).passes())?;

    heading("2. The connection is off; an Apple ID and a session are in the inputs");
    let step = Step::new().connected(&connected).set_all([
        ("connection", "off"),
        ("apple_id", CONNECTED_APPLE_ID),
        ("password", "correct horse battery staple"),
        ("fastlane_session", &format!("export FASTLANE_SESSION='{}'", pasted_session())),
    ]);
    show(&step.verified_by_session(logged_in(vec![])).passes())
}

/// Builds the Step's binary beside this example, in the same profile.
fn build() -> Result<(), Box<dyn Error>> {
    // <target folder>/<profile>/examples/demo
    let example = env::current_exe()?;
    let profile_folder = example.ancestors().nth(2).ok_or("this example lies in no target folder")?;
    let target_folder = profile_folder.parent().ok_or("this example lies in no target folder")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--bin", env!("CARGO_PKG_NAME"), "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target_folder);
    if profile_folder.ends_with("release") {
        cargo.arg("--release");
    }
    if cargo.status()?.success() { Ok(()) } else { Err("the Step's binary could not be built".into()) }
}

/// Shows the log of a run and what it leaves behind.
fn show(outcome: &Outcome) -> Result<(), Box<dyn Error>> {
    println!("{}", outcome.stdout);
    heading("Who was asked");
    for request in &outcome.requests {
        let who = match request.service {
            Service::Connection | Service::Annotations => "Bitrise",
            Service::AppStoreConnect => "App Store Connect API",
            Service::AppleSession => "App Store Connect",
            Service::File | Service::Unknown => "another",
        };
        println!("{who}: {} {}", request.method, request.target);
    }
    heading("Files, with their permissions");
    list(&outcome.root.path().join("tmp"), 0)?;
    heading("What a later Step sees");
    for entry in outcome.entries() {
        // Secrets as the Bitrise CLI shows them in logs.
        let is_sensitive = entry.is_sensitive == Some(true);
        println!("{}={}", entry.key, if is_sensitive { "[REDACTED]" } else { &entry.value });
    }
    Ok(())
}

/// Lists a folder and what is below it, with permissions.
fn list(folder: &Path, depth: usize) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        let mode = metadata.permissions().mode() & 0o7777;
        println!("{mode:04o} {}{}", "  ".repeat(depth), entry.file_name().display());
        if metadata.is_dir() {
            list(&entry.path(), depth + 1)?;
        }
    }
    Ok(())
}

fn heading(text: &str) {
    println!("\n== {text} ==");
}
