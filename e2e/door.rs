//! The door, step.sh, on each way to the Step's binary. `cargo test --test door`; it needs curl
//! and wget, which `.ci/run` installs.
//!
//! The sources here are a programme of one line, so that the door's own build with cargo takes a
//! second. The server of the downloads is the stand-in, on loopback.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this is a test")]

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use stand_in::{Behaviour, StandIn};
use tempfile::TempDir;

const NAME: &str = "apple-services-connection";
const VERSION: &str = "9.8.7";
const SCENARIO: &str = VERSION;

/// What is released, in these tests: it says so, and ends with a status of its own.
const RELEASED: &str = "#!/bin/sh\necho \"this is the released binary, $connection\"\nexit 7\n";
const RELEASED_SAYS: &str = "this is the released binary, off\n";
const BUILT_SAYS: &str = "this is the built binary\n";

/// All that the door calls, but what downloads and what builds.
const TOOLS: [&str; 13] = [
    "bash",
    "cat",
    "chmod",
    "cp",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sha256sum",
    "sleep",
    "tail",
    "tr",
    "uname",
];

const CURL: &[&str] = &["curl"];
const WGET: &[&str] = &["wget"];
const NOTHING: &[&str] = &[];
const CARGO: &[&str] = &["cargo"];
const CURL_AND_CARGO: &[&str] = &["curl", "cargo"];

