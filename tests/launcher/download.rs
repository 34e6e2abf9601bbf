//! The download of a released version.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use stand_in::{Behaviour, StandIn};

use super::support::{
    CURL, CURL_AND_CARGO, Launcher, NAME, NOTHING, RELEASED, Run, VERSION, WGET, files_below, sha256, status,
    system, which,
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
        let elsewhere = StandIn::start().unwrap();
        let there = elsewhere.file("elsewhere", "binary", RELEASED, Vec::new());
        let launcher = Launcher::released(vec![Behaviour::Redirect { code: 302, to: there }]);
        launcher.run(tool).assert_released();
        assert_eq!((launcher.requests(), elsewhere.requests().len()), (1, 1));
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
        ]);
        assert_eq!(launcher.requests(), 1);
        assert_eq!(files_below(&launcher.cache()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_download_that_was_cut_is_not_run() {
    for (cut, tools, reason) in [
        (Behaviour::WrongContentLength, CURL, "the connection was cut"),
        (Behaviour::WrongContentLength, WGET, "wget ended with status"),
        (Behaviour::ResetMidBody, CURL, "the connection was cut"),
        (Behaviour::ResetMidBody, WGET, "wget ended with status"),
        (Behaviour::ChunkedCut, CURL, "the connection was cut"),
    ] {
        let launcher = Launcher::released(vec![cut.forever()]);
        launcher.run(tools).assert_error(&["The download of ", reason]);
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
            &format!(
                "The download of {VERSION}/{NAME}-{} from {}/files failed",
                system(),
                launcher.server.origin()
            ),
            "HTTP 404",
            &format!("No binary for {} lies beside step.sh", system()),
            &launcher.cache().to_string_lossy(),
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
        let words =
            format!("The download of {VERSION}/{NAME}-{} from {origin} failed: no connection", system());
        Run::from(output).assert_error(&[&words]);
        launcher.assert_nothing_half_is_left();
    }
}

#[test]
fn without_curl_and_wget_the_error_says_so() {
    let launcher = Launcher::released(Vec::new());
    launcher.run(NOTHING).assert_error(&["neither curl nor wget is on the PATH"]);
}

#[test]
fn a_password_in_the_url_of_a_mirror_is_used_but_not_logged_whole_or_in_part() {
    const PASSWORD: &str = "Pa55wordQzXv";
    for tools in [CURL, WGET] {
        // With the right to be asked for, but no such file.
        let launcher = Launcher::released(vec![status(404).forever()]);
        let origin = launcher.server.origin().to_owned();
        let host = origin.trim_start_matches("http://");
        for mirror in [
            format!("http://somebody:{PASSWORD}@{host}/files"),
            format!("http://somebody:{PASSWORD}@more{PASSWORD}@{host}/files"),
            format!("http://{PASSWORD}@{host}/files"),
            format!("somebody:{PASSWORD}@{host}/files"),
            format!("//somebody:{PASSWORD}@{host}/files"),
            format!("http://somebody:{PASSWORD}/files"),
            format!("http://somebody:{PASSWORD}@localhost:{PASSWORD}/files"),
            format!("http://somebody:{PASSWORD}@localhost:999999/files"),
            format!("http://{host}/files?token={PASSWORD}&file="),
            format!("http://{host}/files#{PASSWORD}"),
            format!("http://somebody:{PASSWORD}\n@{host}/files"),
            format!("ftp://somebody:{PASSWORD}@{host}/files"),
            format!("http://somebody:{PASSWORD}\"@{host}/files"),
        ] {
            let output = launcher
                .command(tools)
                .env("APPLE_SERVICES_CONNECTION_DOWNLOAD_URL", &mirror)
                .output()
                .unwrap();
            let run = Run::from(output);
            run.assert_error(&["APPLE_SERVICES_CONNECTION_DOWNLOAD_URL"]);
            run.assert_hides(PASSWORD);
        }
        assert!(launcher.requests() > 0);
    }
}

#[test]
fn the_url_of_a_mirror_with_a_password_is_no_argument_of_any_process() {
    for tool in ["curl", "wget"] {
        let launcher = Launcher::released(Vec::new());
        let arguments = launcher.path("arguments");
        launcher.script(
            &format!("tools/before/{tool}"),
            &format!("echo \"$@\" >>{}\nexec {} \"$@\"", arguments.display(), which(tool).display()),
        );
        let mirror = launcher.server.origin().replace("://", "://somebody:Pa55wordQzXv@") + "/files";
        let mut command = launcher.command(NOTHING);
        let run = Run::from(command.env("APPLE_SERVICES_CONNECTION_DOWNLOAD_URL", mirror).output().unwrap());
        // The stand-in refuses a request for a file that has credentials, as curl sends them at once.
        assert_eq!(launcher.requests(), 1, "{}", run.log);
        let authorized = launcher.server.requests()[0].headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("authorization") && value == "Basic c29tZWJvZHk6UGE1NXdvcmRRelh2"
        });
        assert_eq!((authorized, run.status), if tool == "curl" { (true, Some(1)) } else { (false, Some(7)) });
        assert!(!fs::read_to_string(arguments).unwrap().contains("Pa55"));
    }
}

