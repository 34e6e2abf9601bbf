//! The server for scripts, with scenarios that are files: see `--help`.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use stand_in::FolderStandIn;
use stand_in::keys::P256;

const HELP: &str = r#"Simulates Bitrise's connected credential and build annotations, a file server, and Apple's App Store
Connect, on 127.0.0.1.

    stand-in --root DIR --token TOKEN [--https] [--no-stdin]
    stand-in new-key PRIVATE_PEM PUBLIC_PEM

Writes its origin (http://127.0.0.1:PORT) to DIR/origin when it is ready, and appends every
request to DIR/requests.jsonl, one JSON object per line, with secrets. Exits when its standard
input closes, unless --no-stdin is set. With --https, the origin is https://localhost:PORT, and
the certificate of its CA is in DIR/ca.pem. new-key writes a new P-256 key in the format of App
Store Connect, and its public key.

It reads these files for every request:

    DIR/connections/NAME.json   a connection, at ORIGIN/build/NAME/apple_developer_portal_data.json,
                                if the BUILD_API_TOKEN is TOKEN
    DIR/files/NAME/FILE         a file, at ORIGIN/files/NAME/FILE
    DIR/apple/NAME.json         an account, at ORIGIN/asc/NAME/v1/apps, bundleIds, certificates, users
        {"public_key_path": "in DIR, SPKI PEM", "key_id": "...", "issuer_id": "..." or null,
         "enterprise": false, "clock_skew_seconds": 0,
         "team": {"role": "admin", "app_manager", "developer" or "access_to_reports",
                  "provisioning": true, "agreement_missing": false, "requests_left": 3499,
                  "apps": [{"id": "1600000001", "bundle_id": "...", "name": "..."}],
                  "owner_apps": ["a bundle ID", ...] or null (for an individual key),
                  "bundle_ids": [{"id": "...", "identifier": "...", "name": "..."}],
                  "certificates": [{"id": "...", "name": "...", "certificate_type": "DISTRIBUTION",
                                    "expiration_date": "2027-01-31T10:00:00.000+00:00"}],
                  "users": [{"id": "...", "username": "..."}],
                  "behaviours_by_path": {"v1/certificates": a behaviour for every request}}}
        (team and its fields are optional: the default is an admin's key in an empty team)
    DIR/sessions/NAME.json      a session, at ORIGIN/olympus/NAME/olympus/v1/session
        {"cookies": {"name": "value"}, "email_address": "...",
         "provider": {"provider_id": 1, "name": "..."} or null, "available_providers": [...],
         "refusal": "unauthenticated", "unauthorized_json" or "forbidden_json"}
    DIR/annotations/NAME.json   a build's page, for requests
                                PUT ORIGIN/annotations/NAME/v1/builds/SLUG/annotations/
        {"token": "...", "build_slug": "SLUG"}

A file with the same path and .behaviours.json appended (such as NAME.json.behaviours.json) lists
faults, one per request, in order. The list starts again when the file changes. Times are in
milliseconds.

    "ok"                                      no fault
    {"status": {"code": 503, "headers": [["Retry-After", "1"]], "body": "busy"}}
    {"redirect": {"code": 302, "to": "URL"}}
    "reset_before_answer", "close_before_answer", "reset_mid_body"
    {"stall_before_header": 250}              a pause, then the response
    {"stall_in_body": 250}                    half the body, a pause, then the rest
    {"drip": {"bytes": 1, "every": 10}}       the body in small pieces
    "wrong_content_length", "chunked_cut"     less data than announced
    {"oversize": 1048576}                     a JSON object with this many bytes
    "gzip", "html", "empty_body", "invalid_utf8"
    {"body": "text"}, {"raw": "text"}         this body; these bytes instead of an HTTP response
    {"forever": "reset_before_answer"}        for this and all following requests
"#;

#[expect(clippy::print_stderr, reason = "a command-line program without a log")]
fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stand-in: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<OsString>) -> io::Result<()> {
    let mut arguments = arguments.into_iter();
    let mut root = None;
    let mut token = None;
    let mut https = false;
    let mut watch_stdin = true;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => {
                print!("{HELP}");
                return Ok(());
            }
            Some("new-key") => {
                let private = value(&mut arguments, "new-key PRIVATE_PEM")?;
                let public = value(&mut arguments, "new-key PRIVATE_PEM PUBLIC_PEM")?;
                return new_key(Path::new(&private), Path::new(&public));
            }
            Some("--root") => root = Some(PathBuf::from(value(&mut arguments, "--root")?)),
            Some("--token") => token = Some(value(&mut arguments, "--token")?),
            Some("--https") => https = true,
            Some("--no-stdin") => watch_stdin = false,
            _ => return Err(usage(&format!("unknown argument {}", argument.display()))),
        }
    }
    let root = root.ok_or_else(|| usage("--root is missing"))?;
    let token = token
        .ok_or_else(|| usage("--token is missing"))?
        .into_string()
        .map_err(|_| usage("--token is not UTF-8"))?;
    serve(&root, token, https, watch_stdin)
}

fn serve(root: &Path, token: String, https: bool, watch_stdin: bool) -> io::Result<()> {
    let start = if https { FolderStandIn::start_tls } else { FolderStandIn::start };
    let server = start(root.to_owned(), token)?;

    // Atomic, so that no reader sees a partial file.
    let unfinished = root.join(".origin.new");
    fs::write(&unfinished, format!("{}\n", server.origin()))?;
    fs::rename(&unfinished, root.join("origin"))?;

    if !watch_stdin {
        loop {
            thread::park();
        }
    }
    let mut ignored = [0; 1024];
    loop {
        match io::stdin().read(&mut ignored) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn new_key(private: &Path, public: &Path) -> io::Result<()> {
    let key = P256::generate()?;
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(private)?
        .write_all(key.private_pem.as_bytes())?;
    fs::write(public, key.public_pem)
}

fn value(arguments: &mut impl Iterator<Item = OsString>, of: &str) -> io::Result<OsString> {
    arguments.next().ok_or_else(|| usage(&format!("missing value: {of}")))
}

fn usage(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{problem}; see stand-in --help"))
}
