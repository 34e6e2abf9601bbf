//! The build from source.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::environment::{PRINTS_A_LINE, fake_cargo};
use test_support::{mode, wait_until};

use super::support::{Launcher, Run, entries_below, path_of, which};

#[test]
fn sources_are_built_once() {
    let launcher = Launcher::with_sources();
    launcher.run_with_cargo().assert_built();
    launcher.run().assert_built_earlier();
    assert_eq!((mode(launcher.cache()), mode(launcher.cached_binary())), (0o700, 0o700));
    launcher.assert_no_temporary_files();
}

#[test]
fn the_first_line_comes_within_a_second_and_later_lines_show_progress() {
    let launcher = Launcher::with_sources();
    // Makes waits of less than ten seconds ten times shorter.
    let sleep = which("sleep").display().to_string();
    launcher.replace("sleep", &format!("case $1 in [1-9]) set -- \"0.$1\" ;; esac; exec {sleep} \"$1\""));
    launcher.replace("cargo", &fake_cargo(&format!("echo '   Compiling rustls v0.23.1'; {sleep} 3; exit 1")));
    let mut first_line = Duration::MAX;
    // Tries again if the machine is busy with other tests.
    for _ in 0..10 {
        let mut child = launcher.command().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        first_line = first_line.min(begun.elapsed());
        assert!(line.starts_with("Building the Step from source, which takes"), "{line}");
        let mut rest = String::new();
        log.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        let (progress, end) = rest.split_once("\x1b[31;1m").unwrap();
        // On a busy machine, the first line of progress can come before cargo prints anything.
        assert!(progress.lines().all(|line| line.starts_with("Still building after ")), "{rest}");
        assert!(progress.ends_with(" s: Compiling rustls v0.23.1\n"), "{rest}");
        assert!(end.starts_with("Cannot build the Step from source") && end.ends_with("\x1b[0m\n"), "{rest}");
        if first_line < Duration::from_secs(1) {
            return;
        }
    }
    panic!("the first line came after {first_line:?} at best");
}

#[test]
fn without_cargo_the_error_says_how_to_get_a_binary() {
    Launcher::with_sources().run().assert_error(&[
        "cargo is not on the PATH",
        "a release tag",
        "https://rustup.rs",
    ]);
}

#[test]
fn a_failed_build_shows_cargos_errors() {
    let launcher = Launcher::with_sources();
    launcher.write("src/main.rs", "fn main() { nothing }\n");
    let run = launcher.run_with_cargo();
    run.assert_error(&["Cannot build the Step from source", "cargo's messages above", "Rust 1.88"]);
    assert!(run.log.contains("cannot find value `nothing`") && !run.log.contains("Compiling"), "{}", run.log);
    assert!(entries_below(&launcher.cache()).is_empty());
}

#[test]
fn a_build_without_a_binary_is_a_failed_build() {
    let launcher = Launcher::with_sources();
    launcher.replace("cargo", &fake_cargo("echo a message"));
    let run = launcher.run();
    run.assert_error(&["Cannot build the Step from source", "cargo's messages above"]);
    assert!(run.log.contains("a message\n"), "{}", run.log);
}

#[test]
fn a_binary_runs_even_if_the_files_of_its_build_cannot_be_deleted() {
    let launcher = Launcher::with_sources();
    launcher.replace("cargo", &fake_cargo(PRINTS_A_LINE));
    launcher.replace("rm", "exit 1");
    launcher.run().assert_built();
}

#[test]
fn any_change_to_the_sources_causes_a_new_build() {
    let changes: [fn(&Launcher); 5] = [
        |launcher| launcher.write("src/main.rs", "fn main() { println!(\"changed\"); }\n"),
        |launcher| launcher.write("step.yml", "title: Another Step\n"),
        |launcher| fs::rename(launcher.step.join("src/a.rs"), launcher.step.join("src/c.rs")).unwrap(),
        |launcher| fs::remove_file(launcher.step.join("src/b.rs")).unwrap(),
        |launcher| {
            // The second line of one file becomes the first of the next.
            launcher.write("src/a.rs", "// one\n");
            launcher.write("src/b.rs", "// two\n// three\n");
        },
    ];
    for change in changes {
        let launcher = Launcher::with_sources();
        launcher.write("src/a.rs", "// one\n// two\n");
        launcher.write("src/b.rs", "// three\n");
        launcher.replace("cargo", &fake_cargo(PRINTS_A_LINE));
        launcher.run().assert_built();
        launcher.run().assert_built_earlier();
        change(&launcher);
        launcher.run().assert_built();
    }
}

#[test]
fn sources_that_change_during_the_build_are_an_error() {
    let launcher = Launcher::with_sources();
    let source = launcher.step.join("src/main.rs");
    launcher.replace("cargo", &fake_cargo(&format!("echo >>'{}'; echo >\"$binary\"", source.display())));
    launcher.run().assert_error(&["source code changed during the build"]);
    assert!(entries_below(&launcher.cache()).is_empty());
}

