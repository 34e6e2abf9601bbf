//! The log and the summary of each kind of run, in `tests/snapshots/runs`.

use std::fs;

use serde_json::json;
use stand_in::{Behaviour, Provider, Session};
use test_support::snapshots::assert_run;
use test_support::{
    INPUT_APP_PASSWORD, INPUT_APPLE_ID, INPUT_ISSUER, INPUT_PASSWORD, SERVER, Step, account, all, api_key,
    busy, connected_session, in_days, logged_in, pasted_session, pem, unique_name,
};

fn test_devices() -> serde_json::Value {
    json!({"test_devices": [
        {"device_identifier": "00008030-001A2B3C4D5E6F70", "title": "Jane's iPhone", "device_type": "ios"},
    ]})
}

#[test]
fn an_api_key_that_is_connected() {
    let step = Step::new().connected(&all([api_key(), test_devices()])).verified_by(account(vec![]));
    assert_run("connected_api_key", &step.passes());
}

#[test]
fn an_apple_id_that_is_connected() {
    let step = Step::new().connected(&connected_session()).set("export_for", "fastlane");
    let provider = |id, name: &str| Provider { provider_id: id, name: name.to_owned() };
    let providers = vec![provider(7, "Example Ltd"), provider(8, "Other Inc")];
    let session =
        Session { provider: providers.first().cloned(), available_providers: providers, ..logged_in(vec![]) };
    assert_run("connected_apple_id", &step.verified_by_session(session).passes());
}

#[test]
fn an_api_key_in_the_inputs_alone() {
    let url = SERVER.file(&unique_name(), "AuthKey_FROMINPUT1.p8", pem(), vec![]);
    let step = Step::new().connected(&api_key()).set("connection", "off").set("export_token", "yes");
    let step = step.set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
    assert_run("api_key_in_the_inputs", &step.passes());
}

#[test]
fn an_apple_id_in_the_inputs_alone() {
    let step = Step::off_bitrise().set_all([
        ("connection", "off"),
        ("apple_id", INPUT_APPLE_ID),
        ("password", INPUT_PASSWORD),
        ("app_password", INPUT_APP_PASSWORD),
        ("fastlane_session", &pasted_session()),
        ("sms_default_phone_number", "+81-80-1234-5678"),
        ("build_url", "https://app.bitrise.invalid/build/1"),
        ("build_api_token", "canary-token"),
    ]);
    let session = Session { email_address: INPUT_APPLE_ID.to_owned(), ..logged_in(vec![]) };
    assert_run("apple_id_in_the_inputs", &step.verified_by_session(session).passes());
}

#[test]
fn a_run_that_removes_an_earlier_credential() {
    let first = Step::new().connected(&api_key()).passes();
    let remove = Step::new().set("action", "remove").set("TMPDIR", first.root.path().join("tmp"));
    let set = first.entries().into_iter().map(|entry| (entry.key, entry.value));
    let outcome = set.fold(remove, |step, (key, value)| step.set(&key, value)).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert_run("remove", &outcome);
}

#[test]
fn nothing_to_remove() {
    let remove = || Step::new().set("action", "remove");
    let gone = remove().set("credentials_dir", "/nowhere/apple-services-connection-x").run();
    assert_eq!(gone.code, Some(0), "{}", gone.stdout);
    let outcome = remove().run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert_run("nothing_to_remove", &outcome);
}

#[test]
fn no_credential_and_if_missing_is_skip() {
    assert_run("if_missing_skip", &Step::new().set("if_missing", "skip").passes());
}

#[test]
fn a_run_with_warnings() {
    let ends_soon = json!({"connection_expiry_date": in_days(3)});
    let step =
        Step::new().connected_with(&all([connected_session(), ends_soon]), vec![busy(503), Behaviour::Ok]);
    let step = step.set_all([
        ("connection", "apple_id"),
        ("api_issuer", INPUT_ISSUER),
        ("export_for", "asc,fastlane"),
    ]);
    let later = Behaviour::Status { code: 404, headers: vec![], body: String::new() };
    assert_run("warnings", &step.verified_by_session(logged_in(vec![later])).passes());
}

#[test]
fn a_run_that_prints_debug_lines() {
    let step = Step::new().connected(&api_key()).verified_by(account(vec![])).set("verbose_log", "yes");
    assert_run("verbose", &step.envstore("envs:\n- OLD: kept\n").passes());
}

#[test]
fn several_problems_with_the_inputs() {
    let step = Step::new().set_all([
        ("connection", "on"),
        ("api_key_path", "http://files.example.invalid/AuthKey_X.p8"),
        ("api_key_id", "key id"),
        ("api_issuer", "issuer"),
        ("api_key_enterprise_account", "maybe"),
        ("password", "canary-password"),
        ("sms_default_phone_number", "12"),
        ("if_missing", "ignore"),
        ("verbose_log", "very"),
        ("build_url", "http://bitrise.example.invalid/build/1"),
    ]);
    let outcome = step.run();
    outcome.check_failure();
    assert_eq!(outcome.requests, [], "nothing is asked before the inputs are right");
    assert_run("wrong_inputs", &outcome);
}

#[test]
fn a_connection_that_cannot_be_read() {
    let outcome = Step::new().connected_with(&json!({}), vec![busy(500).forever()]).run();
    outcome.check_failure();
    assert_run("unreadable_connection", &outcome);
}

/// A snapshot that no test compares says nothing of what users see.
#[test]
fn every_snapshot_belongs_to_one_test() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let mut sources = String::new();
    let mut snapshots = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(tests)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(path).unwrap());
            } else if let Ok(name) = path.strip_prefix(format!("{tests}/snapshots")) {
                snapshots.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    for snapshot in snapshots {
        // The catalogue of errors is written by a test in the crate.
        let Some((kind, name)) = snapshot.split_once('/') else {
            assert_eq!(snapshot, "errors.md");
            continue;
        };
        let name = name.split('.').next().unwrap();
        let mention = if kind == "runs" { format!("assert_run(\"{name}\"") } else { format!("\"{name}\"") };
        assert_eq!(sources.matches(&mention).count(), 1, "{snapshot}");
    }
}
