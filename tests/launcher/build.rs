//! The build from sources.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::support::{
    BUILT_SAYS, CURL, CURL_AND_CARGO, Launcher, NAME, NOTHING, Run, mode, status, system, which,
};

#[test]
fn a_version_that_was_not_released_is_built_once_and_nothing_is_asked() {
    let launcher = Launcher::new();
    launcher.run(CURL_AND_CARGO).assert_built();
    launcher.run(NOTHING).assert_built();
    assert_eq!(launcher.requests(), 0);
    assert_eq!(mode(&launcher.cache()), 0o700);
    launcher.assert_nothing_half_is_left();
}

#[test]
fn without_cargo_a_version_that_was_not_released_is_named() {
    let launcher = Launcher::new();
    launcher.run(CURL).assert_error(&[
        "it cannot be downloaded, since version 9.8.7 has not been released",
        "cargo is not on the PATH",
        "https://rustup.rs",
    ]);
    assert_eq!(launcher.requests(), 0);
}

#[test]
fn a_folder_with_neither_a_binary_that_can_be_run_nor_sources_is_named_as_that() {
    let launcher = Launcher::new();
    fs::remove_file(launcher.path("step/Cargo.toml")).unwrap();
    // As a download or a web upload leaves it: without the right to be run.
    launcher.write(&format!("step/apple-services-connection-{}", system()), "#!/bin/sh\n");
    launcher.run(CURL_AND_CARGO).assert_error(&["beside step.sh that can be run", "no sources"]);
    assert_eq!(launcher.requests(), 0);
}

#[test]
fn sources_that_were_changed_since_the_release_are_built() {
    let launcher = Launcher::released(Vec::new());
    launcher.write("step/step.yml", "title: Another Step\n");
    launcher.run(CURL_AND_CARGO).assert_built();
    assert_eq!(launcher.requests(), 0);
}

#[test]
fn a_line_that_moves_from_one_source_to_the_next_changes_the_key() {
    let launcher = Launcher::new();
    launcher.write("step/src/a.rs", "// one\n// two\n");
    launcher.write("step/src/b.rs", "// three\n");
    let before = launcher.source_key();
    launcher.write("step/src/a.rs", "// one\n");
    launcher.write("step/src/b.rs", "// two\n// three\n");
    assert_ne!(launcher.source_key(), before);
}

#[test]
fn the_key_is_the_same_whatever_makes_the_sum() {
    let launcher = Launcher::new();
    let key = launcher.source_key();
    assert_eq!(key.len(), 64);
    for tool in ["openssl", "sha256sum", "shasum"] {
        let folder = launcher.path("tools").join(tool);
        fs::create_dir(&folder).unwrap();
        for tool in ["bash", "tail", "perl", tool] {
            symlink(which(tool), folder.join(tool)).unwrap();
        }
        let mut command = launcher.command(NOTHING);
        let run = Run::from(command.env("PATH", folder).arg("--source-key").output().unwrap());
        assert_eq!((run.status, run.log.trim()), (Some(0), key.as_str()), "{tool}");
    }
}

#[test]
fn without_anything_to_make_a_sum_with_no_binary_is_run() {
    let launcher = Launcher::released(Vec::new());
    launcher.run(CURL).assert_released();
    let folder = launcher.path("tools/no-sum");
    fs::create_dir(&folder).unwrap();
    for tool in ["bash", "tail", "sleep", "uname"] {
        symlink(which(tool), folder.join(tool)).unwrap();
    }
    let run = Run::from(launcher.command(NOTHING).env("PATH", folder).output().unwrap());
    run.assert_error(&["None of openssl, sha256sum and shasum works"]);
}

#[test]
fn when_the_download_fails_the_step_is_built_with_a_warning() {
    let launcher = Launcher::released(vec![status(404).forever()]);
    let run = launcher.run(CURL_AND_CARGO);
    run.assert_warning(&["404", "built with cargo instead"]);
    assert!(run.log.ends_with(BUILT_SAYS), "{}", run.log);
    // The next run does not wait for the server again.
    launcher.run(CURL_AND_CARGO).assert_built();
    assert_eq!(launcher.requests(), 1);
}

#[test]
fn a_build_that_fails_says_what_failed_in_each() {
    let launcher = Launcher::new();
    launcher.write("step/src/main.rs", "fn main() { nothing }\n");
    launcher.release(vec![status(404).forever()]);
    let run = launcher.run(CURL_AND_CARGO);
    run.assert_error(&["cannot be built with cargo", "404", "none lies beside step.sh", "Rust 1.88"]);
    assert!(run.log.contains("cannot find value `nothing`"), "{}", run.log);
    launcher.assert_nothing_half_is_left();
}

#[test]
fn a_binary_that_cannot_be_started_is_an_error() {
    let launcher = Launcher::new();
    let beside = launcher.path(&format!("step/{NAME}-{}", system()));
    fs::write(&beside, "\x7fELF\0 this is no program").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    let run = launcher.run(CURL);
    assert_eq!(run.status, Some(1), "{}", run.log);
    assert!(run.log.contains("cannot be started on this system"), "{}", run.log);
}