/// A build script that records its environment.
const RECORDS_ITS_ENVIRONMENT: &str = "fn main() {
    let mut text = String::new();
    for (name, value) in std::env::vars_os() {
        text += &format!(\"{}={}\\n\", name.to_string_lossy(), value.to_string_lossy());
    }
    std::fs::write(std::path::Path::new(&std::env::var(\"OUT_DIR\").unwrap()).join(\"text\"), text).unwrap();
}
";

#[test]
fn the_build_gets_network_settings_but_neither_inputs_nor_secrets_nor_flags() {
    let launcher = Launcher::with_sources();
    launcher.write("build.rs", RECORDS_ITS_ENVIRONMENT);
    launcher.write(
        "src/main.rs",
        "fn main() { print!(\"{}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"))); }\n",
    );
    launcher.replace("wrapper", "echo secret-0 >&2; exit 1");
    let wrapper = launcher.path("tools/wrapper");
    let proxy = "http://someone:pass 'word\"$(echo no)`echo no`\\@localhost:9";
    let mut command = launcher.command_with_cargo();
    for name in [
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "CARGO_BUILD_RUSTC",
        "RUSTC",
    ] {
        command.env(name, &wrapper);
    }
    for (name, value) in [
        ("password", "secret-1"),
        ("api_key_path", "secret-2"),
        ("BITRISE_BUILD_API_TOKEN", "secret-3"),
        ("MY-OWN.SECRET", "secret-4"),
        ("CARGO_REGISTRY_TOKEN", "secret-5"),
        ("BASH_FUNC_cargo%%", "() { echo secret-6; }"),
        ("RUSTFLAGS", "--cfg=secret-7"),
        ("CARGO_ENCODED_RUSTFLAGS", "--cfg=secret-8"),
        ("CARGO_BUILD_TARGET", "secret-9"),
        ("CARGO_TARGET_DIR", "/nowhere/secret-10"),
        ("GIT_DIR", "/nowhere/secret-11"),
        ("https_proxy", proxy),
        ("CARGO_HTTP_TIMEOUT", "77"),
        ("AWS_LC_SYS_NO_JITTER_ENTROPY", "0"),
    ] {
        command.env(name, value);
    }
    let run = Run::of(command);
    assert_eq!(run.status, Some(0), "{}", run.log);
    assert!(!run.log.contains("secret-"), "{}", run.log);
    assert!(!run.log.lines().any(|line| line.starts_with("connection=")), "{}", run.log);
    let https_proxy = format!("https_proxy={proxy}");
    for line in
        [&https_proxy, "CARGO_HTTP_TIMEOUT=77", "CARGO_NET_OFFLINE=true", "AWS_LC_SYS_NO_JITTER_ENTROPY=1"]
    {
        assert!(run.log.lines().any(|printed| printed == line), "{line} is not in: {}", run.log);
    }
}

/// Writes settings into this folder. cargo and rustup would read them if they ran in it or below it.
fn plant_settings(launcher: &Launcher, folder: &Path) {
    launcher.replace("wrapper", "echo a planted wrapper ran >&2; exit 1");
    let wrapper = launcher.path("tools/wrapper");
    fs::create_dir_all(folder.join(".cargo")).unwrap();
    let config = format!("[build]\nrustc-wrapper = \"{}\"\ntarget-dir = \"/nowhere\"\n", wrapper.display());
    fs::write(folder.join(".cargo/config.toml"), config).unwrap();
    fs::write(folder.join("rust-toolchain.toml"), "[toolchain]\nchannel = \"planted\"\n").unwrap();
}

#[test]
fn settings_of_cargo_and_rustup_above_the_step_and_in_the_project_are_not_read() {
    for place in ["", "step", "home/.cache", "tmp"] {
        let launcher = Launcher::with_sources();
        fs::create_dir_all(launcher.path("home/.cache")).unwrap();
        plant_settings(&launcher, &launcher.path(place));
        // Uses rustup's cargo and rustc, as most machines do. They look for a toolchain file.
        let mut command = launcher.command_with_cargo();
        let rustup = which("rustup").parent().unwrap().to_owned();
        let path = path_of(&command);
        let path = std::env::join_paths(std::iter::once(rustup).chain(std::env::split_paths(&path))).unwrap();
        let home = std::env::var_os("RUSTUP_HOME")
            .map_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".rustup"), Into::into);
        command.env("PATH", path).env("RUSTUP_HOME", home);
        // The CLI starts the Step in the project's folder.
        command.current_dir(launcher.path(place));
        Run::of(command).assert_built();
    }
}

#[test]
fn a_signal_during_the_build_ends_all_processes_and_removes_temporary_files() {
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let launcher = Launcher::with_sources();
        let begun = launcher.path("tmp/begun");
        // `sleep` stands for rustc, which cargo starts as a separate process.
        launcher.replace("cargo", &fake_cargo(&format!("sleep 60 & echo >'{}'; wait", begun.display())));
        let mut child = launcher.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(|| begun.exists());
        let sent = Instant::now();
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(128 + 15)); // as after SIGTERM
        assert!(sent.elapsed() < Duration::from_secs(3), "{signal}: {:?}", sent.elapsed());
        launcher.assert_no_temporary_files();
        launcher.assert_nothing_runs();
    }
}

#[test]
fn the_build_uses_the_versions_in_cargo_lock_or_fails() {
    let launcher = Launcher::with_sources();
    let lock = fs::read_to_string(launcher.step.join("Cargo.lock")).unwrap();
    launcher.write("Cargo.lock", &lock.replace("9.8.7", "9.8.6"));
    let run = launcher.run_with_cargo();
    run.assert_error(&["Cannot build the Step from source"]);
    assert!(run.log.contains("--locked"), "{}", run.log);
}
