//! The contract's table of toggles: which credential is used, and what happens when one is broken.

use serde_json::{Value, json};
use stand_in::Behaviour;

use test_support::{
    CONNECTED_APP_PASSWORD, CONNECTED_KEY_ID, INPUT_APP_PASSWORD, INPUT_APPLE_ID, INPUT_KEY_ID, Outcome,
    Step, all, always_busy, api_key, apple_id, in_days, status,
};

#[track_caller]
fn assert_chosen(outcome: &Outcome, method: &str, source: &str) {
    assert_eq!(outcome.chosen(), (method.to_owned(), source.to_owned()), "{}", outcome.stdout);
}

#[test]
fn automatic_takes_the_connected_api_key_before_everything_else() {
    let connected = all([apple_id(), api_key()]);
    let outcome = Step::new().connected(&connected).with_key_inputs().passes();
    assert_chosen(&outcome, "api_key", "connection");
    assert_eq!(outcome.expect("APPLE_API_KEY_ID"), CONNECTED_KEY_ID);
    assert_eq!(outcome.output("FASTLANE_USER"), None, "of one kind only");
}

#[test]
fn automatic_takes_the_connected_apple_id_before_an_api_key_in_the_inputs() {
    let outcome = Step::new().connected(&apple_id()).with_key_inputs().passes();
    assert_chosen(&outcome, "apple_id", "connection");
    assert!(outcome.stdout.contains("No API key is connected"), "{}", outcome.stdout);
}

#[test]
fn automatic_takes_the_connected_apple_id_before_an_apple_id_in_the_inputs() {
    let outcome = Step::new().connected(&apple_id()).with_apple_id_inputs().passes();
    assert_chosen(&outcome, "apple_id", "connection");
}

#[test]
fn automatic_takes_the_api_key_in_the_inputs_when_nothing_is_connected() {
    let outcome = Step::new().with_key_inputs().passes();
    assert_chosen(&outcome, "api_key", "inputs");
    assert_eq!(outcome.expect("APPLE_API_KEY_ID"), INPUT_KEY_ID);
    for absent in ["No API key is connected", "No Apple ID is connected"] {
        assert!(outcome.stdout.contains(absent), "why not what comes before: {}", outcome.stdout);
    }
}

#[test]
fn automatic_takes_the_apple_id_in_the_inputs_last() {
    let outcome = Step::new().with_apple_id_inputs().passes();
    assert_chosen(&outcome, "apple_id", "inputs");
    assert_eq!(outcome.expect("FASTLANE_USER"), INPUT_APPLE_ID);
    for absent in ["No API key is connected", "No Apple ID is connected", "No API key is in the inputs"] {
        assert!(outcome.stdout.contains(absent), "why not what comes before: {}", outcome.stdout);
    }
}

#[test]
fn automatic_is_the_default() {
    for (connected, method) in [(api_key(), "api_key"), (apple_id(), "apple_id")] {
        assert_chosen(&Step::new().connected(&connected).passes(), method, "connection");
        let explicit = Step::new().connected(&connected).set("connection", "automatic");
        assert_chosen(&explicit.passes(), method, "connection");
    }
}

#[test]
fn empty_fields_are_nothing_connected() {
    let empty = json!({
        "key_id": "", "issuer_id": " ", "private_key": null, "apple_id": "", "password": "",
        "app_specific_password": "", "connection_expiry_date": null, "session_cookies": null,
        "test_devices": [{"id": 1, "device_identifier": "00008020-0"}], "a_new_field": {"x": [1]},
    });
    assert_chosen(&Step::new().connected(&empty).with_key_inputs().passes(), "api_key", "inputs");
    let outcome =
        Step::new().connected(&all([apple_id(), json!({"key_id": "", "private_key": ""})])).passes();
    assert_chosen(&outcome, "apple_id", "connection");
}

#[test]
fn api_key_takes_the_connected_api_key() {
    let connected = all([apple_id(), api_key()]);
    let outcome = Step::new().connected(&connected).set("connection", "api_key").passes();
    assert_chosen(&outcome, "api_key", "connection");
}

