//! One builder for runs of the Step, and the credentials that they are about.

#![allow(dead_code, reason = "each of the test crates that share it uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use stand_in::keys::P256;
use stand_in::{Behaviour, Connection, Request, StandIn};
use tempfile::TempDir;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

const BINARY: &str = env!("CARGO_BIN_EXE_apple-services-connection");

pub(crate) const TOKEN: &str = "Canary-build-token_0123456789";

/// In the connection.
pub(crate) const CONNECTED_KEY_ID: &str = "CONNECTED1";
pub(crate) const CONNECTED_ISSUER: &str = "11111111-96fe-1a63-e053-0824d011072a";
pub(crate) const CONNECTED_APPLE_ID: &str = "connected.canary@example.com";
pub(crate) const CONNECTED_PASSWORD: &str = "canary-connected-password";
pub(crate) const CONNECTED_APP_PASSWORD: &str = "cana-ryco-nnec-tapp";
pub(crate) const COOKIE: &str = "canary-connected-cookie-value";

/// In the inputs.
pub(crate) const INPUT_KEY_ID: &str = "FROMINPUT1";
pub(crate) const INPUT_ISSUER: &str = "22222222-96fe-1a63-e053-0824d011072a";
pub(crate) const INPUT_APPLE_ID: &str = "inputs.canary@example.org";
pub(crate) const INPUT_PASSWORD: &str = "canary-inputs-password";
pub(crate) const INPUT_APP_PASSWORD: &str = "cana-ryin-puts-appp";

/// Outputs that the Bitrise CLI must redact, and no others.
const SECRET_OUTPUTS: [&str; 5] = [
    "FASTLANE_PASSWORD",
    "FASTLANE_SESSION",
    "FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD",
    "BITRISE_PORTAL_DATA_JSON",
    "APP_STORE_CONNECT_TOKEN",
];

/// One server for all tests; each run has a scenario name of its own.
pub(crate) static SERVER: LazyLock<StandIn> =
    LazyLock::new(|| StandIn::start().expect("a stand-in on loopback"));

/// The private key in the connection.
pub(crate) static CONNECTED_KEY: LazyLock<P256> = LazyLock::new(|| P256::generate().expect("a key"));

/// The private key in the inputs.
pub(crate) static INPUT_KEY: LazyLock<P256> = LazyLock::new(|| P256::generate().expect("a key"));

