//! The outcome of a run, and the checks that apply to every run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use apple_services_connection::bitrise::step_yml::StepYml;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex::Regex;
use stand_in::{Annotation, Request, Service};
use tempfile::TempDir;

use crate::step::read_content;

/// The outputs that the Bitrise CLI must redact.
static SECRET_OUTPUTS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let outputs = StepYml::embedded().unwrap().outputs.into_iter();
    outputs.filter(|output| output.is_sensitive).map(|output| output.name).collect()
});

static COLOR: LazyLock<Regex> = LazyLock::new(|| Regex::new("\x1b\\[[0-9;]*m").unwrap());

/// An entry in the envstore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    pub is_sensitive: Option<bool>,
    pub is_expand: Option<bool>,
    pub is_unset: Option<bool>,
}

/// The outcome of a run.
pub struct Outcome {
    pub code: Option<i32>,
    pub took: std::time::Duration,
    pub stdout: String,
    pub stderr: String,
    pub envstore: PathBuf,
    pub envstore_text: Option<String>,
    /// The names of the files and folders left in the temporary folder.
    pub leftovers: BTreeSet<String>,
    /// The requests of the run's scenario: for the connection, for files, and to Apple.
    pub requests: Vec<Request>,
    /// The annotations on the build's page.
    pub page: Vec<Annotation>,
    /// The requests to the page.
    pub page_requests: Vec<Request>,
    pub(crate) envstore_before: Option<Vec<u8>>,
    pub(crate) store_names_before: BTreeSet<String>,
    /// The run's folder, which is deleted when this is dropped.
    pub root: TempDir,
}

/// The form in which the text contains the secret, or `None`. Searches for each line of the secret, for chunks of
/// 16 characters, and for the whole secret in base64 at any offset, hexadecimal, percent-encoding, JSON or `Debug`.
/// Skips lines shorter than 6 bytes, and other forms shorter than 12 bytes.
pub fn find_leak(text: &str, secret: &str) -> Option<String> {
    /// For longer secrets, searches only for their lines.
    const LONG: usize = 16 * 1024;
    let unescaped = text.replace("\\n", "\n");
    let secret_lines = secret.replace("\\n", "\n");
    let mut lines = secret_lines.lines().map(str::trim);
    if let Some(line) =
        lines.find(|line| line.len() >= 6 && !line.starts_with("-----") && unescaped.contains(*line))
    {
        return Some(line.to_owned());
    }
    if secret.len() > LONG {
        return None;
    }
    let hex = hex(secret);
    let mut forms = vec![
        format!("{secret:?}").trim_matches('"').to_owned(),
        serde_json::Value::from(secret).to_string().trim_matches('"').to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        hex.to_uppercase(),
        hex,
    ];
    for offset in 0..3 {
        let encoded = STANDARD.encode(format!("{}{secret}", " ".repeat(offset)));
        // Without the characters that depend on the text around the secret.
        forms.push(encoded.chars().skip(4).take(encoded.len().saturating_sub(12)).collect());
    }
    // All sessions have most of their text in common, and the values of their cookies are separate secrets.
    let is_session = secret.contains("HTTP::Cookie");
    let characters: Vec<_> = secret.chars().filter(|_| !is_session).collect();
    forms.extend(characters.chunks_exact(16).map(|chunk| chunk.iter().collect()));
    // Every key has the same header, and some errors show it.
    let text = text.replace("-----BEGIN PRIVATE KEY-----", "").replace("-----END PRIVATE KEY-----", "");
    // A pasted session can begin with the name of the variable, which is also the name of an output.
    let text = text.replace("FASTLANE_SESSION", "");
    forms.into_iter().find(|form| form.len() >= 12 && text.contains(form.as_str()))
}

/// Hexadecimal, in lower case.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

impl Outcome {
    /// The last error in the log, which the Bitrise CLI shows as the Step's error.
    #[track_caller]
    pub fn error(&self) -> String {
        self.errors().pop().unwrap_or_else(|| panic!("no error in:\n{}", self.stdout))
    }

    pub fn errors(&self) -> Vec<String> {
        self.blocks("31;1")
    }

    pub fn debug_lines(&self) -> Vec<String> {
        self.blocks("35;1")
    }

    pub fn warnings(&self) -> Vec<String> {
        self.blocks("33;1")
    }

    pub fn titles(&self) -> Vec<String> {
        self.blocks("34;1")
    }