#[test]
fn apple_id_takes_the_connected_apple_id_also_when_an_api_key_is_connected() {
    let connected = all([api_key(), apple_id()]);
    let outcome = Step::new().connected(&connected).set("connection", "apple_id").passes();
    assert_chosen(&outcome, "apple_id", "connection");
    assert_eq!(outcome.output("APPLE_API_KEY_ID"), None);
}

#[test]
fn a_forced_toggle_does_not_look_at_the_other_kind() {
    let broken_key = all([apple_id(), json!({"key_id": "?", "private_key": "garbage"})]);
    let outcome = Step::new().connected(&broken_key).set("connection", "apple_id").passes();
    assert_chosen(&outcome, "apple_id", "connection");
    let expired = all([apple_id(), api_key(), json!({"connection_expiry_date": in_days(-3)})]);
    let outcome = Step::new().connected(&expired).set("connection", "api_key").passes();
    assert_chosen(&outcome, "api_key", "connection");
}

#[test]
fn a_forced_toggle_never_falls_back_to_the_inputs() {
    for toggle in ["api_key", "apple_id"] {
        let error = Step::new().with_key_inputs().set("connection", toggle).fails();
        assert!(error.contains("is connected to this project"), "{error}");
        let unreadable = Step::new().connected_with(&json!({}), always_busy(500)).with_key_inputs();
        let error = unreadable.set("connection", toggle).fails();
        assert!(error.contains("HTTP 500"), "{error}");
    }
    let error = Step::new().connected(&apple_id()).set("connection", "api_key").fails();
    assert!(error.starts_with("No API key is connected"), "{error}");
    let error = Step::new().connected(&api_key()).set("connection", "apple_id").fails();
    assert!(error.starts_with("No Apple ID is connected"), "{error}");
}