pub(crate) fn unique_name() -> String {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    format!("run {}", LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn pem() -> &'static str {
    &INPUT_KEY.private_pem
}

/// The base64 between header and footer.
pub(crate) fn pem_body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

pub(crate) fn in_days(days: i64) -> String {
    (OffsetDateTime::now_utc() + Duration::days(days)).format(&Rfc3339).unwrap()
}

/// The fields of a connected API key.
pub(crate) fn api_key() -> Value {
    json!({
        "key_id": CONNECTED_KEY_ID,
        "issuer_id": CONNECTED_ISSUER,
        "private_key": CONNECTED_KEY.private_pem,
    })
}

/// The fields of a connected Apple ID with everything that it can have.
pub(crate) fn apple_id() -> Value {
    json!({
        "apple_id": CONNECTED_APPLE_ID,
        "password": CONNECTED_PASSWORD,
        "app_specific_password": CONNECTED_APP_PASSWORD,
        "connection_expiry_date": in_days(20),
        "session_cookies": {"https://idmsa.apple.com": [cookie("myacinfo", COOKIE)]},
    })
}

pub(crate) fn cookie(name: &str, value: &str) -> Value {
    json!({
        "name": name, "value": value, "domain": "apple.com", "path": "/",
        "secure": true, "httponly": true,
    })
}

/// One document from the fields of several; later ones win.
pub(crate) fn all(parts: impl IntoIterator<Item = Value>) -> Value {
    let fields = parts.into_iter().flat_map(|part| part.as_object().expect("an object").clone());
    Value::Object(fields.collect())
}

/// An answer that asks to be asked again at once, for every request from here on.
pub(crate) fn always_busy(code: u16) -> Vec<Behaviour> {
    vec![busy(code).forever()]
}

pub(crate) fn busy(code: u16) -> Behaviour {
    status(code, &[("Retry-After", "0")])
}

pub(crate) fn status(code: u16, headers: &[(&str, &str)]) -> Behaviour {
    let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Behaviour::Status { code, headers, body: String::new() }
}

pub(crate) fn redirect(to: impl Into<String>) -> Behaviour {
    Behaviour::Redirect { code: 302, to: to.into() }
}

/// A session as `fastlane spaceauth` prints it, with newlines written `\n`.
pub(crate) fn spaceauth(cookies: &[(&str, &str)]) -> String {
    let cookies = cookies.iter().map(|(name, value)| {
        format!(
            "- !ruby/object:HTTP::Cookie\\n  name: {name}\\n  value: {value}\\n  domain: idmsa.apple.com\\n  \
             for_domain: true\\n  path: \"/\"\\n  secure: true\\n  httponly: true\\n  expires: \\n  max_age: \\n  \
             created_at: 2026-01-01 12:00:00.000000000 +01:00\\n  accessed_at: 2026-01-01 12:00:01.000000000 +01:00\\n"
        )
    });
    format!("---\\n{}", cookies.collect::<String>())
}

/// The cookies in `FASTLANE_SESSION`, loaded as fastlane does.
pub(crate) fn load_session(session: &str) -> Vec<BTreeMap<String, serde_yaml::Value>> {
    serde_yaml::from_str(&session.replace("\\n", "\n")).expect("fastlane can load the session")
}

/// A run of the Step, about to start.
#[must_use]
pub(crate) struct Step {
    root: TempDir,
    env: BTreeMap<OsString, OsString>,
    /// Never to be seen in the log.
    secrets: Vec<String>,
    scenario: String,
    /// What the user of the run is, when it must not be root.
    uid: Option<u32>,
    umask: Option<&'static str>,
    /// A program that runs it, with its arguments.
    under: Option<(PathBuf, Vec<OsString>)>,
}

impl Step {
    /// On Bitrise, with nothing connected and nothing in the inputs.
    pub(crate) fn new() -> Self {
        Self::off_bitrise().connected(&json!({}))
    }

    /// Without a build URL.
    pub(crate) fn off_bitrise() -> Self {
        let root = tempfile::Builder::new().prefix("step-").tempdir().unwrap();
        let step = Self {
            root,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            scenario: unique_name(),
            uid: None,
            umask: None,
            under: None,
        };
        for folder in ["home", "tmp", "work", "store"] {
            fs::create_dir(step.path(folder)).unwrap();
        }
        let (home, tmp, store) = (step.path("home"), step.path("tmp"), step.envstore_path());
        let step = step.set("HOME", home).set("TMPDIR", tmp).set("ENVMAN_ENVSTORE_PATH", store);
        // No test asks Apple: not by default, and not by mistake.
        step.set("verify", "no").asks_at(SERVER.origin())
    }

    /// With this document in the connection.
    pub(crate) fn connected(self, body: &Value) -> Self {
        self.connected_with(body, Vec::new())
    }

    pub(crate) fn connected_with(mut self, body: &Value, behaviours: Vec<Behaviour>) -> Self {
        self.note_secrets(body);
        self.connected_as_text(body.to_string(), behaviours)
    }

    pub(crate) fn connected_as_text(self, body: impl Into<String>, behaviours: Vec<Behaviour>) -> Self {
        let connection = Connection { token: TOKEN.to_owned(), body: body.into(), behaviours };
        let build_url = SERVER.connection(&self.scenario, connection);
        self.set("BITRISE_BUILD_URL", build_url).set("BITRISE_BUILD_API_TOKEN", TOKEN).secret(TOKEN)
    }

    fn note_secrets(&mut self, body: &Value) {
        const SECRET: [&str; 5] = ["private_key", "password", "app_specific_password", "apple_id", "value"];
        match body {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if SECRET.contains(&name.as_str()) => {
                            self.secrets.push(text.clone());
                        }
                        other => self.note_secrets(other),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.note_secrets(item)),
            _ => {}
        }
    }

    /// Sets an input, or another environment variable.
    pub(crate) fn set(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref();
        if ["apple_id", "password", "app_password", "fastlane_session", "build_api_token"].contains(&name) {
            self.secrets.push(value.to_string_lossy().into_owned());
        }
        self.env.insert(name.into(), value.to_owned());
        self
    }

    /// Puts this in the place of all of Apple's services.
    pub(crate) fn asks_at(self, url: &str) -> Self {
        self.set("app_store_connect_url", url)
            .set("app_store_connect_enterprise_url", url)
            .set("apple_session_url", url)
    }

    pub(crate) fn set_all<'a>(self, inputs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        inputs.into_iter().fold(self, |step, (name, value)| step.set(name, value))
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.env.remove(OsStr::new(name));
        self
    }

    /// What must not show in the log, beyond what is secret by its name.
    pub(crate) fn secret(mut self, text: impl Into<String>) -> Self {
        self.secrets.push(text.into());
        self
    }

    /// A complete API key in the inputs.
    pub(crate) fn with_key_inputs(self) -> Self {
        self.set("api_key_path", pem())
            .set("api_key_id", INPUT_KEY_ID)
            .set("api_issuer", INPUT_ISSUER)
            .secret(pem())
    }

    /// A complete Apple ID in the inputs.
    pub(crate) fn with_apple_id_inputs(self) -> Self {
        self.set("apple_id", INPUT_APPLE_ID).set("password", INPUT_PASSWORD)
    }

    /// A file in the folder of the run; `home`, `work` (where it starts), `tmp` and `store` are there.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn envstore(self, text: impl AsRef<[u8]>) -> Self {
        self.file("store/envstore.yml", text)
    }

    pub(crate) fn umask(mut self, umask: &'static str) -> Self {
        self.umask = Some(umask);
        self
    }

    /// Runs as an ordinary user where the tests run as root, so that modes mean something.
    pub(crate) fn not_as_root(mut self) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        if fs::metadata(self.root.path()).unwrap().uid() == 0 {
            const NOBODY: u32 = 65534;
            self.uid = Some(NOBODY);
            for folder in ["", "home", "tmp", "work", "store"] {
                std::os::unix::fs::chown(self.path(folder), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            // Where cargo builds, another user may not look.
            let copy = self.path("work/step");
            fs::hard_link(BINARY, &copy).or_else(|_| fs::copy(BINARY, &copy).map(drop)).unwrap();
        }
        self
    }

    /// Has this program run it, such as `strace`.
    pub(crate) fn under(mut self, program: &str, arguments: &[&str]) -> Self {
        self.under = Some((program.into(), arguments.iter().map(Into::into).collect()));
        self
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub(crate) fn envstore_path(&self) -> PathBuf {
        self.path("store/envstore.yml")
    }

    pub(crate) fn scenario(&self) -> &str {
        &self.scenario
    }

    /// Runs it, and checks what must hold for every run.
    pub(crate) fn run(self) -> Outcome {
        self.run_while(|_| {})
    }

    /// Runs it, does something meanwhile, and checks what must hold for every run.
    pub(crate) fn run_while(self, meanwhile: impl FnOnce(&Child)) -> Outcome {
        let envstore = self.env.get(OsStr::new("ENVMAN_ENVSTORE_PATH")).map(PathBuf::from);
        let envstore = envstore.unwrap_or_else(|| self.envstore_path());
        let before = fs::read(&envstore).ok();
        let store_before = names_in(&self.path("store"));
        let began = Instant::now();
        let child = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        meanwhile(&child);
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).expect("the log is UTF-8");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let requests = SERVER.requests_for(&self.scenario);
        let outcome = Outcome {
            code: output.status.code(),
            took: began.elapsed(),
            envstore_text: fs::read_to_string(&envstore).ok(),
            leftovers: names_in(&self.path("tmp")),
            store_before,
            envstore,
            before,
            stdout,
            stderr,
            requests,
            root: self.root,
        };
        outcome.check_log(&self.secrets);
        outcome
    }

    fn command(&self) -> Command {
        let binary = if self.uid.is_some() { self.path("work/step") } else { BINARY.into() };
        let mut command = match (self.umask, &self.under) {
            (None, None) => Command::new(binary),
            (Some(umask), _) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("umask {umask}; exec \"$0\"")]).arg(binary);
                shell
            }
            (None, Some((program, arguments))) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary);
                command
            }
        };
        command.env_clear().envs(&self.env).current_dir(self.path("work")).stdin(Stdio::null());
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Runs it, expects that it succeeds, and checks what must hold then.
    pub(crate) fn passes(self) -> Outcome {
        let outcome = self.run();
        outcome.check_success();
        outcome
    }

    /// Runs it, expects that it fails, and checks what must hold then. Gives the last red line.
    #[track_caller]
    pub(crate) fn fails(self) -> String {
        let outcome = self.run();
        outcome.check_failure();
        outcome.error()
    }
}

