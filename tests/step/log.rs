//! Rules for every log. `runs` shows whole logs.

use serde_json::json;
use stand_in::{Provider, Session};
use test_support::{
    CONNECTED_APPLE_ID, INPUT_ISSUER, Step, api_key, connected_session, merge, website_session,
};

#[test]
fn debug_lines_are_shown_only_with_verbose_log() {
    let count_debug_lines = |verbose| {
        let step = Step::new().connected(&api_key()).envstore("envs: [{A: x}]\n");
        step.set("verbose_log", verbose).set("RUST_LOG", "trace").run().debug_lines().len()
    };
    assert_eq!(count_debug_lines("no"), 0);
    assert!(count_debug_lines("yes") > 0);
}

#[test]
fn text_from_outside_cannot_forge_colors_or_lines() {
    let forged = "/nowhere/\u{1b}[31;1mforged\u{1b}[0m/AuthKey_FROMINPUT1.p8";
    let forged_key = json!({"key_id": "A\u{1b}[31;1mforged"});
    for step in [
        Step::off_bitrise().set("api_key_path", forged).set("api_issuer", INPUT_ISSUER),
        Step::new().connected(&merge([api_key(), forged_key])),
    ] {
        let outcome = step.fails();
        // A forged color would look like a second error.
        assert_eq!(outcome.errors().len(), 1, "{}", outcome.stdout);
    }
}

#[test]
fn help_and_version_are_the_only_options() {
    let binary = || std::process::Command::new(env!("CARGO_BIN_EXE_apple-services-connection"));
    let run = |argument: &str| binary().env_clear().arg(argument).output().unwrap();
    for argument in ["--help", "--version"] {
        let output = run(argument);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).lines().next().is_some());
    }
    assert_eq!(run("now").status.code(), Some(1));
    if let Ok(full) = std::fs::File::create("/dev/full") {
        let output = binary().env_clear().arg("--help").stdout(full).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(1), vec![]), "a full disk causes no panic");
    }
}

#[test]
fn a_connected_session_is_hidden_in_text_from_services_even_if_the_run_uses_the_key() {
    let device = json!({"device_identifier": "A1", "title": "x canary-session", "device_type": "other"});
    let devices = json!({"test_devices": [device.clone(), device]});
    let outcome = Step::new().connected(&merge([api_key(), connected_session(), devices])).succeeds();
    assert!(outcome.warnings().concat().contains("\"*****\""), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("canary-session"), "{}", outcome.stdout);
}

#[test]
fn a_password_that_is_also_in_another_input_is_hidden_there() {
    // The password looks like a team ID, which the log usually shows.
    let step = Step::new().with_apple_id_inputs().set("password", "TR0UB4DOR9").set("team_id", "TR0UB4DOR9");
    let outcome = step.set("verbose_log", "yes").succeeds();
    assert!(outcome.stdout.contains("- team_id: *****"), "{}", outcome.stdout);
    assert_eq!(outcome.output("FASTLANE_TEAM_ID"), "TR0UB4DOR9");
}

#[test]
fn a_connected_apple_ids_address_is_hidden_in_text_from_services() {
    let provider = Provider { provider_id: 7, name: format!("Jane {CONNECTED_APPLE_ID}") };
    let available_providers = vec![provider.clone()];
    let session = Session { provider: Some(provider), available_providers, ..website_session(vec![]) };
    let step = Step::new().connected(&connected_session()).verified_by_session(session);
    let outcome = step.set("verbose_log", "yes").succeeds();
    assert!(outcome.stdout.contains("- Team: *****"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains(CONNECTED_APPLE_ID), "{}", outcome.stdout);
}
