//! FIFOs and devices instead of files, and the limits and settings of the machine.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use test_support::snapshots::assert_messages;
use test_support::{INPUT_ISSUER, INPUT_KEY_ID, Step, account, api_key, apple_id, make_fifo, mode, set_mode};

#[test]
fn a_fifo_instead_of_a_file_is_an_error_that_names_it_and_does_not_block() {
    let with_fifo = |step: Step, below: &str| {
        let path = step.path(below);
        make_fifo(&path);
        (step, path)
    };
    let connected = || Step::new().connected(&api_key());
    let (store, path) = with_fifo(connected(), "store/fifo");
    let store = store.set("ENVMAN_ENVSTORE_PATH", path);
    let (build_url, path) = with_fifo(Step::new(), "work/connection.json");
    let build_url = build_url.set("build_url", format!("file://{}", path.display()));
    let (settings, _) = with_fifo(connected(), "home/.envman/configs.json");
    let (key, path) = with_fifo(Step::new().set("connection", "off"), "work/key.p8");
    let key = key.set("api_key_path", path).set("api_key_id", INPUT_KEY_ID).set("api_issuer", INPUT_ISSUER);
    let (default_envstore, _) = with_fifo(connected().unset("ENVMAN_ENVSTORE_PATH"), "work/.envstore.yml");
    let rows = [
        ("the envstore", store),
        ("envman's own envstore", default_envstore),
        ("envman's settings", settings),
        ("build_url", build_url),
        ("api_key_path", key),
    ];
    let mut messages: Vec<_> = rows.map(|(what, step)| (what, step.fails().error())).into();
    // Not `fails`, which compares the envstore: in the test's process, /dev/stdout is another file.
    let pipe = connected().set("ENVMAN_ENVSTORE_PATH", "/dev/stdout").run();
    assert_eq!((pipe.code, pipe.leftovers.len()), (Some(1), 0), "{}", pipe.stdout);
    messages.push(("the envstore is /dev/stdout, a pipe", pipe.error()));
    assert_messages("faults/fifo", messages);
}

#[test]
fn a_device_instead_of_the_envstore_is_rejected_and_unchanged() {
    // Not as root, because a bug would then replace the machine's devices.
    let messages = ["/dev/null", "/dev/zero", "/dev/random"].map(|device| {
        let before = fs::metadata(device).unwrap();
        let step = Step::new().connected(&api_key()).not_as_root();
        let error = step.set("ENVMAN_ENVSTORE_PATH", device).fails().error();
        let after = fs::metadata(device).unwrap();
        assert_eq!((after.ino(), after.mode(), after.rdev()), (before.ino(), before.mode(), before.rdev()));
        (device, error)
    });
    assert_messages("faults/device", messages);
}

#[test]
fn a_replaced_or_overwritten_envstore_keeps_its_owner_group_and_mode() {
    const OTHER_ID: u32 = 54321;
    let owner_group_and_mode = |path: &Path| {
        let file = fs::metadata(path).unwrap();
        (file.uid(), file.gid(), mode(path))
    };
    // Root replaces the envstore; another user, who cannot give a new file the same owner, overwrites it.
    let as_root = Step::new().connected(&apple_id()).envstore("envs: []\n");
    let as_other = Step::new().connected(&apple_id()).envstore("envs: []\n").not_as_root();
    for (step, original_mode) in [(as_root, 0o640), (as_other, 0o666)] {
        let path = step.envstore_path();
        // If the test does not run as root, this fails, and the file keeps its owner.
        let _ = chown(&path, Some(OTHER_ID), Some(OTHER_ID));
        set_mode(&path, original_mode);
        let before = owner_group_and_mode(&path);
        let outcome = step.succeeds();
        assert_eq!(owner_group_and_mode(&path), before);
        assert_eq!(outcome.output("APPLE_AUTH_METHOD"), "apple_id");
    }
}

#[test]
fn a_umask_that_removes_the_users_own_permissions_does_not_affect_private_files() {
    for umask in ["0177", "0777"] {
        let outcome = Step::new().connected(&api_key()).not_as_root().umask(umask).succeeds();
        let folder = outcome.output("APPLE_CREDENTIALS_DIR");
        assert_eq!((mode(&folder), mode(outcome.output("APPLE_API_KEY_PATH"))), (0o700, 0o600), "{umask}");
    }
}

