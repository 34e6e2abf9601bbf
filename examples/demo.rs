//! What the Step does, shown on this machine alone: `cargo run --example demo`.
//!
//! The real binary runs twice, as the Bitrise CLI would start it: with an API key that is
//! connected to the project, and with the connection toggled off and an Apple ID in the inputs.
//! Bitrise and Apple are played by the bundled stand-in, on loopback, which verifies what it is
//! sent as they do; the key is made on the spot; all files lie in a temporary folder that goes
//! away at the end.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use stand_in::keys::P256;
use stand_in::{Account, Connection, PublicKey, Service, Session, StandIn};
use time::{Duration, OffsetDateTime};

const BINARY: &str = "apple-services-connection";
const BUILD_API_TOKEN: &str = "the-token-of-this-build";
const KEY_ID: &str = "2X9R4HXF34";
const ISSUER_ID: &str = "57246542-96fe-1a63-e053-0824d011072a";
const SESSION_COOKIE: (&str, &str) = ("itctx", "eyJjcCI6InN0YW5kLWluIn0");

fn main() -> Result<(), Box<dyn Error>> {
    let binary = build()?;
    let services = StandIn::start()?;
    let key = P256::generate()?;
    let build_url = services.connection(
        "demo",
        Connection {
            token: BUILD_API_TOKEN.to_owned(),
            body: connected_api_key(&key),
            behaviours: Vec::new(),
        },
    );
    let account = services.app_store_connect(
        "demo",
        Account {
            public_key: PublicKey::from_spki_pem(&key.public_pem)?,
            key_id: KEY_ID.to_owned(),
            issuer_id: Some(ISSUER_ID.to_owned()),
            enterprise: false,
            clock_skew_seconds: 0,
            behaviours: Vec::new(),
        },
    );
    let (name, value) = SESSION_COOKIE;
    let cookies = BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let website = services.apple_session("demo", Session { cookies, ..Session::default() });
    // What the Bitrise CLI sets, and Apple's addresses, so that nothing leaves this machine.
    let surroundings = [
        ("BITRISE_BUILD_URL", build_url.as_str()),
        ("BITRISE_BUILD_API_TOKEN", BUILD_API_TOKEN),
        ("app_store_connect_url", account.as_str()),
        ("app_store_connect_enterprise_url", account.as_str()),
        ("apple_session_url", website.as_str()),
    ];

    heading("1. An API key is connected to the project; Apple is the stand-in");
    run_step(&binary, &surroundings, &services)?;

    heading("2. The connection is off; an Apple ID and a session are in the inputs");
    let session = pasted_session(OffsetDateTime::now_utc());
    let inputs = [
        ("connection", "off"),
        ("apple_id", "jane@example.com"),
        ("password", "correct horse battery staple"),
        ("fastlane_session", session.as_str()),
    ];
    run_step(&binary, &[surroundings.as_slice(), inputs.as_slice()].concat(), &services)
}

/// Builds the Step's binary beside this example, in the same profile, and returns its path.
fn build() -> Result<PathBuf, Box<dyn Error>> {
    // <target folder>/<profile>/examples/demo
    let example = env::current_exe()?;
    let profile_folder = example.ancestors().nth(2).ok_or("this example lies in no target folder")?;
    let target_folder = profile_folder.parent().ok_or("this example lies in no target folder")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--bin", BINARY, "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target_folder);
    if profile_folder.ends_with("release") {
        cargo.arg("--release");
    }
    if !cargo.status()?.success() {
        return Err("the Step's binary could not be built".into());
    }
    Ok(profile_folder.join(BINARY))
}

/// The document that Bitrise serves for a project with a connected API key and a test device.
fn connected_api_key(key: &P256) -> String {
    let connection = serde_json::json!({
        "key_id": KEY_ID,
        "issuer_id": ISSUER_ID,
        "private_key": key.private_pem,
        "is_enterprise_account": false,
        "test_devices": [{
            "device_identifier": "00008030-001A2B3C4D5E6F70",
            "title": "Jane's iPhone",
            "device_type": "ios",
        }],
    });
    connection.to_string()
}

/// What `fastlane spaceauth` prints, with made-up cookies: one line, newlines written `\n`. The
/// last cookie is for the stand-in, which gets no other, as Apple's hosts get only their own.
fn pasted_session(now: OffsetDateTime) -> String {
    let made = now - Duration::days(3);
    let (date, hour, minute) = (made.date(), made.hour(), made.minute());
    let (name, value) = SESSION_COOKIE;
    let session = format!(
        "---
- !ruby/object:HTTP::Cookie
  name: myacinfo
  value: DAWTKNV323952cf8084a204fb20ab2508441a07d02d32f
  domain: apple.com
  for_domain: true
  path: \"/\"
  secure: true
  httponly: true
- !ruby/object:HTTP::Cookie
  name: DES5c148586dfd451e55afb
  value: HSARMTKNSRVTWFla1+yO4gVPowH17VaaaxPFnUdMUegQZxqy1Ie1c2v6bM1vSOzIb
  domain: idmsa.apple.com
  for_domain: true
  path: \"/\"
  secure: true
  httponly: true
  max_age: 2592000
  created_at: {date} {hour:02}:{minute:02}:00.000000000 Z
- !ruby/object:HTTP::Cookie
  name: {name}
  value: {value}
  domain: 127.0.0.1
  for_domain: false
  path: \"/\"
  secure: false
  httponly: true
"
    );
    format!("export FASTLANE_SESSION='{}'", session.replace('\n', "\\n"))
}

/// Starts the Step with these variables and nothing else, and shows what it leaves behind.
fn run_step(binary: &Path, variables: &[(&str, &str)], services: &StandIn) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let requests_before = services.requests().len();
    let envstore = folder.path().join(".envstore.yml");
    let status = Command::new(binary)
        .env_clear()
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .env("ENVMAN_ENVSTORE_PATH", &envstore)
        .envs(variables.iter().copied())
        .status()?;
    if !status.success() {
        return Err(format!("the Step failed ({status})").into());
    }

    heading("Who was asked");
    for request in services.requests().iter().skip(requests_before) {
        let who = match request.service {
            Service::Connection | Service::Annotations => "Bitrise",
            Service::AppStoreConnect => "App Store Connect API",
            Service::AppleSession => "App Store Connect",
            Service::File | Service::Unknown => "another",
        };
        println!("{who}: {} {}", request.method, request.target);
    }
    heading("Files, with their permissions");
    list(folder.path(), 0)?;
    heading("What a later Step sees");
    for (name, value) in outputs(&envstore)? {
        println!("{name}={value}");
    }
    Ok(())
}

/// The part of envman's file that matters here.
#[derive(Deserialize)]
struct Envstore {
    envs: Vec<Env>,
}

#[derive(Deserialize)]
struct Env {
    #[serde(default)]
    opts: Options,
    #[serde(flatten)]
    name_and_value: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Options {
    #[serde(default)]
    is_sensitive: bool,
}

/// Names and values in the envstore; secrets as the Bitrise CLI shows them in logs.
fn outputs(envstore: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let store: Envstore = serde_yaml::from_str(&fs::read_to_string(envstore)?)?;
    let masked = |env: Env| {
        let is_sensitive = env.opts.is_sensitive;
        let mask = move |value| if is_sensitive { "[REDACTED]".to_owned() } else { value };
        env.name_and_value.into_iter().map(move |(name, value)| (name, mask(value)))
    };
    Ok(store.envs.into_iter().flat_map(masked).collect())
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
