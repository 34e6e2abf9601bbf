//! Which credential each mode (a value of the input `connection`) uses, and what happens if the credential is broken.

use serde_json::{Value, json};
use stand_in::Behaviour;

use test_support::snapshots::assert_messages;
use test_support::{
    CONNECTED_APP_PASSWORD, CONNECTED_APPLE_ID, CONNECTED_KEY_ID, INPUT_APP_PASSWORD, INPUT_APPLE_ID,
    INPUT_ISSUER, INPUT_KEY_ID, Outcome, Step, always_busy, api_key, apple_id, errors_of, in_days,
    in_parallel, merge, status,
};

// Method, source and ID of each credential.
const KEY_OF_CONNECTION: [&str; 3] = ["api_key", "connection", CONNECTED_KEY_ID];
const APPLE_ID_OF_CONNECTION: [&str; 3] = ["apple_id", "connection", CONNECTED_APPLE_ID];
const KEY_OF_INPUTS: [&str; 3] = ["api_key", "inputs", INPUT_KEY_ID];
const APPLE_ID_OF_INPUTS: [&str; 3] = ["apple_id", "inputs", INPUT_APPLE_ID];

/// Asserts that the outputs contain this credential and no other.
#[track_caller]
fn assert_used(outcome: &Outcome, credential: [&str; 3]) {
    let outputs = ["APPLE_AUTH_METHOD", "APPLE_AUTH_SOURCE", "APPLE_API_KEY_ID", "FASTLANE_USER"];
    let exported: Vec<_> = outputs.iter().filter_map(|name| outcome.get_output(name)).collect();
    assert_eq!(exported, credential, "{}", outcome.stdout);
}

#[test]
fn the_first_credential_in_the_order_of_the_mode_is_used() {
    let connected = |body: &Value| Step::new().connected(body);
    let both = merge([apple_id(), api_key()]);
    let broken_key = merge([apple_id(), json!({"key_id": "?", "private_key": "garbage"})]);
    let expired = merge([both.clone(), json!({"connection_expiry_date": in_days(-3)})]);
    let without_key = merge([apple_id(), json!({"key_id": "", "private_key": ""})]);
    let empty = json!({
        "key_id": "", "issuer_id": " ", "private_key": null, "apple_id": "", "password": "",
        "app_specific_password": "", "connection_expiry_date": null, "session_cookies": null,
        "test_devices": [{"id": 1, "device_identifier": "00008020-0"}], "a_new_field": {"x": [1]},
    });
    // Reading this key would be an error.
    let missing_key = [("api_key_path", "/nowhere/AuthKey_FROMINPUT1.p8"), ("api_issuer", INPUT_ISSUER)];
    let rows = [
        (connected(&both).with_key_inputs(), KEY_OF_CONNECTION),
        (connected(&both).set("connection", "automatic"), KEY_OF_CONNECTION),
        (connected(&both).set("connection", "api_key"), KEY_OF_CONNECTION),
        (connected(&expired).set("connection", "api_key"), KEY_OF_CONNECTION),
        (connected(&api_key()).set_all(missing_key), KEY_OF_CONNECTION),
        (connected(&apple_id()).with_key_inputs(), APPLE_ID_OF_CONNECTION),
        (connected(&apple_id()).with_apple_id_inputs(), APPLE_ID_OF_CONNECTION),
        (connected(&apple_id()).set("connection", "automatic"), APPLE_ID_OF_CONNECTION),
        (connected(&without_key), APPLE_ID_OF_CONNECTION),
        (connected(&both).set("connection", "apple_id"), APPLE_ID_OF_CONNECTION),
        (connected(&broken_key).set("connection", "apple_id"), APPLE_ID_OF_CONNECTION),
        (Step::new().with_key_inputs(), KEY_OF_INPUTS),
        (connected(&empty).with_key_inputs(), KEY_OF_INPUTS),
        (Step::new().with_apple_id_inputs().set("api_key_enterprise_account", "yes"), APPLE_ID_OF_INPUTS),
    ];
    for (step, credential) in rows {
        assert_used(&step.succeeds(), credential);
    }
}

#[test]
fn the_log_says_why_credentials_earlier_in_the_order_were_not_used() {
    let outcome = Step::new().with_apple_id_inputs().succeeds();
    assert_used(&outcome, APPLE_ID_OF_INPUTS);
    assert_messages("precedence/last", [("an Apple ID in the inputs", outcome.section("credential"))]);
}

