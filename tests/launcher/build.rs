//! The build from sources.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::support::{
    BUILT_SAYS, CARGO, CURL, CURL_AND_CARGO, Launcher, NAME, NOTHING, Run, mode, system, which,
};

#[test]
fn sources_are_built_once_and_nothing_is_asked() {
    let launcher = Launcher::new();
    launcher.run(CURL_AND_CARGO).assert_built();
    launcher.run(NOTHING).assert_built();
    assert_eq!(launcher.requests(), 0);
    assert_eq!(mode(&launcher.cache()), 0o700);
    launcher.assert_nothing_half_is_left();
}

#[test]
fn without_cargo_the_error_says_what_to_install() {
    let launcher = Launcher::new();
    launcher.run(CURL).assert_error(&["cargo is not on the PATH", "a released version", "https://rustup.rs"]);
    assert_eq!(launcher.requests(), 0);
}

#[test]
fn a_folder_with_neither_a_binary_that_can_be_run_nor_sources_is_named_as_that() {
    let launcher = Launcher::new();
    fs::remove_file(launcher.path("step/Cargo.toml")).unwrap();
    // As a download or a web upload leaves it: without the right to be run.
    launcher.write(&format!("step/{NAME}-{}", system()), "#!/bin/sh\n");
    launcher.run(CURL_AND_CARGO).assert_error(&["beside step.sh that can be run", "no source code"]);
    assert_eq!(launcher.requests(), 0);
}

#[test]
fn sources_that_were_changed_are_built_again() {
    let launcher = Launcher::new();
    launcher.run(CARGO).assert_built();
    launcher.write("step/src/main.rs", "fn main() { println!(\"changed\"); }\n");
    assert_eq!(launcher.run(CARGO).log, "changed\n");
}

#[test]
fn a_line_that_moves_from_one_source_to_the_next_is_a_change() {
    let launcher = Launcher::new();
    launcher.write("step/src/a.rs", "// one\n// two\n");
    launcher.write("step/src/b.rs", "// three\n");
    launcher.run(CARGO).assert_built();
    launcher.write("step/src/a.rs", "// one\n");
    launcher.write("step/src/b.rs", "// two\n// three\n");
    launcher.run(NOTHING).assert_error(&["cargo is not on the PATH"]);
}

#[test]
fn a_build_is_found_again_whatever_makes_the_sum() {
    let launcher = Launcher::new();
    launcher.run(CARGO).assert_built();
    for tool in ["openssl", "sha256sum", "shasum"] {
        let folder = launcher.path("tools").join(tool);
        fs::create_dir(&folder).unwrap();
        for tool in ["bash", "find", "tail", "uname", "perl", tool] {
            symlink(which(tool), folder.join(tool)).unwrap();
        }
        Run::from(launcher.command(NOTHING).env("PATH", folder).output().unwrap()).assert_built();
    }
}

#[test]
fn without_anything_to_make_a_sum_with_no_binary_is_run() {
    let launcher = Launcher::new();
    launcher.run(CARGO).assert_built();
    let folder = launcher.path("tools/no-sum");
    fs::create_dir(&folder).unwrap();
    for tool in ["bash", "find", "tail", "sleep", "uname"] {
        symlink(which(tool), folder.join(tool)).unwrap();
    }
    let run = Run::from(launcher.command(NOTHING).env("PATH", folder).output().unwrap());
    run.assert_error(&["None of openssl, sha256sum and shasum works"]);
}

#[test]
fn a_build_that_fails_says_why() {
    let launcher = Launcher::new();
    launcher.write("step/src/main.rs", "fn main() { nothing }\n");
    let run = launcher.run(CURL_AND_CARGO);
    run.assert_error(&["cannot be built with cargo", "Rust 1.88", "cargo's messages are above"]);
    assert!(run.log.contains("cannot find value `nothing`"), "{}", run.log);
    launcher.assert_nothing_half_is_left();
}

#[test]
fn a_binary_that_cannot_be_started_is_an_error() {
    let launcher = Launcher::new();
    let beside = launcher.script(&format!("step/{NAME}-{}", system()), "");
    fs::write(&beside, "\x7fELF\0 this is no program").unwrap();
    let run = launcher.run(CURL);
    assert_eq!(run.status, Some(1), "{}", run.log);
    assert!(run.log.contains("does not start on this system"), "{}", run.log);
}

/// A program that prints the environment that it was compiled in.
const SHOWS_ITS_BUILD: &str = "fn main() {
    let mut text = String::new();
    for (name, value) in std::env::vars_os() {
        text += &format!(\"{}={}\\n\", name.to_string_lossy(), value.to_string_lossy());
    }
    std::fs::write(std::path::Path::new(&std::env::var(\"OUT_DIR\").unwrap()).join(\"text\"), text).unwrap();
}
";

/// What a build script of the Step's sees, when the launcher has these variables.
fn seen_by_a_build(launcher: &Launcher, variables: &[(&str, &str)]) -> String {
    launcher.write("step/build.rs", SHOWS_ITS_BUILD);
    launcher.write(
        "step/src/main.rs",
        "fn main() { print!(\"{}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"))); }\n",
    );
    let run = Run::from(launcher.command(CARGO).envs(variables.iter().copied()).output().unwrap());
    assert_eq!(run.status, Some(0), "{}", run.log);
    assert!(run.log.contains("OUT_DIR="), "{}", run.log);
    run.log
}