#[test]
fn a_run_with_a_low_limit_of_open_files_fails_cleanly_or_succeeds() {
    let mut succeeded = 0;
    for files in 4..=24 {
        let step = Step::new().connected(&api_key()).verified_by(account(vec![]));
        let outcome = step.under("sh", &["-c", &format!("ulimit -n {files}; exec \"$0\"")]).run();
        if outcome.code == Some(0) {
            outcome.assert_success();
            succeeded += 1;
        } else {
            outcome.assert_failure();
            assert!(!outcome.stdout.contains("hit a bug"), "{files}: {}", outcome.stdout);
        }
    }
    assert!((1..21).contains(&succeeded), "{succeeded} of 21 runs succeeded");
}

#[test]
fn the_error_for_an_invalid_proxy_variable_hides_its_value() {
    let with_remote_build_url =
        || Step::new().set("build_url", "https://bitrise.invalid/build/x").secret("canary-password");
    let wrong = "http://user:canary-password@proxy:99999";
    let mut messages: Vec<_> = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .map(|variable| (variable, with_remote_build_url().set(variable, wrong).fails().error()))
        .into();
    let exempt = with_remote_build_url().set("HTTPS_PROXY", wrong).set("NO_PROXY", "example.com,.invalid");
    messages.push(("NO_PROXY has the host", exempt.set("RES_OPTIONS", "attempts:0").fails().error()));
    assert_messages("faults/wrong_proxy", messages);
    // Requests to this machine use no proxy, and plain http is allowed only to this machine.
    Step::new().connected(&api_key()).set("HTTPS_PROXY", wrong).set("HTTP_PROXY", wrong).succeeds();
}

#[test]
#[cfg(target_os = "linux")]
fn a_trust_store_of_20_gib_is_rejected() {
    let with_store = |variable: &str| {
        let step = Step::new().set("build_url", "https://bitrise.invalid/build/x");
        let path = step.path("work/store/ca.pem");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap().set_len(20 << 30).unwrap();
        let value = if variable == "SSL_CERT_FILE" { path.as_path() } else { path.parent().unwrap() };
        (variable.to_owned(), step.set(variable, value).fails().error())
    };
    assert_messages("faults/large_trust_store", ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(with_store));
}

#[test]
#[cfg(target_os = "linux")]
fn a_trust_store_without_certificates_is_an_error_that_names_the_variable() {
    let with_store = |(what, variable, path): (&str, &str, &str)| {
        let step =
            Step::new().set("build_url", "https://bitrise.invalid/build/x").file("work/store/ca.pem", "no");
        let value = if path.is_empty() { path.into() } else { step.path(path) };
        (format!("{variable}: {what}"), step.set(variable, value).fails().error())
    };
    let rows = [
        ("a file without certificates", "SSL_CERT_FILE", "work/store/ca.pem"),
        ("empty", "SSL_CERT_FILE", ""),
        ("a folder without certificates", "SSL_CERT_DIR", "work/store"),
    ];
    assert_messages("faults/trust_store_without_certificates", rows.map(with_store));
}

#[test]
fn oversized_settings_files_and_sockets_instead_of_files_are_rejected() {
    let connected = || Step::new().connected(&api_key());
    let settings = format!("{{}}{}", " ".repeat(2 << 20));
    connected().file("home/.envman/configs.json", settings).fails();
    for variable in ["ENVMAN_ENVSTORE_PATH", "build_url", "api_key_path"] {
        let step = if variable == "api_key_path" { Step::off_bitrise() } else { connected() };
        let path = step.path("home/socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let value = if variable == "build_url" {
            format!("file://{}", path.display())
        } else {
            path.display().to_string()
        };
        let step = step.set("api_issuer", INPUT_ISSUER).set("api_key_id", INPUT_KEY_ID);
        let error = step.set(variable, value).fails().error();
        assert!(error.contains("/socket"), "{error}");
    }
}

#[test]
fn a_file_size_limit_fails_the_run_without_leaving_files() {
    let step = Step::new().connected(&api_key()).envstore("envs: []\n");
    step.under("sh", &["-c", "ulimit -f 1; exec \"$0\""]).fails();
}