fn system() -> String {
    let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{os}-{arch}")
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hex = String::new();
    for byte in digest.as_ref() {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

fn which(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{tool} is not on the PATH; the door needs it"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A copy of the Step, and a machine to run it on.
struct Door {
    folder: TempDir,
    server: StandIn,
}

impl Door {
    fn new() -> Self {
        let door = Self { folder: TempDir::new().unwrap(), server: StandIn::start().unwrap() };
        // For runs as another user.
        fs::set_permissions(door.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["step/src", "step/release", "home", "tmp", "tools/before"] {
            fs::create_dir_all(door.path(folder)).unwrap();
        }
        fs::set_permissions(door.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("step.sh"), door.path("step/step.sh")).unwrap();
        let package = format!("name = \"{NAME}\"\nversion = \"{VERSION}\"\n");
        door.write("step/Cargo.toml", &format!("[package]\n{package}edition = \"2021\"\n"));
        door.write("step/Cargo.lock", &format!("version = 3\n\n[[package]]\n{package}"));
        door.write("step/step.yml", "title: A Step\n");
        door.write("step/src/main.rs", "fn main() { println!(\"this is the built binary\"); }\n");
        door
    }

    /// One whose version was released for this system, and lies on the server.
    fn released(behaviours: Vec<Behaviour>) -> Self {
        let door = Self::new();
        door.release(behaviours);
        door
    }

    fn release(&self, behaviours: Vec<Behaviour>) {
        let file = format!("{NAME}-{}", system());
        self.server.file(SCENARIO, &file, RELEASED, behaviours);
        let sums = format!("{}  sources\n{}  {file}\n", self.source_key(), sha256(RELEASED.as_bytes()));
        self.write(&format!("step/release/{VERSION}.sha256"), &sums);
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn source_key(&self) -> String {
        let output =
            Command::new("bash").arg(self.path("step/step.sh")).arg("--source-key").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn cache(&self) -> PathBuf {
        self.path("home/.cache").join(NAME)
    }

    /// Where the released binary is kept.
    fn cached(&self) -> PathBuf {
        self.cache().join(sha256(RELEASED.as_bytes())).join(NAME)
    }

    /// The door as the CLI starts it, on a machine that has only these tools besides the common ones.
    fn command(&self, tools: &[&str]) -> Command {
        let folder = TempDir::new_in(self.path("tools")).unwrap().keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = OsString::from(self.path("tools/before"));
        path.push(":");
        path.push(&folder);
        for tool in TOOLS.iter().chain(tools) {
            if *tool == "cargo" {
                // With all that it needs: rustc, and the linker.
                path.push(":");
                path.push(Path::new(env!("CARGO")).parent().unwrap());
                for program in ["cc", "ld", "as"] {
                    symlink(which(program), folder.join(program)).unwrap();
                }
            } else {
                symlink(which(tool), folder.join(tool)).unwrap();
            }
        }
        let mut command = Command::new(which("bash"));
        command
            .arg(self.path("step/step.sh"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("connection", "off")
            .env("CARGO_HOME", self.path("tmp/cargo"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("APPLE_SERVICES_CONNECTION_DOWNLOAD_URL", format!("{}/files", self.server.origin()))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, tools: &[&str]) -> Run {
        Run::from(self.command(tools).output().unwrap())
    }

    fn requests(&self) -> usize {
        self.server.requests().len()
    }

    /// Every run leaves whole files or none.
    fn assert_nothing_half_is_left(&self) {
        for root in ["home", "tmp"] {
            for file in files_below(&self.path(root)) {
                let half =
                    file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("half."));
                assert!(!half, "{} is left", file.display());
            }
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        }
    }
    found
}

/// What a run of the door came to.
#[derive(Debug)]
struct Run {
    status: Option<i32>,
    log: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let log = [output.stdout, output.stderr].concat();
        Self { status: output.status.code(), log: String::from_utf8(log).unwrap() }
    }
}

impl Run {
    /// The released binary ran, and nothing else was said.
    #[track_caller]
    fn assert_released(&self) {
        assert_eq!((self.status, self.log.as_str()), (Some(7), RELEASED_SAYS));
    }

    /// The build ran, and nothing else was said.
    #[track_caller]
    fn assert_built(&self) {
        assert_eq!((self.status, self.log.as_str()), (Some(0), BUILT_SAYS));
    }

    /// The run failed with one red block that says all of these, and ran no binary.
    #[track_caller]
    fn assert_error(&self, says: &[&str]) {
        assert_eq!(self.status, Some(1), "{}", self.log);
        assert!(!self.log.contains("this is the"), "{}", self.log);
        let blocks: Vec<_> = self.log.split("\x1b[31;1m").skip(1).collect();
        let [block] = blocks.as_slice() else { panic!("not one red block: {}", self.log) };
        let (error, rest) = block.split_once("\x1b[0m").unwrap();
        assert_eq!(rest, "\n");
        for text in says {
            assert!(error.contains(text), "{text} is not in: {error}");
        }
    }

    /// A yellow line says all of these.
    #[track_caller]
    fn assert_warning(&self, says: &[&str]) {
        let (_, rest) =
            self.log.split_once("\x1b[33;1m").unwrap_or_else(|| panic!("no warning: {}", self.log));
        let (warning, _) = rest.split_once("\x1b[0m").unwrap();
        for text in says {
            assert!(warning.contains(text), "{text} is not in: {warning}");
        }
    }
}

fn status(code: u16) -> Behaviour {
    Behaviour::Status { code, headers: Vec::new(), body: "no".to_owned() }
}

// --- Beside -----------------------------------------------------------------------

#[test]
fn a_binary_beside_is_run_and_nothing_is_asked() {
    let door = Door::released(Vec::new());
    let beside = door.path(&format!("step/{NAME}-{}", system()));
    fs::write(&beside, "#!/bin/sh\necho \"beside, with $# arguments\"\n").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    let run = door.run(CURL);
    assert_eq!((run.status, run.log.as_str()), (Some(0), "beside, with 0 arguments\n"));
    assert_eq!(door.requests(), 0);
    assert!(!door.cache().exists());
}

// --- Downloaded -------------------------------------------------------------------

#[test]
fn the_released_binary_is_downloaded_with_curl_and_with_wget() {
    for tool in [CURL, WGET] {
        let door = Door::released(Vec::new());
        door.run(tool).assert_released();
        let requests = door.server.requests();
        let targets: Vec<_> = requests.iter().map(|request| request.target.as_str()).collect();
        assert_eq!(targets, [format!("/files/{VERSION}/{NAME}-{}", system())]);
        door.assert_nothing_half_is_left();
    }
}

#[test]
fn a_redirect_is_followed_as_release_pages_have_one() {
    for tool in [CURL, WGET] {
        let door = Door::new();
        let there = door.server.file("elsewhere", "binary", RELEASED, Vec::new());
        door.release(vec![Behaviour::Redirect { code: 302, to: there }]);
        door.run(tool).assert_released();
        assert_eq!(door.requests(), 2);
    }
}

#[test]
fn a_wrong_hash_is_an_error_and_nothing_else_is_tried() {
    for tools in [CURL, WGET, CURL_AND_CARGO] {
        let other = RELEASED.replace("released", "forged").into_bytes();
        let door = Door::released(vec![Behaviour::Body(other.clone()).forever()]);
        let run = door.run(tools);
        run.assert_error(&[
            "is not the binary that was released",
            &sha256(&other),
            &sha256(RELEASED.as_bytes()),
            &format!("release/{VERSION}.sha256"),
        ]);
        assert_eq!(door.requests(), 1);
        assert_eq!(files_below(&door.cache()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_download_that_was_cut_is_not_run() {
    for (cut, tools, reason) in [
        (Behaviour::WrongContentLength, CURL, "bytes remaining to read"),
        (Behaviour::WrongContentLength, WGET, "wget ended with status"),
        (Behaviour::ResetMidBody, CURL, "reset"),
        (Behaviour::ResetMidBody, WGET, "wget ended with status"),
        (Behaviour::ChunkedCut, CURL, "outstanding read data remaining"),
    ] {
        let door = Door::released(vec![cut.forever()]);
        door.run(tools).assert_error(&["the download of ", reason, "cargo is not on the PATH"]);
        assert_eq!(door.requests(), 3);
        assert_eq!(files_below(&door.cache()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_download_that_was_cut_without_a_sign_has_a_wrong_hash() {
    let half = RELEASED.as_bytes().split_at(RELEASED.len() / 2).0.to_vec();
    let raw = [b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), half].concat();
    for tools in [CURL, WGET] {
        let door = Door::released(vec![Behaviour::Raw(raw.clone()).forever()]);
        door.run(tools).assert_error(&["is not the binary that was released"]);
        assert_eq!(files_below(&door.cache()), Vec::<PathBuf>::new());
    }
}

#[test]
fn what_passes_is_tried_again() {
    for passing in
        [status(500), status(503), status(429), Behaviour::ResetMidBody, Behaviour::CloseBeforeAnswer]
    {
        for tools in [CURL, WGET] {
            let door = Door::released(vec![passing.clone()]);
            door.run(tools).assert_released();
            assert_eq!(door.requests(), 2, "{passing:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_asked_for_once() {
    for tools in [CURL, WGET] {
        let door = Door::released(vec![status(404).forever()]);
        door.run(tools).assert_error(&[
            &format!("There is no binary of this Step for {}", system()),
            "none lies beside step.sh",
            &door.cache().to_string_lossy(),
            &format!("{}/files/{VERSION}/{NAME}-{} failed", door.server.origin(), system()),
            "404",
            "cargo is not on the PATH",
            "APPLE_SERVICES_CONNECTION_DOWNLOAD_URL",
        ]);
        assert_eq!(door.requests(), 1);
        door.assert_nothing_half_is_left();
    }
}

#[test]
fn without_a_network_the_error_says_what_failed_in_each() {
    for tools in [CURL, WGET] {
        let door = Door::released(Vec::new());
        // The port of a server that has ended.
        let origin = StandIn::start().unwrap().origin().to_owned();
        let mut command = door.command(tools);
        let output = command.env("APPLE_SERVICES_CONNECTION_DOWNLOAD_URL", &origin).output().unwrap();
        let words = format!("the download of {origin}/{VERSION}/{NAME}-{} failed (", system());
        Run::from(output).assert_error(&[&words, "cargo is not on the PATH"]);
        door.assert_nothing_half_is_left();
    }
}

#[test]
fn without_curl_and_wget_the_error_says_so() {
    let door = Door::released(Vec::new());
    door.run(NOTHING).assert_error(&["neither curl nor wget is on the PATH", "cargo is not on the PATH"]);
}

#[test]
fn a_password_in_the_url_of_a_mirror_is_not_logged() {
    let door = Door::released(Vec::new());
    let mirror = door.server.origin().replace("://", "://somebody:Pa55word@") + "/files";
    let output = door.command(CURL).env("APPLE_SERVICES_CONNECTION_DOWNLOAD_URL", mirror).output().unwrap();
    let run = Run::from(output);
    assert!(!run.log.contains("Pa55word"), "{}", run.log);
    run.assert_error(&[&format!("the download of {}/files", door.server.origin())]);
}

#[test]
fn a_system_without_a_release_is_named() {
    let door = Door::released(Vec::new());
    let uname = door.path("tools/before/uname");
    fs::write(&uname, "#!/bin/sh\necho Plan9 mips\n").unwrap();
    fs::set_permissions(&uname, fs::Permissions::from_mode(0o755)).unwrap();
    door.run(CURL).assert_error(&[
        "There is no binary of this Step for plan9-mips",
        "version 9.8.7 was not released for plan9-mips",
    ]);
    assert_eq!(door.requests(), 0);
    door.run(CURL_AND_CARGO).assert_built();
}

#[test]
fn a_run_that_is_stopped_leaves_no_half_file() {
    for tool in [CURL, WGET] {
        let door = Door::released(vec![Behaviour::StallInBody(Duration::from_secs(60))]);
        let mut child = door.command(tool).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while door.requests() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(20));
        }
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert!(!child.wait().unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(20));
        door.assert_nothing_half_is_left();
    }
}

// --- Cached -----------------------------------------------------------------------

#[test]
fn a_cached_binary_is_run_and_nothing_is_asked() {
    let door = Door::released(Vec::new());
    door.run(CURL).assert_released();
    door.run(NOTHING).assert_released();
    assert_eq!(door.requests(), 1);
    assert_eq!(mode(&door.cache()), 0o700);
}

#[test]
fn a_cached_binary_that_was_changed_is_replaced_and_never_run() {
    let door = Door::released(Vec::new());
    door.run(CURL).assert_released();
    let forged = RELEASED.replace("released", "forged");

    fs::write(door.cached(), &forged).unwrap();
    let run = door.run(CURL);
    run.assert_warning(&[&door.cached().to_string_lossy(), "not run"]);
    assert!(run.log.ends_with(RELEASED_SAYS) && !run.log.contains("forged"), "{}", run.log);
    door.run(NOTHING).assert_released();

    fs::write(door.cached(), &forged).unwrap();
    let run = door.run(NOTHING);
    run.assert_error(&["neither curl nor wget"]);
    assert!(!run.log.contains("forged"), "{}", run.log);
}

#[test]
fn a_built_binary_that_was_changed_is_built_again_and_never_run() {
    let door = Door::new();
    door.run(CARGO).assert_built();
    let built = files_below(&door.cache())
        .into_iter()
        .find(|file| file.ends_with(NAME) && !file.starts_with(door.cache().join("target")))
        .unwrap();
    fs::write(&built, RELEASED).unwrap();
    let run = door.run(CARGO);
    run.assert_warning(&[&built.to_string_lossy(), "not run"]);
    assert!(run.log.ends_with(BUILT_SAYS) && !run.log.contains("released"), "{}", run.log);
}

#[test]
fn a_cache_that_somebody_else_could_have_made_is_not_used() {
    let door = Door::released(Vec::new());
    door.run(CURL).assert_released();
    fs::rename(door.cache(), door.path("home/elsewhere")).unwrap();
    symlink(door.path("home/elsewhere"), door.cache()).unwrap();
    door.run(CURL).assert_released();
    assert_eq!(door.requests(), 2);
}

#[test]
fn a_cache_with_loose_permissions_is_closed() {
    let door = Door::released(Vec::new());
    fs::create_dir_all(door.cache()).unwrap();
    fs::set_permissions(door.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    door.run(CURL).assert_released();
    assert_eq!(mode(&door.cache()), 0o700);
}

/// A command that the permissions of files hold for: to the superuser they mean nothing.
fn as_a_user(mut command: Command) -> Command {
    let id = Command::new("id").arg("-u").output().unwrap().stdout;
    if id == b"0\n" {
        command.uid(65534).gid(65534);
    }
    command
}

#[test]
fn with_a_home_that_is_read_only_the_cache_is_in_the_temporary_folder() {
    let door = Door::released(Vec::new());
    fs::set_permissions(door.path("home"), fs::Permissions::from_mode(0o555)).unwrap();
    for _ in 0..2 {
        Run::from(as_a_user(door.command(CURL)).output().unwrap()).assert_released();
    }
    assert_eq!(door.requests(), 1);
    assert_eq!(files_below(&door.path("home")), Vec::<PathBuf>::new());
    let caches: Vec<_> = fs::read_dir(door.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(caches.iter().map(|cache| mode(cache)).collect::<Vec<_>>(), [0o700], "{caches:?}");
    door.assert_nothing_half_is_left();
}

#[test]
fn without_a_place_to_write_to_the_error_names_the_folders() {
    let door = Door::released(Vec::new());
    for folder in ["home", "tmp"] {
        fs::set_permissions(door.path(folder), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let run = Run::from(as_a_user(door.command(CURL)).output().unwrap());
    run.assert_error(&[
        &door.cache().to_string_lossy(),
        &door.path("tmp").to_string_lossy(),
        "XDG_CACHE_HOME",
    ]);
    assert_eq!(door.requests(), 0);
}

// --- At once ----------------------------------------------------------------------

#[test]
fn runs_at_once_each_find_a_whole_binary() {
    let slowly = Behaviour::Drip { bytes: 10, every: Duration::from_millis(20) };
    let door = Door::released(vec![slowly.forever()]);
    let commands: Vec<_> = (0..4).map(|_| door.command(CURL)).collect();
    let running: Vec<_> = commands
        .into_iter()
        .map(|mut command| thread::spawn(move || Run::from(command.output().unwrap())))
        .collect();
    for run in running {
        run.join().unwrap().assert_released();
    }
    assert_eq!(fs::read(door.cached()).unwrap(), RELEASED.as_bytes());
    door.assert_nothing_half_is_left();
}

#[test]
fn builds_at_once_each_find_a_whole_binary() {
    let door = Door::new();
    let commands: Vec<_> = (0..2).map(|_| door.command(CARGO)).collect();
    let running: Vec<_> = commands
        .into_iter()
        .map(|mut command| thread::spawn(move || Run::from(command.output().unwrap())))
        .collect();
    for run in running {
        run.join().unwrap().assert_built();
    }
    door.assert_nothing_half_is_left();
}

// --- Built ------------------------------------------------------------------------

#[test]
fn a_version_that_was_not_released_is_built_once_and_nothing_is_asked() {
    let door = Door::new();
    door.run(CURL_AND_CARGO).assert_built();
    door.run(NOTHING).assert_built();
    assert_eq!(door.requests(), 0);
    assert_eq!(mode(&door.cache()), 0o700);
    door.assert_nothing_half_is_left();
}

#[test]
fn without_cargo_a_version_that_was_not_released_is_named() {
    let door = Door::new();
    door.run(CURL).assert_error(&[
        "it cannot be downloaded, since version 9.8.7 has not been released",
        "cargo is not on the PATH",
        "https://rustup.rs",
    ]);
    assert_eq!(door.requests(), 0);
}

#[test]
fn a_folder_with_neither_a_binary_that_can_be_run_nor_sources_is_named_as_that() {
    let door = Door::new();
    fs::remove_file(door.path("step/Cargo.toml")).unwrap();
    // As a download or a web upload leaves it: without the right to be run.
    door.write(&format!("step/apple-services-connection-{}", system()), "#!/bin/sh\n");
    door.run(CURL_AND_CARGO).assert_error(&["beside step.sh that can be run", "no sources"]);
    assert_eq!(door.requests(), 0);
}

#[test]
fn sources_that_were_changed_since_the_release_are_built() {
    let door = Door::released(Vec::new());
    door.write("step/step.yml", "title: Another Step\n");
    door.run(CURL_AND_CARGO).assert_built();
    assert_eq!(door.requests(), 0);
}

#[test]
fn a_line_that_moves_from_one_source_to_the_next_changes_the_key() {
    let door = Door::new();
    door.write("step/src/a.rs", "// one\n// two\n");
    door.write("step/src/b.rs", "// three\n");
    let before = door.source_key();
    door.write("step/src/a.rs", "// one\n");
    door.write("step/src/b.rs", "// two\n// three\n");
    assert_ne!(door.source_key(), before);
}

#[test]
fn the_key_is_the_same_whatever_makes_the_sum() {
    let door = Door::new();
    let key = door.source_key();
    assert_eq!(key.len(), 64);
    for tool in ["openssl", "sha256sum", "shasum"] {
        let folder = door.path("tools").join(tool);
        fs::create_dir(&folder).unwrap();
        for tool in ["bash", "tail", "perl", tool] {
            symlink(which(tool), folder.join(tool)).unwrap();
        }
        let mut command = door.command(NOTHING);
        let run = Run::from(command.env("PATH", folder).arg("--source-key").output().unwrap());
        assert_eq!((run.status, run.log.trim()), (Some(0), key.as_str()), "{tool}");
    }
}

#[test]
fn without_anything_to_make_a_sum_with_no_binary_is_run() {
    let door = Door::released(Vec::new());
    door.run(CURL).assert_released();
    let folder = door.path("tools/no-sum");
    fs::create_dir(&folder).unwrap();
    for tool in ["bash", "tail", "sleep", "uname"] {
        symlink(which(tool), folder.join(tool)).unwrap();
    }
    let run = Run::from(door.command(NOTHING).env("PATH", folder).output().unwrap());
    run.assert_error(&["None of openssl, sha256sum and shasum works"]);
}

#[test]
fn when_the_download_fails_the_step_is_built_with_a_warning() {
    let door = Door::released(vec![status(404).forever()]);
    let run = door.run(CURL_AND_CARGO);
    run.assert_warning(&["404", "built with cargo instead"]);
    assert!(run.log.ends_with(BUILT_SAYS), "{}", run.log);
    // The next run does not wait for the server again.
    door.run(CURL_AND_CARGO).assert_built();
    assert_eq!(door.requests(), 1);
}

#[test]
fn a_build_that_fails_says_what_failed_in_each() {
    let door = Door::new();
    door.write("step/src/main.rs", "fn main() { nothing }\n");
    door.release(vec![status(404).forever()]);
    let run = door.run(CURL_AND_CARGO);
    run.assert_error(&["cannot be built with cargo", "404", "none lies beside step.sh", "Rust 1.88"]);
    assert!(run.log.contains("cannot find value `nothing`"), "{}", run.log);
    door.assert_nothing_half_is_left();
}

#[test]
fn a_binary_that_cannot_be_started_is_an_error() {
    let door = Door::new();
    let beside = door.path(&format!("step/{NAME}-{}", system()));
    fs::write(&beside, "\x7fELF\0 this is no programme").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    let run = door.run(CURL);
    assert_eq!(run.status, Some(1), "{}", run.log);
    assert!(run.log.contains("cannot be started on this system"), "{}", run.log);
}
