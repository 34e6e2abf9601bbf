//! A copy of the Step, a machine to run its launcher on, and what a run came to.

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

pub(crate) const NAME: &str = "apple-services-connection";
pub(crate) const VERSION: &str = "9.8.7";
pub(crate) const SCENARIO: &str = VERSION;

/// What is released, in these tests: it says so, and ends with a status of its own.
pub(crate) const RELEASED: &str = "#!/bin/sh\necho \"this is the released binary, $connection\"\nexit 7\n";
pub(crate) const RELEASED_SAYS: &str = "this is the released binary, off\n";
pub(crate) const BUILT_SAYS: &str = "this is the built binary\n";

/// All that the launcher calls, but what downloads and what builds.
pub(crate) const TOOLS: [&str; 14] = [
    "bash",
    "cat",
    "chmod",
    "env",
    "find",
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

pub(crate) const CURL: &[&str] = &["curl"];
pub(crate) const WGET: &[&str] = &["wget"];
pub(crate) const NOTHING: &[&str] = &[];
pub(crate) const CARGO: &[&str] = &["cargo"];
pub(crate) const CURL_AND_CARGO: &[&str] = &["curl", "cargo"];

pub(crate) fn system() -> String {
    let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{os}-{arch}")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hex = String::new();
    for byte in digest.as_ref() {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

pub(crate) fn which(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{tool} is not on the PATH; the launcher needs it"))
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A copy of the Step, and a machine to run it on.
pub(crate) struct Launcher {
    pub(crate) folder: TempDir,
    pub(crate) server: StandIn,
}

impl Launcher {
    pub(crate) fn new() -> Self {
        let launcher = Self { folder: TempDir::new().unwrap(), server: StandIn::start().unwrap() };
        // For runs as another user.
        fs::set_permissions(launcher.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["step/src", "home", "tmp", "tools/before"] {
            fs::create_dir_all(launcher.path(folder)).unwrap();
        }
        fs::set_permissions(launcher.path("home"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(launcher.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("step.sh"), launcher.path("step/step.sh"))
            .unwrap();
        let package = format!("name = \"{NAME}\"\nversion = \"{VERSION}\"\n");
        launcher.write("step/Cargo.toml", &format!("[package]\n{package}edition = \"2021\"\n[workspace]\n"));
        launcher.write("step/Cargo.lock", &format!("version = 3\n\n[[package]]\n{package}"));
        launcher.write("step/step.yml", "title: A Step\n");
        launcher.write("step/src/main.rs", "fn main() { println!(\"this is the built binary\"); }\n");
        launcher
    }

    /// One that was released for this system, without a binary beside it, which lies on the server.
    pub(crate) fn released(behaviours: Vec<Behaviour>) -> Self {
        let launcher = Self::new();
        for source in ["Cargo.toml", "Cargo.lock"] {
            fs::remove_file(launcher.path("step").join(source)).unwrap();
        }
        fs::remove_dir_all(launcher.path("step/src")).unwrap();
        launcher.server.file(SCENARIO, &format!("{NAME}-{}", system()), RELEASED, behaviours);
        let mut text = fs::read_to_string(launcher.path("step/step.sh")).unwrap();
        let hashes = format!("'plan10-mips:{} {}:{}'", sha256(b""), system(), sha256(RELEASED.as_bytes()));
        for (name, value) in [("version", VERSION), ("hashes", &hashes)] {
            let empty = format!("\n{name}=\n");
            assert_eq!(text.matches(&empty).count(), 1, "{name}");
            text = text.replace(&empty, &format!("\n{name}={value}\n"));
        }
        launcher.write("step/step.sh", &text);
        launcher
    }

    /// Puts an executable script on the machine.
    pub(crate) fn script(&self, path: &str, text: &str) -> PathBuf {
        self.write(path, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        self.path(path)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path("home/.cache").join(NAME)
    }

    /// Where the released binary is kept.
    pub(crate) fn cached(&self) -> PathBuf {
        self.cache().join(sha256(RELEASED.as_bytes())).join(NAME)
    }

    /// The launcher as the CLI starts it, on a machine that has only these tools besides the common ones.
    pub(crate) fn command(&self, tools: &[&str]) -> Command {
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

    pub(crate) fn run(&self, tools: &[&str]) -> Run {
        Run::from(self.command(tools).output().unwrap())
    }

    pub(crate) fn requests(&self) -> usize {
        self.server.requests().len()
    }

    /// No process of a run is left. Linux tells of every process what it was started with.
    pub(crate) fn assert_nothing_runs(&self) {
        let folder = self.folder.path().to_string_lossy().into_owned();
        if !cfg!(target_os = "linux") {
            return;
        }
        let begun = Instant::now();
        loop {
            let running: Vec<String> = fs::read_dir("/proc")
                .unwrap()
                .filter_map(|entry| fs::read(entry.unwrap().path().join("environ")).ok())
                .map(|environ| String::from_utf8_lossy(&environ).into_owned())
                .filter(|environ| environ.contains(&folder))
                .collect();
            if running.is_empty() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(2), "{running:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every run leaves whole files or none.
    pub(crate) fn assert_nothing_half_is_left(&self) {
        for root in ["home", "tmp"] {
            for file in files_below(&self.path(root)) {
                let half =
                    file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("half."));
                assert!(!half, "{} is left", file.display());
            }
        }
    }
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
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

/// What a run of the launcher came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) log: String,
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
    pub(crate) fn assert_released(&self) {
        assert_eq!((self.status, self.log.as_str()), (Some(7), RELEASED_SAYS));
    }

    /// The build ran, and nothing else was said.
    #[track_caller]
    pub(crate) fn assert_built(&self) {
        assert_eq!((self.status, self.log.as_str()), (Some(0), BUILT_SAYS));
    }

    /// The run failed with one red block that says all of these, and ran no binary.
    #[track_caller]
    pub(crate) fn assert_error(&self, says: &[&str]) {
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

    /// None of these is in the log, nor any part of four letters.
    #[track_caller]
    pub(crate) fn assert_hides(&self, secret: &str) {
        let letters: Vec<char> = secret.chars().collect();
        for part in letters.windows(4) {
            let part: String = part.iter().collect();
            assert!(!self.log.contains(&part), "{part} is in: {}", self.log);
        }
    }

    /// A yellow line says all of these.
    #[track_caller]
    pub(crate) fn assert_warning(&self, says: &[&str]) {
        let (_, rest) =
            self.log.split_once("\x1b[33;1m").unwrap_or_else(|| panic!("no warning: {}", self.log));
        let (warning, _) = rest.split_once("\x1b[0m").unwrap();
        for text in says {
            assert!(warning.contains(text), "{text} is not in: {warning}");
        }
    }
}

pub(crate) fn status(code: u16) -> Behaviour {
    Behaviour::Status { code, headers: Vec::new(), body: "no".to_owned() }
}

/// A command that the permissions of files hold for: to the superuser they mean nothing.
pub(crate) fn as_a_user(mut command: Command) -> Command {
    if is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}