    /// The lines of the section whose title contains this, without colors.
    #[track_caller]
    pub fn section(&self, title: &str) -> String {
        let sections = self.stdout.split("\x1b[34;1m").skip(1);
        let mut sections =
            sections.filter(|section| section.lines().next().unwrap_or_default().contains(title));
        let section = sections.next().unwrap_or_else(|| panic!("no section {title:?} in:\n{}", self.stdout));
        let lines = section.lines().skip(1).filter(|line| !line.is_empty());
        COLOR.replace_all(&lines.collect::<Vec<_>>().join("\n"), "").into_owned()
    }

    /// All texts in this color, an ANSI code.
    fn blocks(&self, color: &str) -> Vec<String> {
        let blocks =
            self.stdout.split("\x1b[").filter_map(|block| block.strip_prefix(color)?.strip_prefix('m'));
        blocks.map(str::to_owned).collect()
    }

    /// The summary on the build's page, as Markdown.
    pub fn summary(&self) -> Option<String> {
        self.page.last().map(|annotation| annotation.markdown.clone())
    }

    /// The names of the outputs, in order.
    pub fn output_names(&self) -> Vec<String> {
        self.entries().into_iter().map(|entry| entry.key).collect()
    }

    /// The names and values of the outputs.
    pub fn outputs(&self) -> BTreeMap<String, String> {
        self.entries().into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    /// The names of the variables that the envstore unsets.
    pub fn unset_names(&self) -> BTreeSet<String> {
        let unset = self.entries().into_iter().filter(|entry| entry.is_unset == Some(true));
        unset.map(|entry| entry.key).collect()
    }

    /// The entries of the envstore, in order, as a YAML parser reads them.
    pub fn entries(&self) -> Vec<Entry> {
        self.envstore_text.as_deref().map(parse_envstore).unwrap_or_default()
    }

    /// The value of an output, or `None` if it is not exported.
    pub fn get_output(&self, key: &str) -> Option<String> {
        let mut values = self.entries().into_iter().filter(|entry| entry.key == key).map(|entry| entry.value);
        let value = values.next();
        assert_eq!(values.next(), None, "{key} is exported twice");
        value
    }

    /// The value of an output that must be exported.
    #[track_caller]
    pub fn output(&self, key: &str) -> String {
        self.get_output(key).unwrap_or_else(|| panic!("no {key} in {:?}", self.envstore_text))
    }

    /// `APPLE_AUTH_METHOD` and `APPLE_AUTH_SOURCE`.
    #[track_caller]
    pub fn method_and_source(&self) -> (String, String) {
        (self.output("APPLE_AUTH_METHOD"), self.output("APPLE_AUTH_SOURCE"))
    }

    /// `APPLE_AUTH_VERIFIED`.
    #[track_caller]
    pub fn verified(&self) -> String {
        self.output("APPLE_AUTH_VERIFIED")
    }

    /// The requests to Apple's services.
    pub fn requests_to_apple(&self) -> Vec<&Request> {
        let services = [Service::AppStoreConnect, Service::AppleSession];
        self.requests.iter().filter(|request| services.contains(&request.service)).collect()
    }

    /// The decoded paths and queries of the requests to Apple, after `/v1/`.
    pub fn paths_at_apple(&self) -> Vec<String> {
        let path = |request: &Request| {
            let target = percent_decode_str(&request.target).decode_utf8().unwrap();
            target.split_once("/v1/").unwrap().1.to_owned()
        };
        self.requests_to_apple().into_iter().map(path).collect()
    }

    pub(crate) fn check_secrets(&self, secrets: &[String]) {
        assert_eq!(self.stderr, "", "standard error must be empty");
        let shown = format!("{}\n{}", self.stdout, self.summary().unwrap_or_default());
        for secret in secrets {
            assert_eq!(find_leak(&shown, secret), None, "in the log or the summary:\n{shown}");
        }
        for request in self.requests.iter().chain(&self.page_requests) {
            assert_eq!(request.violations, Vec::<String>::new(), "{request:?}");
        }
    }

    #[track_caller]
    pub fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "{}", self.stdout);
        assert_eq!(self.errors(), Vec::<String>::new(), "the log of a successful run has errors");
        assert!(self.stdout.ends_with("\x1b[0m\n"), "the log does not reset its last color");
        let before = self.envstore_before.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let kept: Vec<Entry> = before.as_deref().map(parse_envstore).unwrap_or_default();
        let text = self.envstore_text.as_deref().unwrap_or_default();
        let entries = self.entries();
        for entry in entries.iter().filter(|entry| !kept.contains(entry)) {
            let is_secret = SECRET_OUTPUTS.contains(&entry.key);
            assert_eq!(entry.is_expand, Some(false), "{entry:?}");
            let is_sensitive = entry.is_sensitive.unwrap_or(false);
            assert_eq!(
                is_sensitive, is_secret,
                "is_sensitive of {} differs from step.yml: {entry:?}",
                entry.key
            );
            // YAML 1.1 reads an unquoted `no`, `0123` or `1_000` as another value.
            assert!(text.contains(&format!("- {}: \"", entry.key)), "unquoted {} in:\n{text}", entry.key);
        }
        read_back_with_envman(&self.envstore, &entries, &kept);
        let folders = self.leftovers.iter().filter(|name| name.starts_with("apple-services-connection-"));
        assert_eq!(folders.count(), self.leftovers.len(), "unexpected leftovers: {:?}", self.leftovers);
        self.check_store_folder();
    }

    #[track_caller]
    pub fn assert_failure(&self) {
        assert_eq!(self.code, Some(1), "{}", self.stdout);
        let now = read_content(&self.envstore);
        assert!(now == self.envstore_before, "a failed run changed the envstore: {:?}", self.envstore_text);
        assert_eq!(self.leftovers, BTreeSet::new(), "a failed run left files");
        self.check_store_folder();
        let error = self.error();
        let last_line = self.stdout.trim_end().lines().next_back().unwrap_or_default();
        assert_eq!(last_line, format!("\x1b[31;1m{error}\x1b[0m"), "the last line is not the whole error");
        let ends_as_sentence = error.trim_end_matches(')').ends_with(['.', '?']) && !error.ends_with("..");
        assert!(ends_as_sentence, "not a sentence: {error}");
        assert!(error.split_whitespace().count() <= 45, "more than 45 words: {error}");
        assert!(error.split_whitespace().count() >= 8, "fewer than 8 words: {error}");
    }

    #[track_caller]
    fn check_store_folder(&self) {
        let mut expected = self.store_names_before.clone();
        let folder = self.root.path().join("store");
        if self.envstore.parent() == Some(&folder) && self.envstore.exists() {
            expected.insert(self.envstore.file_name().unwrap().to_string_lossy().into_owned());
        }
        assert_eq!(names_in(&folder), expected, "the files next to the envstore");
    }
}

