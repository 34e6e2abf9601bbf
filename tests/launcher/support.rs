//! Copies of the Step, a simulated machine that runs its launcher, and the outcomes of these runs.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_support::{set_mode, wait_until};

pub(crate) const NOBODY: u32 = 65534;
pub(crate) const NAME: &str = "apple-services-connection";

/// The binary of a release: a script that prints a line and exits with status 7, unlike the launcher.
pub(crate) const RELEASED: &str = "#!/bin/sh\necho \"this is the released binary, $connection\"\nexit 7\n";
const RELEASED_OUTPUT: &str = "this is the released binary, off\n";
const BUILDING: &str = "Building the Step from source, which takes 1–2 minutes the first time. To avoid it, reference a release tag.\n";
const BUILT_OUTPUT: &str = "this is the built binary\n";

/// The tools that the launcher calls, without cargo.
pub(crate) const TOOLS: [&str; 16] = [
    "bash",
    "chmod",
    "cp",
    "env",
    "find",
    "id",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sed",
    "sha256sum",
    "sleep",
    "sort",
    "uname",
    "xargs",
];

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
    test_support::hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

/// The PATH of a command.
pub(crate) fn path_of(command: &Command) -> OsString {
    command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned()
}

pub(crate) fn which(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{tool} is not on the PATH"))
}

/// A copy of the Step, and a simulated machine with its own home, temporary folder and tools.
pub(crate) struct Launcher {
    folder: TempDir,
    /// The Step's folder.
    pub(crate) step: PathBuf,
}

impl Launcher {
    /// A release with a binary for this system, which has this mode.
    pub(crate) fn released(mode: u32) -> Self {
        let launcher = Self::in_folder("step");
        fs::write(launcher.released_binary(), RELEASED).unwrap();
        set_mode(launcher.released_binary(), mode);
        launcher
    }

    /// The Step's sources, without a binary.
    pub(crate) fn with_sources() -> Self {
        let launcher = Self::in_folder("step");
        launcher.add_sources();
        launcher
    }

    /// A Step that consists only of the launcher, in a folder of this name.
    pub(crate) fn in_folder(name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let step = folder.path().join(name);
        let launcher = Self { folder, step };
        // Lets another user run the launcher.
        set_mode(launcher.folder.path(), 0o755);
        for folder in ["home", "tmp", "tools"] {
            fs::create_dir(launcher.path(folder)).unwrap();
        }
        set_mode(launcher.path("home"), 0o755);
        set_mode(launcher.path("tmp"), 0o1777);
        fs::create_dir(&launcher.step).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("step.sh"), launcher.step.join("step.sh"))
            .unwrap();
        launcher
    }

    pub(crate) fn add_sources(&self) {
        fs::create_dir(self.step.join("src")).unwrap();
        let package = format!("name = \"{NAME}\"\nversion = \"9.8.7\"\n");
        let manifest = format!(
            "[package]\n{package}edition = \"2021\"\n[workspace]\n[profile.source]\ninherits = \"release\"\n"
        );
        self.write("Cargo.toml", &manifest);
        self.write("Cargo.lock", &format!("version = 3\n\n[[package]]\n{package}"));
        self.write("step.yml", "title: A Step\n");
        self.write("src/main.rs", "fn main() { println!(\"this is the built binary\"); }\n");
    }

    /// Replaces a system tool with a script, until the file in `tools` is deleted.
    pub(crate) fn replace(&self, tool: &str, script: &str) {
        let file = self.path("tools").join(tool);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        set_mode(&file, 0o755);
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file of the Step.
    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.step.join(path), text).unwrap();
    }

    pub(crate) fn released_binary(&self) -> PathBuf {
        self.step.join(format!("{NAME}-{}", system()))
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path("home/.cache").join(NAME)
    }

    /// The path of the binary in the cache, which must be the only file there.
    #[track_caller]
    pub(crate) fn cached_binary(&self) -> PathBuf {
        let files = entries_below(&self.cache());
        let [file] = files.as_slice() else { panic!("expected exactly one file: {files:?}") };
        file.clone()
    }

    /// The launcher as the CLI starts it, on a machine without cargo.
    pub(crate) fn command(&self) -> Command {
        self.command_with_tools(&TOOLS)
    }

    pub(crate) fn command_without(&self, tool: &str) -> Command {
        self.command_with_tools(&TOOLS.into_iter().filter(|other| *other != tool).collect::<Vec<_>>())
    }

    pub(crate) fn command_with_tools(&self, tools: &[&str]) -> Command {
        let folder = TempDir::new_in(self.folder.path()).unwrap().keep();
        set_mode(&folder, 0o755);
        for tool in tools {
            symlink(which(tool), folder.join(tool)).unwrap();
        }
        let path = std::env::join_paths([self.path("tools"), folder]).unwrap();
        let mut command = Command::new(which("bash"));
        command
            .arg(self.step.join("step.sh"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("connection", "off")
            .env("CARGO_HOME", self.path("tmp/cargo"))
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::null());
        command
    }

    /// The launcher as the CLI starts it, on a machine with cargo.
    pub(crate) fn command_with_cargo(&self) -> Command {
        let mut command = self.command();
        let mut path = path_of(&command);
        path.push(":");
        path.push(Path::new(env!("CARGO")).parent().unwrap());
        for program in ["cc", "ld", "as"] {
            let link = self.path("tools").join(program);
            if !link.exists() {
                symlink(which(program), link).unwrap();
            }
        }
        command.env("PATH", path);
        command
    }

    pub(crate) fn run(&self) -> Run {
        Run::of(self.command())
    }

    pub(crate) fn run_with_cargo(&self) -> Run {
        Run::of(self.command_with_cargo())
    }

    /// Waits until no process of a run is left: only on Linux, where the environment of each process can be read.
    pub(crate) fn assert_nothing_runs(&self) {
        if cfg!(target_os = "linux") {
            let folder = self.folder.path().to_string_lossy().into_owned();
            let is_of_run = |process: fs::DirEntry| {
                let environ = fs::read(process.path().join("environ")).unwrap_or_default();
                String::from_utf8_lossy(&environ).contains(&folder)
            };
            let started = Instant::now();
            wait_until(|| !fs::read_dir("/proc").unwrap().any(|process| is_of_run(process.unwrap())));
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        }
    }

    pub(crate) fn assert_no_temporary_files(&self) {
        for root in ["home", "tmp"] {
            for file in entries_below(&self.path(root)) {
                assert!(!file.to_string_lossy().contains("temporary."), "{} is left", file.display());
            }
        }
    }
}