/// A value in the envstore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) is_sensitive: Option<bool>,
    pub(crate) is_expand: Option<bool>,
}

/// What a run did.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) took: std::time::Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) envstore: PathBuf,
    pub(crate) envstore_text: Option<String>,
    /// The names of what is in the temporary folder afterwards.
    pub(crate) leftovers: BTreeSet<String>,
    /// The requests to the connection, and to files of the same scenario.
    pub(crate) requests: Vec<Request>,
    before: Option<Vec<u8>>,
    store_before: BTreeSet<String>,
    /// Keeps what the run wrote until the test has looked at it.
    pub(crate) root: TempDir,
}

impl Outcome {
    /// The text of the last red block, which the Bitrise CLI shows as the Step's error.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        self.blocks("31;1").pop().unwrap_or_else(|| panic!("no red line in:\n{}", self.stdout))
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.blocks("33;1")
    }

    pub(crate) fn titles(&self) -> Vec<String> {
        self.blocks("34;1")
    }

    pub(crate) fn done(&self) -> Vec<String> {
        self.blocks("32;1")
    }

    /// All texts between the colour code and the next one.
    pub(crate) fn blocks(&self, colour: &str) -> Vec<String> {
        let blocks =
            self.stdout.split("\x1b[").filter_map(|block| block.strip_prefix(colour)?.strip_prefix('m'));
        blocks.map(str::to_owned).collect()
    }

    /// What the run added or replaced, in order, as a YAML parser reads it.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.envstore_text.as_deref().map(parse_envstore).unwrap_or_default()
    }

    pub(crate) fn output(&self, key: &str) -> Option<String> {
        let mut values = self.entries().into_iter().filter(|entry| entry.key == key).map(|entry| entry.value);
        let value = values.next();
        assert_eq!(values.next(), None, "{key} is there once");
        value
    }

    #[track_caller]
    pub(crate) fn expect(&self, key: &str) -> String {
        self.output(key).unwrap_or_else(|| panic!("no {key} in {:?}", self.envstore_text))
    }

    /// `APPLE_AUTH_METHOD` and `APPLE_AUTH_SOURCE`.
    #[track_caller]
    pub(crate) fn chosen(&self) -> (String, String) {
        (self.expect("APPLE_AUTH_METHOD"), self.expect("APPLE_AUTH_SOURCE"))
    }

    /// In a list of what went wrong, and how it went on.
    #[track_caller]
    pub(crate) fn warns_of(&self, part: &str) {
        let warnings = self.warnings();
        assert!(
            warnings.iter().any(|warning| warning.contains(part)),
            "{part:?} is in none of {warnings:#?}"
        );
    }

    fn check_log(&self, secrets: &[String]) {
        assert_eq!(self.stderr, "", "all of the log is on standard output");
        let both = self.stdout.replace("\\n", "\n");
        for secret in secrets {
            for line in secret.replace("\\n", "\n").lines().map(str::trim) {
                if line.len() >= 6 && !line.starts_with("-----") {
                    assert!(!both.contains(line), "{line:?} leaked into the log:\n{}", self.stdout);
                }
            }
        }
        for request in &self.requests {
            assert_eq!(request.violations, Vec::<String>::new(), "{request:?}");
        }
    }

    #[track_caller]
    pub(crate) fn check_success(&self) {
        assert_eq!(self.code, Some(0), "{}", self.stdout);
        assert_eq!(self.blocks("31;1"), Vec::<String>::new(), "nothing is red");
        let before = self.before.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let kept: Vec<Entry> = before.as_deref().map(parse_envstore).unwrap_or_default();
        let text = self.envstore_text.as_deref().unwrap_or_default();
        let entries = self.entries();
        for entry in entries.iter().filter(|entry| !kept.contains(entry)) {
            let secret = SECRET_OUTPUTS.contains(&entry.key.as_str());
            assert_eq!(entry.is_expand, Some(false), "{entry:?}");
            assert_eq!(entry.is_sensitive.unwrap_or(false), secret, "{entry:?}");
            // YAML 1.1 would make something else of `no`, `0123` or `1_000`.
            assert!(text.contains(&format!("- {}: \"", entry.key)), "{} is quoted in:\n{text}", entry.key);
        }
        read_back_with_envman(&self.envstore, &entries, &kept);
        let folders = self.leftovers.iter().filter(|name| name.starts_with("apple-services-connection-"));
        assert_eq!(folders.count(), self.leftovers.len(), "only the private folder: {:?}", self.leftovers);
        self.check_store_folder();
    }

    #[track_caller]
    pub(crate) fn check_failure(&self) {
        assert_eq!(self.code, Some(1), "{}", self.stdout);
        let now = fs::read(&self.envstore).ok();
        assert!(now == self.before, "nothing is exported: {:?}", self.envstore_text);
        assert_eq!(self.leftovers, BTreeSet::new(), "no file is left behind");
        self.check_store_folder();
        let error = self.error();
        let last_line = self.stdout.trim_end().lines().next_back().unwrap_or_default();
        assert_eq!(last_line, format!("\x1b[31;1m{error}\x1b[0m"), "the last line is the error, whole");
        assert!(error.ends_with('.') && !error.ends_with(".."), "a sentence: {error}");
        assert!(error.split_whitespace().count() >= 8, "what is wrong, then what to do: {error}");
    }

    #[track_caller]
    fn check_store_folder(&self) {
        let mut expected = self.store_before.clone();
        let folder = self.root.path().join("store");
        if self.envstore.parent() == Some(&folder) && self.envstore.exists() {
            expected.insert(self.envstore.file_name().unwrap().to_string_lossy().into_owned());
        }
        assert_eq!(names_in(&folder), expected, "no temporary file is left beside the envstore");
    }
}