#[test]
fn a_mode_that_requires_the_connection_never_falls_back_to_the_inputs() {
    let mut messages = Vec::new();
    for mode in ["api_key", "apple_id"] {
        let nothing = Step::new().with_key_inputs().set("connection", mode).fails().error();
        messages.push((format!("{mode}, nothing connected"), nothing));
        let unreadable = Step::new().connected_with(&json!({}), always_busy(500)).with_key_inputs();
        messages.push((format!("{mode}, HTTP 500"), unreadable.set("connection", mode).fails().error()));
    }
    for (mode, other, what) in
        [("api_key", apple_id(), "an Apple ID connected"), ("apple_id", api_key(), "an API key connected")]
    {
        let error = Step::new().connected(&other).set("connection", mode).fails().error();
        messages.push((format!("{mode}, {what}"), error));
    }
    assert_messages("precedence/forced", messages);
}

#[test]
fn a_mode_that_requires_the_connection_ignores_inputs_and_lists_them_in_a_warning() {
    let step = Step::new().connected(&merge([api_key(), apple_id()])).set_all([
        ("connection", "api_key"),
        ("api_key_path", "http://not-checked.invalid/x"),
        ("api_key_id", "not checked"),
        ("api_issuer", "not checked"),
        ("api_key_enterprise_account", "yes"),
        ("apple_id", "not checked either"),
        ("password", "not checked password"),
        ("app_password", "not checked app password"),
        ("fastlane_session", "not checked session"),
    ]);
    let outcome = step.succeeds();
    assert_used(&outcome, KEY_OF_CONNECTION);
    assert_messages("precedence/ignored", [("all inputs, ignored", outcome.warnings().join("\n"))]);
    assert_eq!(outcome.output("APPLE_API_KEY_ENTERPRISE"), "no", "the input is ignored");
}

#[test]
fn inputs_at_their_defaults_cause_no_warning() {
    for (mode, tools) in [("api_key", "bitrise"), ("apple_id", "fastlane")] {
        let connected = merge([api_key(), apple_id()]);
        let step = Step::new().connected(&connected).set("connection", mode).set("export_for", tools);
        assert_eq!(step.succeeds().warnings(), Vec::<String>::new());
    }
}

#[test]
fn app_password_is_used_only_if_the_connected_apple_id_has_none() {
    let rows = [
        (json!(""), INPUT_APP_PASSWORD),
        (json!(null), INPUT_APP_PASSWORD),
        (json!(CONNECTED_APP_PASSWORD), CONNECTED_APP_PASSWORD),
    ];
    for (connected_password, used) in rows {
        let connected = merge([apple_id(), json!({"app_specific_password": connected_password})]);
        let step = Step::new().connected(&connected).set("connection", "apple_id");
        let outcome = step.set("app_password", INPUT_APP_PASSWORD).succeeds();
        assert_used(&outcome, APPLE_ID_OF_CONNECTION);
        assert_eq!(outcome.output("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD"), used);
        if used == INPUT_APP_PASSWORD {
            assert_eq!(outcome.warnings(), Vec::<String>::new(), "the input is used, not ignored");
        }
    }
}

#[test]
fn mode_off_uses_the_inputs_without_a_request_and_does_not_validate_build_url() {
    let connected = || Step::new().connected(&merge([api_key(), apple_id()]));
    let rows = [
        (connected().with_key_inputs(), KEY_OF_INPUTS),
        (connected().with_apple_id_inputs(), APPLE_ID_OF_INPUTS),
        (connected().with_key_inputs().set("build_url", "http://not-loopback.invalid"), KEY_OF_INPUTS),
        (Step::off_bitrise().with_key_inputs(), KEY_OF_INPUTS),
    ];
    for (step, credential) in rows {
        let outcome = step.set("connection", "off").succeeds();
        assert_used(&outcome, credential);
        assert_eq!(outcome.requests, []);
    }
}

#[test]
fn mode_off_without_inputs_is_an_error_that_lists_the_inputs_to_set() {
    let outcome = Step::new().connected(&api_key()).set("connection", "off").fails();
    assert_messages("precedence/off", [("off without inputs", outcome.error())]);
    assert_eq!(outcome.requests, []);
}

#[test]
fn an_api_key_and_an_apple_id_in_the_inputs_are_an_error_that_lists_both_groups() {
    let mut messages = Vec::new();
    for mode in ["automatic", "off"] {
        let step = Step::new().connected(&api_key()).with_key_inputs().with_apple_id_inputs();
        messages.push((format!("both, {mode}"), step.set("connection", mode).fails().error()));
        let step = Step::new().set_all([("api_issuer", "x"), ("app_password", "y"), ("connection", mode)]);
        messages.push((format!("a part of both, {mode}"), step.fails().error()));
    }
    assert_messages("precedence/both", messages);
}

