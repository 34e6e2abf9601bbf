//! The download of a released version.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use stand_in::{Behaviour, StandIn};

use super::support::{
    CURL, CURL_AND_CARGO, Launcher, NAME, NOTHING, RELEASED, Run, VERSION, WGET, files_below, sha256, status,
    system,
};

#[test]
fn the_released_binary_is_downloaded_with_curl_and_with_wget() {
    for tool in [CURL, WGET] {
        let launcher = Launcher::released(Vec::new());
        launcher.run(tool).assert_released();
        let requests = launcher.server.requests();
        let targets: Vec<_> = requests.iter().map(|request| request.target.as_str()).collect();
        assert_eq!(targets, [format!("/files/{VERSION}/{NAME}-{}", system())]);
        launcher.assert_nothing_half_is_left();
    }
}

#[test]
fn a_redirect_is_followed_as_release_pages_have_one() {
    for tool in [CURL, WGET] {
        let launcher = Launcher::new();
        let there = launcher.server.file("elsewhere", "binary", RELEASED, Vec::new());
        launcher.release(vec![Behaviour::Redirect { code: 302, to: there }]);
        launcher.run(tool).assert_released();
        assert_eq!(launcher.requests(), 2);
    }
}

#[test]
fn a_wrong_hash_is_an_error_and_nothing_else_is_tried() {
    for tools in [CURL, WGET, CURL_AND_CARGO] {
        let other = RELEASED.replace("released", "forged").into_bytes();
        let launcher = Launcher::released(vec![Behaviour::Body(other.clone()).forever()]);
        let run = launcher.run(tools);
        run.assert_error(&[
            "is not the binary that was released",
            &sha256(&other),
            &sha256(RELEASED.as_bytes()),
            &format!("release/{VERSION}.sha256"),
        ]);
        assert_eq!(launcher.requests(), 1);
        assert_eq!(files_below(&launcher.cache()), Vec::<PathBuf>::new());
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
        let launcher = Launcher::released(vec![cut.forever()]);
        launcher.run(tools).assert_error(&["the download of ", reason, "cargo is not on the PATH"]);
        assert_eq!(launcher.requests(), 3);
        assert_eq!(files_below(&launcher.cache()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_download_that_was_cut_without_a_sign_has_a_wrong_hash() {
    let half = RELEASED.as_bytes().split_at(RELEASED.len() / 2).0.to_vec();
    let raw = [b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), half].concat();
    for tools in [CURL, WGET] {
        let launcher = Launcher::released(vec![Behaviour::Raw(raw.clone()).forever()]);
        launcher.run(tools).assert_error(&["is not the binary that was released"]);
        assert_eq!(files_below(&launcher.cache()), Vec::<PathBuf>::new());
    }
}

#[test]
fn what_passes_is_tried_again() {
    for passing in
        [status(500), status(503), status(429), Behaviour::ResetMidBody, Behaviour::CloseBeforeAnswer]
    {
        for tools in [CURL, WGET] {
            let launcher = Launcher::released(vec![passing.clone()]);
            launcher.run(tools).assert_released();
            assert_eq!(launcher.requests(), 2, "{passing:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_asked_for_once() {
    for tools in [CURL, WGET] {
        let launcher = Launcher::released(vec![status(404).forever()]);
        launcher.run(tools).assert_error(&[
            &format!("There is no binary of this Step for {}", system()),
            "none lies beside step.sh",
            &launcher.cache().to_string_lossy(),
            &format!("{}/files/{VERSION}/{NAME}-{} failed", launcher.server.origin(), system()),
            "404",
            "cargo is not on the PATH",
            "APPLE_SERVICES_CONNECTION_DOWNLOAD_URL",
        ]);
        assert_eq!(launcher.requests(), 1);
        launcher.assert_nothing_half_is_left();
    }
}

#[test]
fn without_a_network_the_error_says_what_failed_in_each() {
    for tools in [CURL, WGET] {
        let launcher = Launcher::released(Vec::new());
        // The port of a server that has ended.
        let origin = StandIn::start().unwrap().origin().to_owned();
        let mut command = launcher.command(tools);
        let output = command.env("APPLE_SERVICES_CONNECTION_DOWNLOAD_URL", &origin).output().unwrap();
        let words = format!("the download of {origin}/{VERSION}/{NAME}-{} failed (", system());
        Run::from(output).assert_error(&[&words, "cargo is not on the PATH"]);
        launcher.assert_nothing_half_is_left();
    }
}

#[test]
fn without_curl_and_wget_the_error_says_so() {
    let launcher = Launcher::released(Vec::new());
    launcher.run(NOTHING).assert_error(&["neither curl nor wget is on the PATH", "cargo is not on the PATH"]);
}

#[test]
fn a_password_in_the_url_of_a_mirror_is_not_logged() {
    let launcher = Launcher::released(Vec::new());
    let mirror = launcher.server.origin().replace("://", "://somebody:Pa55word@") + "/files";
    let output =
        launcher.command(CURL).env("APPLE_SERVICES_CONNECTION_DOWNLOAD_URL", mirror).output().unwrap();
    let run = Run::from(output);
    assert!(!run.log.contains("Pa55word"), "{}", run.log);
    run.assert_error(&[&format!("the download of {}/files", launcher.server.origin())]);
}

#[test]
fn a_system_without_a_release_is_named() {
    let launcher = Launcher::released(Vec::new());
    let uname = launcher.path("tools/before/uname");
    fs::write(&uname, "#!/bin/sh\necho Plan9 mips\n").unwrap();
    fs::set_permissions(&uname, fs::Permissions::from_mode(0o755)).unwrap();
    launcher.run(CURL).assert_error(&[
        "There is no binary of this Step for plan9-mips",
        "version 9.8.7 was not released for plan9-mips",
    ]);
    assert_eq!(launcher.requests(), 0);
    launcher.run(CURL_AND_CARGO).assert_built();
}

#[test]
fn a_run_that_is_stopped_leaves_no_half_file() {
    for tool in [CURL, WGET] {
        let launcher = Launcher::released(vec![Behaviour::StallInBody(Duration::from_secs(60))]);
        let mut child = launcher.command(tool).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while launcher.requests() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(20));
        }
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert!(!child.wait().unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(20));
        launcher.assert_nothing_half_is_left();
    }
}