/// All files and folders in a folder and in the folders below it.
pub(crate) fn entries_below(folder: &Path) -> Vec<PathBuf> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        entries.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            entries.extend(entries_below(&entry.path()));
        }
    }
    entries
}

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) log: String,
}

impl Run {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        let log = [output.stdout, output.stderr].concat();
        Self { status: output.status.code(), log: String::from_utf8(log).unwrap() }
    }

    /// The released binary ran, and the launcher printed nothing.
    #[track_caller]
    pub(crate) fn assert_released(&self) {
        assert_eq!((self.status, self.log.as_str()), (Some(7), RELEASED_OUTPUT));
    }

    /// The launcher announced the build and built the binary, and the binary ran.
    #[track_caller]
    pub(crate) fn assert_built(&self) {
        let log: String =
            self.log.split_inclusive('\n').filter(|line| !line.starts_with("Still building after")).collect();
        assert_eq!((self.status, log), (Some(0), format!("{BUILDING}{BUILT_OUTPUT}")));
    }

    /// The binary from an earlier build ran, and the launcher printed nothing.
    #[track_caller]
    pub(crate) fn assert_built_earlier(&self) {
        assert_eq!((self.status, self.log.as_str()), (Some(0), BUILT_OUTPUT));
    }

    /// The run failed with one error of at most 45 words, which contains all these parts, and ran no binary.
    #[track_caller]
    pub(crate) fn assert_error(&self, parts: &[&str]) {
        assert_eq!(self.status, Some(1), "{}", self.log);
        assert!(!self.log.contains("this is the"), "{}", self.log);
        let blocks: Vec<_> = self.log.split("\x1b[31;1m").skip(1).collect();
        let [block] = blocks.as_slice() else { panic!("not one error: {}", self.log) };
        let (error, _) = block.split_once("\x1b[0m\n").unwrap();
        assert!(!error.contains('\n') && error.split(' ').count() <= 45, "{error}");
        for part in parts {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    /// The log has one warning, which contains all these parts.
    #[track_caller]
    pub(crate) fn assert_warning(&self, parts: &[&str]) {
        let warnings: Vec<_> = self.log.split("\x1b[33;1m").skip(1).collect();
        let [warning] = warnings.as_slice() else { panic!("not one warning: {}", self.log) };
        let (warning, _) = warning.split_once("\x1b[0m\n").unwrap();
        for part in parts {
            assert!(warning.contains(part), "{part} is not in: {warning}");
        }
    }
}

/// Runs the command as an ordinary user, because root ignores file permissions.
pub(crate) fn as_a_user(mut command: Command) -> Command {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}