#[test]
fn a_forced_toggle_ignores_inputs_with_a_warning_that_names_them() {
    let step = Step::new().connected(&all([api_key(), apple_id()])).set_all([
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
    let outcome = step.passes();
    assert_chosen(&outcome, "api_key", "connection");
    let warning = outcome.warnings().join("\n");
    for name in [
        "api_key_path",
        "api_key_id",
        "api_issuer",
        "api_key_enterprise_account",
        "apple_id",
        "password",
        "app_password",
        "fastlane_session",
    ] {
        assert!(warning.contains(&format!("`{name}`")), "{name} in {warning}");
    }
    assert_eq!(outcome.expect("APPLE_API_KEY_ENTERPRISE"), "no", "the input is ignored");
}

#[test]
fn inputs_at_their_defaults_are_not_worth_a_warning() {
    for (toggle, tools) in [("api_key", "bitrise"), ("apple_id", "fastlane")] {
        let connected = all([api_key(), apple_id()]);
        let step = Step::new().connected(&connected).set("connection", toggle).set("export_for", tools);
        assert_eq!(step.passes().warnings(), Vec::<String>::new());
    }
}

#[test]
fn app_password_fills_in_where_the_connected_apple_id_has_none() {
    for none in [json!(""), json!(null)] {
        let connected = all([apple_id(), json!({"app_specific_password": none})]);
        let step = Step::new().connected(&connected).set("connection", "apple_id");
        let outcome = step.set("app_password", INPUT_APP_PASSWORD).passes();
        assert_chosen(&outcome, "apple_id", "connection");
        assert_eq!(outcome.expect("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD"), INPUT_APP_PASSWORD);
        assert_eq!(outcome.warnings().len(), 1, "it is used, not ignored");
        outcome.warns_of("An Apple ID is of no use to some of the tools in `export_for`: bitrise, xcode.");
    }
}

#[test]
fn app_password_gives_way_to_the_one_in_the_connection() {
    let step = Step::new().connected(&apple_id()).set("connection", "apple_id");
    let outcome = step.set("app_password", INPUT_APP_PASSWORD).passes();
    assert_eq!(outcome.expect("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD"), CONNECTED_APP_PASSWORD);
}

#[test]
fn off_takes_the_api_key_in_the_inputs_and_contacts_nobody() {
    let step =
        Step::new().connected(&all([api_key(), apple_id()])).with_key_inputs().set("connection", "off");
    let outcome = step.passes();
    assert_chosen(&outcome, "api_key", "inputs");
    assert_eq!(outcome.requests, []);
}

#[test]
fn off_takes_the_apple_id_in_the_inputs_and_contacts_nobody() {
    let step =
        Step::new().connected(&all([api_key(), apple_id()])).with_apple_id_inputs().set("connection", "off");
    let outcome = step.passes();
    assert_chosen(&outcome, "apple_id", "inputs");
    assert_eq!(outcome.requests, []);
}

#[test]
fn off_does_not_even_check_where_the_connection_would_be_read() {
    let step = Step::off_bitrise().with_key_inputs().set("connection", "off");
    assert_chosen(&step.set("build_url", "http://not-loopback.invalid").passes(), "api_key", "inputs");
    assert_chosen(
        &Step::off_bitrise().with_key_inputs().set("connection", "off").passes(),
        "api_key",
        "inputs",
    );
}

#[test]
fn off_without_inputs_says_which_inputs_to_set_and_contacts_nobody() {
    let outcome = Step::new().connected(&api_key()).set("connection", "off").run();
    outcome.check_failure();
    for name in ["`api_key_path`", "`api_issuer`", "`apple_id`", "`connection` is off"] {
        assert!(outcome.error().contains(name), "{name} in {}", outcome.error());
    }
    assert_eq!(outcome.requests, []);
}

#[test]
fn an_api_key_and_an_apple_id_in_the_inputs_are_an_error_that_names_both_groups() {
    for toggle in ["automatic", "off"] {
        let step = Step::new().connected(&api_key()).with_key_inputs().with_apple_id_inputs();
        let error = step.set("connection", toggle).fails();
        for name in ["`api_key_path`", "`api_key_id`", "`api_issuer`", "`apple_id`", "`password`"] {
            assert!(error.contains(name), "{name} in {error}");
        }
        let error = Step::new().set_all([("api_issuer", "x"), ("app_password", "y")]).fails();
        assert!(error.contains("both an API key (`api_issuer`) and an Apple ID (`app_password`)"), "{error}");
    }
}

/// Connections that cannot be used, each with a part of the sentence that says why.
fn unusable() -> Vec<(&'static str, Value, Vec<Behaviour>, &'static str)> {
    let bad_key = json!({"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"});
    vec![
        ("a server error", api_key(), always_busy(500), "HTTP 500"),
        ("an overloaded server", api_key(), always_busy(503), "HTTP 503"),
        ("too many requests", api_key(), always_busy(429), "HTTP 429"),
        ("not found", api_key(), vec![status(404, &[])], "HTTP 404"),
        ("a pull request of a public project", api_key(), vec![status(401, &[])], "by design"),
        ("forbidden", api_key(), vec![status(403, &[])], "HTTP 403"),
        ("an HTML page", api_key(), vec![Behaviour::Html], "no JSON"),
        ("nothing", api_key(), vec![Behaviour::EmptyBody], "no JSON"),
        ("half a document", api_key(), vec![Behaviour::Body(b"{\"key_id\":".to_vec())], "no JSON"),
        ("bytes that are no UTF-8", api_key(), vec![Behaviour::InvalidUtf8], "JSON"),
        ("a list", json!({}), vec![Behaviour::Body(b"[]".to_vec())], "whole document"),
        ("a field of another type", json!({"key_id": 1}), vec![], "`key_id`"),
        ("a broken private key", all([api_key(), bad_key]), vec![], "private key is truncated or damaged"),
        ("no issuer ID", all([api_key(), json!({"issuer_id": ""})]), vec![], "the issuer ID is empty"),
        ("no key ID", all([api_key(), json!({"key_id": null})]), vec![], "the key ID is empty"),
        ("no private key", all([api_key(), json!({"private_key": ""})]), vec![], "the private key is empty"),
        (
            "an expired session",
            all([apple_id(), json!({"connection_expiry_date": in_days(-3)})]),
            vec![],
            "expired on",
        ),
        (
            "an Apple ID with nothing to log in",
            json!({"apple_id": "jane@example.com", "password": ""}),
            vec![],
            "neither password nor session nor app-specific password",
        ),
        (
            "an expiry date that is none",
            all([apple_id(), json!({"connection_expiry_date": "soon"})]),
            vec![],
            "no date",
        ),
    ]
}

#[test]
fn automatic_warns_and_uses_complete_inputs_when_the_connection_cannot_be_used() {
    for (what, body, behaviours, why) in unusable() {
        let outcome = Step::new().connected_with(&body, behaviours).with_key_inputs().passes();
        assert_eq!(outcome.chosen(), ("api_key".to_owned(), "inputs".to_owned()), "{what}");
        outcome.warns_of(why);
        outcome.warns_of("inputs");
    }
    let step = Step::new().connected_with(&json!({}), always_busy(500)).with_apple_id_inputs();
    assert_chosen(&step.passes(), "apple_id", "inputs");
}

#[test]
fn without_complete_inputs_a_connection_that_cannot_be_used_is_an_error() {
    for (what, body, behaviours, why) in unusable() {
        let error = Step::new().connected_with(&body, behaviours).fails();
        assert!(error.contains(why), "{what}: {error}");
    }
}

#[test]
fn skip_does_not_excuse_a_connection_that_cannot_be_used() {
    let error = Step::new().connected_with(&json!({}), always_busy(500)).set("if_missing", "skip").fails();
    assert!(error.contains("HTTP 500"), "{error}");
    let expired = all([apple_id(), json!({"connection_expiry_date": in_days(-3)})]);
    let error = Step::new().connected(&expired).set("if_missing", "skip").fails();
    assert!(error.contains("expired on"), "{error}");
}

#[test]
fn a_401_is_said_as_what_it_is_on_pull_requests_of_public_projects() {
    // The stand-in answers a wrong token as Bitrise does.
    let outcome = Step::new().connected(&api_key()).set("build_api_token", "another-token").run();
    outcome.check_failure();
    let error = outcome.error();
    for part in ["HTTP 401", "by design", "pull-request builds of public projects"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(outcome.requests.len(), 1, "it is not tried again");
}

#[test]
fn an_expired_session_is_an_error_that_says_when_and_how_to_re_authenticate() {
    let connected = all([apple_id(), json!({"connection_expiry_date": "2024-02-29T12:34:56+01:00"})]);
    for toggle in ["automatic", "apple_id"] {
        let error = Step::new().connected(&connected).set("connection", toggle).fails();
        for part in ["2024-02-29 11:34 UTC", "days ago", "re-authenticate the Apple ID on Bitrise"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn nothing_found_fails_and_says_what_to_set_up_and_where() {
    for step in [Step::new(), Step::new().set("if_missing", "fail"), Step::off_bitrise()] {
        let error = step.fails();
        for part in ["No Apple credential was found", "Workspace settings", "`api_key_path`", "`apple_id`"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn nothing_found_with_skip_warns_and_exports_none() {
    for (toggle, what) in [
        ("automatic", "No Apple credential"),
        ("api_key", "No API key"),
        ("apple_id", "No Apple ID"),
        ("off", "No Apple credential"),
    ] {
        let outcome = Step::new().set("connection", toggle).set("if_missing", "skip").passes();
        let entries: Vec<_> = outcome.entries().into_iter().map(|entry| (entry.key, entry.value)).collect();
        let none = |key: &str| (key.to_owned(), "none".to_owned());
        let not_verified = ("APPLE_AUTH_VERIFIED".to_owned(), "no".to_owned());
        assert_eq!(entries, [none("APPLE_AUTH_METHOD"), none("APPLE_AUTH_SOURCE"), not_verified], "{toggle}");
        outcome.warns_of(what);
        assert!(outcome.leftovers.is_empty(), "no file is needed");
    }
}

#[test]
fn the_inputs_are_not_read_from_disk_when_the_connection_is_used() {
    let step = Step::new().connected(&api_key()).set_all([
        ("api_key_path", "/nowhere/AuthKey_FROMINPUT1.p8"),
        ("api_issuer", "22222222-96fe-1a63-e053-0824d011072a"),
    ]);
    assert_chosen(&step.passes(), "api_key", "connection");
}