#[test]
fn a_system_without_a_release_is_named() {
    let launcher = Launcher::released(Vec::new());
    launcher.script("tools/before/uname", "echo Plan9 mips");
    launcher
        .run(CURL_AND_CARGO)
        .assert_error(&["Version 9.8.7 of the Step was not released for plan9-mips", "main branch"]);
    assert_eq!(launcher.requests(), 0);
}

#[test]
fn a_signal_during_the_download_ends_it_at_once_and_leaves_no_half_file() {
    for (tool, signal, number) in
        [(CURL, "TERM", 15), (WGET, "TERM", 15), (CURL, "INT", 2), (WGET, "INT", 2), (CURL, "HUP", 1)]
    {
        let launcher = Launcher::released(vec![Behaviour::StallInBody(Duration::from_secs(60))]);
        let mut child = launcher.command(tool).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while launcher.requests() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(20));
        }
        let sent = Instant::now();
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(128 + number));
        assert!(sent.elapsed() < Duration::from_secs(3), "{tool:?} {signal}: {:?}", sent.elapsed());
        launcher.assert_nothing_half_is_left();
        launcher.assert_nothing_runs();
    }
}

#[test]
fn a_server_that_drips_is_given_up_whatever_downloads() {
    for tools in [CURL, WGET] {
        let drip = Behaviour::Drip { bytes: 1, every: Duration::from_secs(1) };
        let launcher = Launcher::released(vec![drip.forever()]);
        // The same pauses, but three minutes last two seconds.
        let sleep = which("sleep");
        launcher.script(
            "tools/before/sleep",
            &format!("[ \"$1\" != 180 ] || set -- 2\nexec {} \"$1\"", sleep.display()),
        );
        let begun = Instant::now();
        launcher.run(tools).assert_error(&["it was not done after 180 seconds"]);
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        launcher.assert_nothing_half_is_left();
        launcher.assert_nothing_runs();
    }
}

#[test]
fn a_body_without_end_is_given_up_at_16_mib_whatever_downloads() {
    let zeros = vec![0; 17 * 1024 * 1024];
    let unannounced = [b"HTTP/1.0 200 OK\r\n\r\n".as_slice(), &zeros].concat();
    for tools in [CURL, WGET] {
        for body in [Behaviour::Raw(unannounced.clone()), Behaviour::Body(zeros.clone())] {
            let launcher = Launcher::released(vec![body.forever()]);
            launcher.run(tools).assert_error(&["it is larger than 16 MiB"]);
            assert_eq!(launcher.requests(), 1);
            launcher.assert_nothing_half_is_left();
        }
    }
}