/// All files in a folder and the folders below it.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The names of the files and folders in a folder. Empty if it does not exist.
pub fn names_in(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

pub fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Creates a FIFO, and its parent folders if they are missing.
pub fn make_fifo(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
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
        let [is_sensitive, is_expand, is_unset] = ["is_sensitive", "is_expand", "unset"].map(flag);
        Entry { key, value, is_sensitive, is_expand, is_unset }
    };
    envs.into_iter().map(entry).collect()
}

/// The real envman, if it is on the PATH.
pub fn envman() -> Option<&'static Path> {
    static ENVMAN: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("envman")).find(|file| file.is_file())
    });
    ENVMAN.as_deref()
}

/// What the real envman reads from an envstore, or `None` if it is not on the PATH.
pub fn print_with_envman(envstore: &Path, options: &[&str]) -> Option<BTreeMap<String, String>> {
    let mut command = Command::new(envman()?);
    command.arg("--path").arg(envstore).args(["print", "--format", "json", "--expand"]).args(options);
    let output = command.env_clear().env("HOME", envstore.parent().unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("envman printed {text}: {error}")))
}

/// Reads the entries with the real envman, as the Bitrise CLI does after the Step.
fn read_back_with_envman(envstore: &Path, entries: &[Entry], kept: &[Entry]) {
    let Some(values) = print_with_envman(envstore, &[]) else { return };
    let secret_values = print_with_envman(envstore, &["--sensitive-only"]).unwrap();
    for entry in entries.iter().filter(|entry| !kept.contains(entry)) {
        assert_eq!(values.get(&entry.key), Some(&entry.value), "{} as envman reads it", entry.key);
        let is_secret = SECRET_OUTPUTS.contains(&entry.key);
        assert_eq!(secret_values.contains_key(&entry.key), is_secret, "{} as envman marks it", entry.key);
    }
}
