//! The whole log, with its colors, and the summary of a few kinds of runs. The files are in
//! `tests/snapshots/runs`; the logs are SVGs.

use serde_json::json;
use stand_in::{Behaviour, Session};
use test_support::snapshots::assert_run;
use test_support::{
    INPUT_APP_PASSWORD, INPUT_APPLE_ID, INPUT_ISSUER, INPUT_PASSWORD, Step, account, api_key, busy,
    connected_session, in_days, merge, pasted_session, website_session,
};

#[test]
fn the_run_of_a_connected_api_key_matches_its_snapshots() {
    let device = json!({"device_identifier": "00008030-001A2B3C4D5E6F70", "title": "Jane's iPhone", "device_type": "ios"});
    let connected = merge([api_key(), json!({"test_devices": [device]})]);
    let step = Step::new().connected(&connected).verified_by(account(vec![]));
    assert_run("connected_api_key", &step.succeeds());
}

#[test]
fn the_run_of_an_apple_id_in_the_inputs_matches_its_snapshots() {
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
    let session = Session { email_address: INPUT_APPLE_ID.to_owned(), ..website_session(vec![]) };
    assert_run("apple_id_in_the_inputs", &step.verified_by_session(session).succeeds());
}

#[test]
fn the_run_that_removes_an_earlier_credential_matches_its_snapshots() {
    let first = Step::new().connected(&api_key()).succeeds();
    let tmp = first.root.path().join("tmp");
    let outcome = Step::new().after(&first).set("action", "remove").set("TMPDIR", tmp).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert_run("remove", &outcome);
}

#[test]
fn the_run_that_warns_matches_its_snapshots() {
    let ends_soon = json!({"connection_expiry_date": in_days(3)});
    let step =
        Step::new().connected_with(&merge([connected_session(), ends_soon]), vec![busy(503), Behaviour::Ok]);
    let step = step.set_all([
        ("connection", "apple_id"),
        ("api_issuer", INPUT_ISSUER),
        ("export_for", "asc,fastlane"),
    ]);
    let not_found = Behaviour::Status { code: 404, headers: vec![], body: String::new() };
    assert_run("warnings", &step.verified_by_session(website_session(vec![not_found])).succeeds());
}

#[test]
fn the_run_with_debug_lines_matches_its_snapshots() {
    let step = Step::new().connected(&api_key()).verified_by(account(vec![])).set("verbose_log", "yes");
    assert_run("verbose", &step.envstore("envs:\n- OLD: kept\n").succeeds());
}

#[test]
fn the_run_with_several_problems_in_its_inputs_matches_its_snapshots() {
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
    let outcome = step.fails();
    assert_eq!(outcome.requests, [], "no request is made with invalid inputs");
    assert_run("wrong_inputs", &outcome);
}
