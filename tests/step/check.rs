//! `action: check` in a build, and the `check` command on a developer's machine.

use std::fs;

use serde_json::json;
use stand_in::{Service, Team};

use test_support::snapshots::{assert_messages, assert_run};
use test_support::{
    CONNECTED_APP_PASSWORD, CONNECTED_KEY, CONNECTED_PASSWORD, INPUT_APPLE_ID, INPUT_ISSUER, INPUT_KEY,
    INPUT_KEY_ID, INPUT_PASSWORD, Outcome, Step, account, account_of, api_key, connected_session,
    files_below, find_leak, in_days, merge, pem, website_session,
};

const BUNDLE_ID: &str = "com.example.app";

fn check_step() -> Step {
    Step::new().set("action", "check")
}

/// Searches all files of the run: in its home, working, temporary and envstore folders.
fn assert_in_no_file(outcome: &Outcome, secret: &str) {
    for path in files_below(outcome.root.path()) {
        let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert_eq!(find_leak(&content, secret), None, "in {}", path.display());
    }
}

fn assert_only_outputs<const N: usize>(outcome: &Outcome, expected: [(&str, &str); N]) {
    assert_eq!(outcome.outputs(), expected.map(|(name, value)| (name.into(), value.into())).into());
}

#[test]
fn a_check_exports_its_result_but_no_credential_and_writes_no_file() {
    let tools = "bitrise,fastlane,fastlane_api_key_path,xcode,connection,asc,expo";
    let devices = json!({"test_devices": [{"device_identifier": "A1", "title": "x", "device_type": "ios"}]});
    let step = check_step().connected(&merge([api_key(), devices])).set("export_for", tools);
    let step =
        step.set("export_token", "yes").set("bundle_id", BUNDLE_ID).set("required_access", "provisioning");
    let team = Team { requests_left: 3000, ..Team::with_apps([BUNDLE_ID]) };
    let team = team.with_distribution_certificates(["2099-01-31T10:00:00.000+0000"]);
    let outcome = step.verified_by_team(account(vec![]), team).succeeds();
    let app = outcome.output("APPLE_APP_ID");
    assert_only_outputs(
        &outcome,
        [
            ("APPLE_AUTH_METHOD", "api_key"),
            ("APPLE_AUTH_SOURCE", "connection"),
            ("APPLE_AUTH_VERIFIED", "yes"),
            ("APPLE_APP_ID", &app),
        ],
    );
    assert!(outcome.leftovers.is_empty(), "{:?}", outcome.leftovers);
    assert_in_no_file(&outcome, &CONNECTED_KEY.private_pem);
    assert_run("check", &outcome);

    let session = merge([connected_session(), json!({"connection_expiry_date": "2099-03-01T01:30:00Z"})]);
    let outcome = check_step().connected(&session).verified_by_session(website_session(vec![])).succeeds();
    assert_only_outputs(
        &outcome,
        [
            ("APPLE_AUTH_METHOD", "apple_id"),
            ("APPLE_AUTH_SOURCE", "connection"),
            ("APPLE_AUTH_VERIFIED", "yes"),
            ("APPLE_SESSION_EXPIRES_AT", "2099-03-01T01:30:00Z"),
        ],
    );
    for secret in [CONNECTED_PASSWORD, CONNECTED_APP_PASSWORD, "canary-session"] {
        assert_in_no_file(&outcome, secret);
    }
}

#[test]
fn the_outputs_of_a_check_have_the_prefix() {
    let step = check_step().connected(&api_key()).set("output_prefix", "NEXT_");
    let outcome = step.verified_by(account(vec![])).succeeds();
    assert_eq!(
        outcome.output_names(),
        ["NEXT_APPLE_AUTH_METHOD", "NEXT_APPLE_AUTH_SOURCE", "NEXT_APPLE_AUTH_VERIFIED"]
    );
}