/// For each unusable connection: what is wrong with it, its document, and the behaviours of the stand-in.
fn unusable_connections() -> Vec<(&'static str, Value, Vec<Behaviour>)> {
    let bad_key = json!({"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"});
    vec![
        ("a server error", api_key(), always_busy(500)),
        ("a pull request of a public project", api_key(), vec![status(401, &[])]),
        ("an HTML page", api_key(), vec![Behaviour::Html]),
        ("a broken private key", merge([api_key(), bad_key]), vec![]),
        ("no issuer ID", merge([api_key(), json!({"issuer_id": ""})]), vec![]),
        ("no key ID", merge([api_key(), json!({"key_id": null})]), vec![]),
        ("no private key", merge([api_key(), json!({"private_key": ""})]), vec![]),
        ("an expired session", merge([apple_id(), json!({"connection_expiry_date": in_days(-3)})]), vec![]),
        (
            "an Apple ID with nothing to log in",
            json!({"apple_id": "jane@example.com", "password": ""}),
            vec![],
        ),
        ("an unreadable expiry date", merge([apple_id(), json!({"connection_expiry_date": "soon"})]), vec![]),
    ]
}

#[test]
fn mode_automatic_warns_and_uses_complete_inputs_if_the_connection_is_unusable() {
    let messages = in_parallel(unusable_connections(), |(what, body, behaviours)| {
        let outcome = Step::new().connected_with(&body, behaviours).with_key_inputs().succeeds();
        assert_used(&outcome, KEY_OF_INPUTS);
        (what, outcome.warnings().pop().expect("a warning"))
    });
    assert_messages("precedence/unusable_connection_and_inputs", messages);
    let step = Step::new().connected_with(&json!({}), always_busy(500)).with_apple_id_inputs();
    assert_used(&step.succeeds(), APPLE_ID_OF_INPUTS);
}

#[test]
fn without_complete_inputs_an_unusable_connection_is_an_error_even_with_if_missing_skip() {
    let rows = unusable_connections().into_iter().flat_map(|(what, body, behaviours)| {
        ["fail", "skip"].map(|if_missing| {
            let step = Step::new().connected_with(&body, behaviours.clone());
            (format!("{what}, if_missing is {if_missing}"), step.set("if_missing", if_missing))
        })
    });
    let mut messages = errors_of(rows);
    // The stand-in rejects a wrong token as Bitrise does.
    let outcome = Step::new().connected(&api_key()).set("build_api_token", "another-token").fails();
    assert_eq!(outcome.requests.len(), 1, "the request is not retried");
    messages.push(("another build's token".to_owned(), outcome.error()));
    assert_messages("precedence/unusable_connection", messages);
}

#[test]
fn an_expired_session_is_an_error_with_its_date_and_how_to_renew_it() {
    let connected = merge([apple_id(), json!({"connection_expiry_date": "2024-02-29T12:34:56+01:00"})]);
    let error = |mode| Step::new().connected(&connected).set("connection", mode).fails().error();
    assert_messages("precedence/expired", ["automatic", "apple_id"].map(|mode| (mode, error(mode))));
}

#[test]
fn without_a_credential_the_error_explains_the_setup() {
    let rows = [
        ("nothing set", Step::new()),
        ("if_missing is fail", Step::new().set("if_missing", "fail")),
        ("off Bitrise", Step::off_bitrise()),
    ];
    assert_messages("precedence/nothing_found", rows.map(|(what, step)| (what, step.fails().error())));
}

#[test]
fn without_a_credential_if_missing_skip_warns_and_exports_none_as_method_and_source() {
    let messages = ["automatic", "api_key", "apple_id", "off"].map(|mode| {
        let outcome = Step::new().set("connection", mode).set("if_missing", "skip").succeeds();
        let expected =
            [("APPLE_AUTH_METHOD", "none"), ("APPLE_AUTH_SOURCE", "none"), ("APPLE_AUTH_VERIFIED", "no")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(outcome.outputs(), expected.into(), "{mode}");
        assert!(outcome.leftovers.is_empty(), "no file is needed");
        (mode, outcome.warnings().join("\n"))
    });
    assert_messages("precedence/nothing_found_and_skip", messages);
}
