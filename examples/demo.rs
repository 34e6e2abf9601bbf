//! Runs the Step without contacting other machines, and prints what it does: `cargo run --example demo`.
//!
//! The real binary runs three times, as the Bitrise CLI would start it. A stand-in on loopback simulates Bitrise
//! and Apple, and checks each request as they do. The private key is new each time the example starts. The
//! files of each run are in a temporary folder, which is deleted at the end.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use stand_in::Service;
use test_support::{Outcome, demo};

fn main() -> Result<(), Box<dyn Error>> {
    build()?;

    println!("\n== 1. An API key connected to the project ==");
    show(&demo::api_key().succeeds())?;

    println!("\n== 2. A connected Apple ID whose session ends in 3 days ==");
    show(&demo::expiring_session().succeeds())?;

    println!("\n== 3. An API key of a team that does not have the app ==");
    show(&demo::wrong_team().run())
}

/// Builds the Step's binary next to this example, in the same profile.
fn build() -> Result<(), Box<dyn Error>> {
    // <target folder>/<profile>/examples/demo
    let example = env::current_exe()?;
    let profile_folder = example.ancestors().nth(2).ok_or("this example is not in a target folder")?;
    let target_folder = profile_folder.parent().ok_or("this example is not in a target folder")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Also names the example, so that cargo enables the same features as for it and reuses its artifacts.
    cargo.args(["build", "--bin", env!("CARGO_PKG_NAME"), "--example", "demo", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target_folder);
    if profile_folder.ends_with("release") {
        cargo.arg("--release");
    }
    if cargo.status()?.success() { Ok(()) } else { Err("cannot build the Step's binary".into()) }
}

/// Prints the log, the requests, the files, the outputs and the summary of a run.
fn show(outcome: &Outcome) -> Result<(), Box<dyn Error>> {
    println!("{}", outcome.stdout.trim_end());

    println!("\n-- Requests made --");
    for request in &outcome.requests {
        let server = match request.service {
            Service::Connection | Service::Annotations => "Bitrise",
            Service::AppStoreConnect => "App Store Connect API",
            Service::AppleSession => "App Store Connect website",
            Service::File | Service::Unknown => "other",
        };
        println!("{server}: {} {}", request.method, request.target);
    }

    println!("\n-- Files --");
    list(&outcome.root.path().join("tmp"), 0)?;
    if outcome.leftovers.is_empty() {
        println!("(none)");
    }

    println!("\n-- What later Steps see --");
    for entry in outcome.entries() {
        // The Bitrise CLI redacts secrets in logs, too.
        let value = if entry.is_sensitive == Some(true) { "[REDACTED]" } else { &entry.value };
        println!("{}={value}", entry.key);
    }
    if outcome.entries().is_empty() {
        println!("(nothing)");
    }

    if let Some(summary) = outcome.summary() {
        println!("\n-- Summary on the build's page, in Markdown --\n{}", summary.trim_end());
    }
    Ok(())
}

/// Lists the files in a folder and in the folders below it, with their permissions.
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