#[test]
fn a_build_sees_neither_inputs_nor_secrets_nor_what_would_change_it() {
    let launcher = Launcher::new();
    let wrapper = launcher.script("wrapper", "echo a wrapper ran >&2; exit 1");
    let wrapper = wrapper.to_string_lossy();
    let seen = seen_by_a_build(
        &launcher,
        &[
            ("password", "secret-1"),
            ("api_key_path", "secret-2"),
            ("BITRISE_BUILD_API_TOKEN", "secret-3"),
            ("MY-OWN.SECRET", "secret-4"),
            ("CARGO_REGISTRY_TOKEN", "secret-5"),
            ("BASH_FUNC_cargo%%", "() { echo secret-6; }"),
            ("RUSTC_WRAPPER", &wrapper),
            ("RUSTC_WORKSPACE_WRAPPER", &wrapper),
            ("CARGO_BUILD_RUSTC_WRAPPER", &wrapper),
            ("CARGO_BUILD_RUSTC", &wrapper),
            ("RUSTC", &wrapper),
            ("RUSTFLAGS", "--cfg=secret-7"),
            ("CARGO_ENCODED_RUSTFLAGS", "--cfg=secret-8"),
            ("CARGO_BUILD_TARGET", "secret-9"),
            ("CARGO_TARGET_DIR", "/nowhere/secret-10"),
            ("GIT_DIR", "/nowhere/secret-11"),
        ],
    );
    assert!(!seen.contains("secret-") && !seen.contains("a wrapper ran"), "{seen}");
    let inputs: Vec<_> = seen.lines().filter(|line| line.starts_with("connection=")).collect();
    assert_eq!(inputs, Vec::<&str>::new());
}

#[test]
fn a_build_sees_what_it_needs_of_the_network_in_whatever_characters() {
    let launcher = Launcher::new();
    let proxy = "http://someone:pass 'word\"$(echo no)\\@localhost:9";
    let seen = seen_by_a_build(&launcher, &[("https_proxy", proxy), ("CARGO_HTTP_TIMEOUT", "77")]);
    for line in [&format!("https_proxy={proxy}"), "CARGO_HTTP_TIMEOUT=77", "CARGO_NET_OFFLINE=true"] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is not in: {seen}");
    }
}

#[test]
fn a_build_is_told_to_leave_out_the_jitter_entropy() {
    let launcher = Launcher::new();
    let seen = seen_by_a_build(&launcher, &[("AWS_LC_SYS_NO_JITTER_ENTROPY", "0")]);
    assert!(seen.lines().any(|line| line == "AWS_LC_SYS_NO_JITTER_ENTROPY=1"), "{seen}");
}

/// Puts, into a folder, all that cargo and rustup read from the folders above the one they run in.
fn plant_settings(launcher: &Launcher, folder: &Path) {
    let wrapper = launcher.script("wrapper", "echo a planted wrapper ran >&2; exit 1");
    fs::create_dir_all(folder.join(".cargo")).unwrap();
    let config = format!("[build]\nrustc-wrapper = \"{}\"\ntarget-dir = \"/nowhere\"\n", wrapper.display());
    fs::write(folder.join(".cargo/config.toml"), config).unwrap();
    fs::write(folder.join("rust-toolchain.toml"), "[toolchain]\nchannel = \"planted\"\n").unwrap();
}

#[test]
fn settings_planted_above_the_step_and_in_the_project_are_not_read() {
    for place in ["", "step", "home/.cache", "tmp"] {
        let launcher = Launcher::new();
        fs::create_dir_all(launcher.path("home/.cache")).unwrap();
        plant_settings(&launcher, &launcher.path(place));
        // rustup's cargo and rustc, which look for a toolchain file, as on most machines.
        let mut command = launcher.command(CARGO);
        let rustup = which("rustup").parent().unwrap().to_owned();
        let path = std::env::join_paths(
            [rustup].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let home = std::env::var_os("RUSTUP_HOME")
            .map_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".rustup"), Into::into);
        command.env("PATH", path.unwrap()).env("RUSTUP_HOME", home);
        // The CLI starts the Step in the project's folder.
        command.current_dir(launcher.path(place));
        Run::from(command.output().unwrap()).assert_built();
    }
}

#[test]
fn a_signal_during_the_build_ends_it_at_once_with_all_that_it_started() {
    let launcher = Launcher::new();
    let begun = launcher.path("tmp/begun");
    launcher.write(
        "step/build.rs",
        &format!(
            "fn main() {{ std::fs::write({begun:?}, \"\").unwrap(); \
             std::thread::sleep(std::time::Duration::from_secs(60)); }}\n"
        ),
    );
    let mut child = launcher.command(CARGO).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !begun.exists() {
        assert!(started.elapsed() < Duration::from_secs(40));
        thread::sleep(Duration::from_millis(20));
    }
    let sent = Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert!(sent.elapsed() < Duration::from_secs(3), "{:?}", sent.elapsed());
    launcher.assert_nothing_half_is_left();
    launcher.assert_nothing_runs();
}

#[test]
fn a_build_says_nothing_else() {
    let launcher = Launcher::new();
    assert_eq!(launcher.run(CARGO).log, BUILT_SAYS);
}