pub(crate) fn names_in(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn parse_envstore(text: &str) -> Vec<Entry> {
    #[derive(serde::Deserialize)]
    struct File {
        envs: Option<Vec<BTreeMap<String, serde_yaml::Value>>>,
    }
    let Ok(file) = serde_yaml::from_str::<Option<File>>(text) else { return Vec::new() };
    let envs = file.and_then(|file| file.envs).unwrap_or_default();
    let entry = |mut env: BTreeMap<String, serde_yaml::Value>| {
        let opts = env.remove("opts").unwrap_or_default();
        let flag = |name: &str| opts.get(name).and_then(serde_yaml::Value::as_bool);
        let (key, value) = env.into_iter().next().expect("an entry has a key");
        let value = match value {
            serde_yaml::Value::String(value) => value,
            other => format!("not a string: {other:?}"),
        };
        Entry { key, value, is_sensitive: flag("is_sensitive"), is_expand: flag("is_expand") }
    };
    envs.into_iter().map(entry).collect()
}

/// The real envman, where it is on the PATH.
pub(crate) fn envman() -> Option<&'static Path> {
    static ENVMAN: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("envman")).find(|file| file.is_file())
    });
    ENVMAN.as_deref()
}

/// Has the real envman read our entries, as the Bitrise CLI does after the Step.
fn read_back_with_envman(envstore: &Path, entries: &[Entry], kept: &[Entry]) {
    let Some(envman) = envman() else { return };
    let print = |more: &[&str]| -> BTreeMap<String, String> {
        let mut command = Command::new(envman);
        command.arg("--path").arg(envstore).args(["print", "--format", "json", "--expand"]).args(more);
        let output = command.env_clear().env("HOME", envstore.parent().unwrap()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("envman printed {text}: {error}"))
    };
    let (all, secret) = (print(&[]), print(&["--sensitive-only"]));
    for entry in entries.iter().filter(|entry| !kept.contains(entry)) {
        assert_eq!(all.get(&entry.key), Some(&entry.value), "{} as envman reads it", entry.key);
        let is_secret = SECRET_OUTPUTS.contains(&entry.key.as_str());
        assert_eq!(secret.contains_key(&entry.key), is_secret, "{} as envman marks it", entry.key);
    }
}
