//! The builder for runs of the Step.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stand_in::{Account, Behaviour, BuildPage, Connection, Session, StandIn, Team};
use tempfile::TempDir;

use crate::fixtures::{
    BUILD_API_TOKEN, BUILD_SLUG, INPUT_APPLE_ID, INPUT_ISSUER, INPUT_KEY_ID, INPUT_PASSWORD, PAGE_TOKEN,
    SERVER, pem, unique_name,
};
use crate::in_process;
use crate::outcome::{Outcome, names_in};

/// The path of the binary under test. Newer versions of cargo set a variable to it. With older ones, the binary is
/// in the folder above that of the test.
fn binary() -> PathBuf {
    const NAME: &str = "apple-services-connection";
    if let Some(path) = std::env::var_os(format!("CARGO_BIN_EXE_{NAME}")) {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join(NAME)
}

/// Reads a regular file, unless it is too large for memory.
pub(crate) fn read_content(path: &Path) -> Option<Vec<u8>> {
    const MAX_LENGTH: u64 = 1 << 30;
    fs::metadata(path).ok().filter(|file| file.is_file() && file.len() <= MAX_LENGTH)?;
    fs::read(path).ok()
}

/// A run that takes this long is stuck.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// A run of the Step, about to start.
#[must_use]
pub struct Step {
    root: TempDir,
    env: BTreeMap<OsString, OsString>,
    /// The texts that the log and the summary must not contain.
    secrets: Vec<String>,
    scenario: String,
    /// The user that runs the Step, if not the user that runs the tests.
    uid: Option<u32>,
    umask: Option<&'static str>,
    /// A program that runs the binary, and that program's arguments.
    under: Option<(PathBuf, Vec<OsString>)>,
}

impl Default for Step {
    fn default() -> Self {
        Self::new()
    }
}

impl Step {
    /// A run on Bitrise with no credential in the connection or the inputs.
    pub fn new() -> Self {
        Self::off_bitrise().connected(&json!({}))
    }

    /// A run without a build URL.
    pub fn off_bitrise() -> Self {
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
        let step = step.with_page(Vec::new()).set("build_annotation", "always");
        // No test contacts Apple, not even by mistake.
        step.set("verify", "no").with_apple_url(SERVER.origin())
    }

    /// Gives the build's page these behaviours. Every run has a page.
    pub fn with_page(self, behaviours: Vec<Behaviour>) -> Self {
        let page = BuildPage { token: PAGE_TOKEN.to_owned(), build_slug: BUILD_SLUG.to_owned(), behaviours };
        let url = SERVER.build_page(&self.page_name(), page);
        self.set("BITRISEIO_BUILD_ANNOTATIONS_SERVICE_URL", url)
            .set("BITRISEIO_BITRISE_SERVICES_ACCESS_TOKEN", PAGE_TOKEN)
            .set("BITRISE_BUILD_SLUG", BUILD_SLUG)
            .secret(PAGE_TOKEN)
    }

    /// The name of the page's scenario, which differs from the run's, because few tests look at the page.
    pub fn page_name(&self) -> String {
        format!("page of {}", self.scenario)
    }

    /// Makes Bitrise serve this document as the connection.
    pub fn connected(self, body: &Value) -> Self {
        self.connected_with(body, Vec::new())
    }

    pub fn connected_with(mut self, body: &Value, behaviours: Vec<Behaviour>) -> Self {
        self.note_secrets(body);
        self.connected_as_text(body.to_string(), behaviours)
    }

    pub fn connected_as_text(self, body: impl Into<String>, behaviours: Vec<Behaviour>) -> Self {
        let connection = Connection { token: BUILD_API_TOKEN.to_owned(), body: body.into(), behaviours };
        let build_url = SERVER.connection(&self.scenario, connection);
        self.set("BITRISE_BUILD_URL", build_url)
            .set("BITRISE_BUILD_API_TOKEN", BUILD_API_TOKEN)
            .secret(BUILD_API_TOKEN)
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
    pub fn set(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref();
        if ["apple_id", "password", "app_password", "fastlane_session", "build_api_token"].contains(&name) {
            let value = value.to_string_lossy();
            let cookies = value.replace("\\n", "\n");
            let values = cookies.lines().filter_map(|line| line.trim().strip_prefix("value: "));
            self.secrets.extend(values.map(str::to_owned));
            self.secrets.push(value.into_owned());
        }
        self.env.insert(name.into(), value.to_owned());
        self
    }

    /// Sets an input without treating its value as a secret.
    pub fn set_as_plain(mut self, name: &str, value: &str) -> Self {
        self.secrets.retain(|secret| secret != value);
        self.env.insert(name.into(), value.into());
        self
    }

    /// Uses this URL for all of Apple's services.
    pub fn with_apple_url(self, url: &str) -> Self {
        self.set("app_store_connect_url", url)
            .set("app_store_connect_enterprise_url", url)
            .set("apple_session_url", url)
    }

    /// Verifies the API key with this account, with `verify` at its default.
    pub fn verified_by(self, account: Account) -> Self {
        let url = SERVER.app_store_connect(&self.scenario, account);
        self.with_apple_url(&url).unset("verify")
    }

    /// Like [`Step::verified_by`], with this team.
    pub fn verified_by_team(self, account: Account, team: Team) -> Self {
        let url = SERVER.app_store_connect_team(&self.scenario, account, team);
        self.with_apple_url(&url).unset("verify")
    }

    /// Verifies the session with this session of Apple's website, with `verify` at its default.
    pub fn verified_by_session(self, session: Session) -> Self {
        let url = SERVER.apple_session(&self.scenario, session);
        self.with_apple_url(&url).unset("verify")
    }

    pub fn set_all<'a>(self, inputs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        inputs.into_iter().fold(self, |step, (name, value)| step.set(name, value))
    }

    pub fn unset(mut self, name: &str) -> Self {
        self.env.remove(OsStr::new(name));
        self
    }

    /// Adds a text that the log must not contain. Secret inputs are added by [`Step::set`].
    pub fn secret(mut self, text: impl Into<String>) -> Self {
        self.secrets.push(text.into());
        self
    }

    /// Sets a complete API key in the inputs.
    pub fn with_key_inputs(self) -> Self {
        self.set("api_key_path", pem())
            .set("api_key_id", INPUT_KEY_ID)
            .set("api_issuer", INPUT_ISSUER)
            .secret(pem())
    }

    /// Sets a complete individual API key in the inputs.
    pub fn with_individual_key_inputs(self) -> Self {
        self.with_key_inputs().unset("api_issuer").set("api_key_type", "individual")
    }

    /// Sets a complete Apple ID in the inputs.
    pub fn with_apple_id_inputs(self) -> Self {
        self.set("apple_id", INPUT_APPLE_ID).set("password", INPUT_PASSWORD)
    }

    /// Trusts the CA of this server, as a machine trusts the CA of its company.
    pub fn trusting(self, server: &StandIn) -> Self {
        let ca = self.path("home/ca.pem");
        self.file("home/ca.pem", server.ca_pem().unwrap()).set("SSL_CERT_FILE", ca)
    }

    /// Runs later in the same build as `earlier`, whose outputs are set.
    pub fn after(self, earlier: &Outcome) -> Self {
        earlier.entries().into_iter().fold(self, |step, entry| step.set(&entry.key, entry.value))
    }

    /// Puts this script on the PATH as `envman`.
    pub fn with_envman(self, script: &str) -> Self {
        let step = self.file("bin/script", script);
        let bin = step.path("bin");
        // A program can't start while any process has it open for writing. Processes that other tests start now would
        // inherit the open file if this process wrote it, so `install` writes the program.
        let mut install = Command::new("install");
        install.args(["-m", "755"]).args(["script", "envman"].map(|name| bin.join(name)));
        assert!(install.status().unwrap().success());
        step.set("PATH", format!("{}:/usr/bin:/bin", bin.display()))
    }

    /// Writes a file into the folder of the run, which has the folders `home`, `work` (where the run starts),
    /// `tmp` and `store`.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub fn envstore(self, text: impl AsRef<[u8]>) -> Self {
        self.file("store/envstore.yml", text)
    }

    pub fn umask(mut self, umask: &'static str) -> Self {
        self.umask = Some(umask);
        self
    }

    /// Runs the Step as an ordinary user, even if the tests run as root, because root ignores file modes.
    pub fn not_as_root(mut self) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        if fs::metadata(self.root.path()).unwrap().uid() == 0 {
            const NOBODY: u32 = 65534;
            self.uid = Some(NOBODY);
            for folder in ["", "home", "tmp", "work", "store"] {
                std::os::unix::fs::chown(self.path(folder), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            // Another user can't read the folder in which cargo builds.
            let copy = self.path("work/step");
            let binary = binary();
            fs::hard_link(&binary, &copy).or_else(|_: io::Error| fs::copy(binary, &copy).map(drop)).unwrap();
        }
        self
    }

    /// Runs the Step with this program, such as `strace`.
    pub fn under(mut self, program: &str, arguments: &[&str]) -> Self {
        self.under = Some((program.into(), arguments.iter().map(Into::into).collect()));
        self
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub fn envstore_path(&self) -> PathBuf {
        self.path("store/envstore.yml")
    }

    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// Runs the Step, and checks what must hold for every run.
    pub fn run(self) -> Outcome {
        self.run_while(|_| {})
    }

    /// Runs the Step, calls `meanwhile` with the process, and checks what must hold for every run.
    pub fn run_while(self, meanwhile: impl FnOnce(&Child)) -> Outcome {
        self.observe(|step| {
            let child = step.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            meanwhile(&child);
            let pid = child.id().to_string();
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || sender.send(child.wait_with_output()));
            let output = receiver.recv_timeout(HANGS_AFTER).unwrap_or_else(|_| {
                let _ = Command::new("kill").args(["-s", "KILL", &pid]).status();
                panic!("the run hangs");
            });
            let output = output.unwrap();
            let stdout = String::from_utf8(output.stdout).expect("the log is UTF-8");
            (output.status.code(), stdout, String::from_utf8_lossy(&output.stderr).into_owned())
        })
    }

    /// Runs the Step inside the test's process, with pauses skipped, and checks what must hold for every run.
    ///
    /// The run has the working folder, umask, limits and signals of the test. If one of these matters, use
    /// [`Step::run`].
    pub fn run_in_process(self) -> Outcome {
        self.run_in_process_within(None)
    }

    /// Like [`Step::run_in_process`], but with pauses and with this network time limit, unless it is `None`.
    pub fn run_in_process_within(self, network_time_limit: Option<Duration>) -> Outcome {
        assert!(self.uid.is_none() && self.umask.is_none() && self.under.is_none(), "needs its own process");
        self.check_page();
        self.observe(|step| {
            let (code, log) = in_process::run(&step.env, network_time_limit);
            (Some(code), log, String::new())
        })
    }

    /// Whether the run needs its own process. With files in its working folder it does: relative paths can name them.
    fn needs_process(&self) -> bool {
        let has_files = !names_in(&self.path("work")).is_empty();
        has_files || self.uid.is_some() || self.umask.is_some() || self.under.is_some()
    }

    /// Runs the Step with `run`, which returns exit status, standard output and standard error.
    fn observe(self, run: impl FnOnce(&Self) -> (Option<i32>, String, String)) -> Outcome {
        let envstore = self.env.get(OsStr::new("ENVMAN_ENVSTORE_PATH")).map(PathBuf::from);
        let envstore = envstore.unwrap_or_else(|| self.envstore_path());
        let envstore_before = read_content(&envstore);
        let store_names_before = names_in(&self.path("store"));
        let began = Instant::now();
        let (code, stdout, stderr) = run(&self);
        let outcome = Outcome {
            code,
            took: began.elapsed(),
            envstore_text: read_content(&envstore).and_then(|text| String::from_utf8(text).ok()),
            leftovers: names_in(&self.path("tmp")),
            store_names_before,
            envstore,
            envstore_before,
            stdout,
            stderr,
            requests: SERVER.requests_for(&self.scenario),
            page: SERVER.annotations_of(&self.page_name()),
            page_requests: SERVER.requests_for(&self.page_name()),
            root: self.root,
        };
        outcome.check_secrets(&self.secrets);
        outcome
    }

    fn command(&self) -> Command {
        let binary = if self.uid.is_some() { self.path("work/step") } else { binary() };
        self.check_page();
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

    /// Panics if the run could write to a page that is not the stand-in's.
    fn check_page(&self) {
        let value = |name: &str| self.env.get(OsStr::new(name)).and_then(|value| value.to_str());
        let has_page = value("BITRISEIO_BITRISE_SERVICES_ACCESS_TOKEN").is_some()
            && value("BITRISE_BUILD_SLUG").is_some();
        let service = value("BITRISEIO_BUILD_ANNOTATIONS_SERVICE_URL").unwrap_or_default();
        // The Step rejects such URLs, unless they lead to this machine.
        let is_rejected = service.starts_with("http://") || !service.contains("://");
        let is_local =
            ["http://127.0.0.1:", "https://localhost:"].iter().any(|origin| service.starts_with(origin));
        assert!(!has_page || is_local || is_rejected, "the summary would go to {service:?}");
    }

    /// Runs the Step, and checks what must hold for every run that succeeds.
    #[track_caller]
    pub fn succeeds(self) -> Outcome {
        let outcome = self.run();
        outcome.assert_success();
        outcome
    }

    /// Runs the Step, and checks what must hold for every run that fails.
    #[track_caller]
    pub fn fails(self) -> Outcome {
        let outcome = self.run();
        outcome.assert_failure();
        outcome
    }
}

/// Calls `check` with all rows in parallel, because runs spend most of their time waiting.
pub fn in_parallel<T: Send, R: Send>(
    rows: impl IntoIterator<Item = T>,
    check: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let check = &check;
    thread::scope(|scope| {
        let runs: Vec<_> = rows.into_iter().map(|row| scope.spawn(move || check(row))).collect();
        let results = runs.into_iter().map(thread::ScopedJoinHandle::join);
        results.map(|result| result.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Runs all rows, which must fail, and returns the error of each. One row in eight, and each row that needs its own
/// process, runs with the binary; the others run in this process.
pub fn errors_of<Case: Send>(rows: impl IntoIterator<Item = (Case, Step)>) -> Vec<(Case, String)> {
    in_parallel(rows.into_iter().enumerate(), |(number, (case, step))| {
        let is_sample = number.is_multiple_of(8);
        let outcome = if is_sample || step.needs_process() { step.run() } else { step.run_in_process() };
        outcome.assert_failure();
        (case, outcome.error())
    })
}