#[test]
fn errors_that_an_export_shares_with_a_check_do_not_mention_the_check() {
    let expired = merge([connected_session(), json!({"connection_expiry_date": in_days(-3)})]);
    let rows: [(&str, Step); 3] = [
        ("an expired session", Step::new().connected(&expired).verified_by_session(website_session(vec![]))),
        ("no credential", Step::new().unset("verify")),
        (
            "two tools that expect different values in one variable",
            Step::new().connected(&api_key()).set("export_for", "tauri,electron").unset("verify"),
        ),
    ];
    for (what, step) in rows {
        let error = step.set("action", "check").fails().error();
        assert!(!error.contains("check"), "{what}: an export fails with this error too: {error}");
    }
}

#[test]
fn a_check_with_verify_no_is_an_error() {
    let error = check_step().connected(&api_key()).set("verify", "no").fails().error();
    assert_messages("check/verify_is_no", [("verify is no", error)]);
}

// --- On a developer's machine

/// Runs `apple-services-connection check` with these arguments.
fn check_locally(step: Step, arguments: &[&str]) -> Outcome {
    let arguments: Vec<_> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    // The binary is the shell's `$0`.
    let script = format!("exec \"$0\" check {}", arguments.join(" "));
    step.unset("verify").under("/bin/sh", &["-c", &script]).run()
}

#[test]
fn a_local_check_takes_its_inputs_as_arguments_and_exports_nothing() {
    let name = format!("AuthKey_{INPUT_KEY_ID}.p8");
    let step = Step::new().connected(&api_key()).file(&format!("home/{name}"), pem());
    let account = account_of(&INPUT_KEY, INPUT_KEY_ID, Some(INPUT_ISSUER), vec![]);
    let step = step.verified_by_team(account, Team::with_apps([BUNDLE_ID]));
    let arguments = [
        &format!("api_key_path=~/{name}"),
        &format!("api_issuer={INPUT_ISSUER}"),
        &format!("bundle_id={BUNDLE_ID}"),
    ];
    let outcome = check_locally(step, &arguments.map(String::as_str));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert_eq!(
        outcome.titles(),
        ["Inputs", "Finding the Apple credential", "Verifying the credential with Apple", "Result"]
    );
    assert!(outcome.stdout.contains("- APPLE_AUTH_VERIFIED: yes\n"), "{}", outcome.stdout);
    assert_eq!(outcome.envstore_text, None, "no envstore is written");
    assert!(outcome.leftovers.is_empty(), "no file is left");
    assert!(outcome.page.is_empty(), "no summary is written");
    assert!(outcome.requests.iter().all(|request| request.service == Service::AppStoreConnect), "Apple only");
}

#[test]
fn a_local_check_reads_secret_inputs_from_the_environment() {
    let step = Step::new().set("password", INPUT_PASSWORD).set("apple_id", INPUT_APPLE_ID);
    let outcome = check_locally(step, &["export_for=fastlane"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("Using the Apple ID in the inputs."), "{}", outcome.stdout);
}

#[test]
fn a_local_check_reads_the_connection_only_if_an_argument_asks_for_it() {
    let step = || Step::new().connected(&api_key()).verified_by(account(vec![]));
    assert_eq!(check_locally(step(), &[]).code, Some(1));
    let connected = check_locally(step(), &["connection=automatic"]);
    assert_eq!(connected.code, Some(0), "{}", connected.stdout);
}

#[test]
fn a_local_check_rejects_invalid_arguments() {
    // Looks like a key, but has no secret: the base64 prefix that all P-256 keys share, twice.
    const KEY: &str = "api_key_path=MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
    let rows = [
        "api_key_path",
        "api_key_pth=key.p8",
        "colour=blue",
        "password=canary-password",
        KEY,
        "action=export",
        "verify=no",
    ];
    let errors = rows.map(|argument| {
        let outcome = check_locally(Step::new().secret("canary-password").secret("MIGHAgEA"), &[argument]);
        outcome.assert_failure();
        (argument, outcome.error())
    });
    assert_messages("check/arguments", errors);
}
