//! The outputs: when they are exported, their values, and which of them are secret.

use std::collections::BTreeSet;

use serde_json::json;

use test_support::snapshots::assert_messages;
use test_support::{
    CONNECTED_APP_PASSWORD, CONNECTED_APPLE_ID, CONNECTED_ISSUER, CONNECTED_KEY_ID, CONNECTED_PASSWORD,
    INPUT_APP_PASSWORD, INPUT_APPLE_ID, INPUT_ISSUER, INPUT_KEY_ID, INPUT_PASSWORD, Step, api_key, apple_id,
    cookie, in_parallel, merge, spaceauth, strategies,
};

const SECRET_OUTPUTS: [&str; 3] =
    ["FASTLANE_PASSWORD", "FASTLANE_SESSION", "FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD"];

#[test]
fn an_api_key_exports_exactly_these_outputs() {
    let connected = Step::new().connected(&api_key());
    for (step, source, id, issuer) in [
        (connected, "connection", CONNECTED_KEY_ID, CONNECTED_ISSUER),
        (Step::new().with_key_inputs(), "inputs", INPUT_KEY_ID, INPUT_ISSUER),
    ] {
        let outcome = step.succeeds();
        let folder = outcome.output("API_PRIVATE_KEYS_DIR");
        assert!(folder.starts_with(outcome.root.path().join("tmp").to_str().unwrap()), "{folder}");
        let path = format!("{folder}/AuthKey_{id}.p8");
        let expected = [
            ("APPLE_AUTH_METHOD", "api_key"),
            ("APPLE_AUTH_SOURCE", source),
            ("APPLE_AUTH_VERIFIED", "no"),
            ("APPLE_CREDENTIALS_DIR", &folder),
            ("APPLE_API_KEY_PATH", &path),
            ("APPLE_API_KEY_URL", &format!("file://{path}")),
            ("APPLE_API_KEY_ID", id),
            ("APPLE_API_ISSUER", issuer),
            ("APPLE_API_KEY_ENTERPRISE", "no"),
            ("API_PRIVATE_KEYS_DIR", &folder),
            ("APP_STORE_CONNECT_API_KEY_PATH", &format!("{folder}/fastlane_api_key.json")),
            ("APP_STORE_CONNECT_API_KEY_KEY_ID", id),
            ("APP_STORE_CONNECT_API_KEY_ISSUER_ID", issuer),
            ("APP_STORE_CONNECT_API_KEY_KEY_FILEPATH", &path),
            ("APP_STORE_CONNECT_API_KEY_IN_HOUSE", "false"),
            ("PRECHECK_INCLUDE_IN_APP_PURCHASES", "false"),
        ];
        let entries = outcome.entries();
        let exported: Vec<_> = entries.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
        assert_eq!(exported, expected);
    }
}

#[test]
fn file_urls_need_no_decoding_even_if_the_temporary_folder_has_an_unusual_name() {
    for name in ["with a blank", "ü", "a+b", "a%20b", "a#b?c"] {
        let step = Step::new().connected(&api_key()).file(&format!("{name}/x"), "");
        let step = step.set("export_for", "bitrise,connection");
        let tmp = step.path(name);
        let outcome = step.set("TMPDIR", &tmp).succeeds();
        let folder = outcome.output("APPLE_CREDENTIALS_DIR");
        for url in ["APPLE_API_KEY_URL", "APPLE_CONNECTION_URL"] {
            // Bitrise's Steps in Go also remove only the prefix.
            let path = outcome.output(url).strip_prefix("file://").unwrap().to_owned();
            assert!(std::path::Path::new(&path).is_file(), "{path}");
            assert!(path.starts_with(&folder), "{path}");
        }
        let remove = Step::new().set("action", "remove").set("TMPDIR", &tmp);
        assert_eq!(remove.set("credentials_dir", &folder).run().code, Some(0));
        assert!(!std::path::Path::new(&folder).exists());
        assert_eq!(test_support::names_in(&tmp).len(), 1, "only x is left");
    }
}

#[test]
fn the_paths_are_absolute_even_if_the_temporary_folder_is_relative() {
    let outcome = Step::new().connected(&api_key()).file("work/here/x", "").set("TMPDIR", "here").succeeds();
    let here = outcome.root.path().join("work/here").canonicalize().unwrap();
    let folder = std::path::PathBuf::from(outcome.output("API_PRIVATE_KEYS_DIR"));
    assert!(folder.is_absolute(), "{}", folder.display());
    assert_eq!(folder.canonicalize().unwrap().parent(), Some(here.as_path()));
}

#[test]
fn bitrise_reads_yes_and_fastlane_reads_true_for_an_enterprise_key() {
    let connected =
        |value| Step::new().connected(&merge([api_key(), json!({"is_enterprise_account": value})]));
    let from_inputs = |value| Step::new().with_key_inputs().set("api_key_enterprise_account", value);
    let rows = [
        (connected(json!(true)), "yes", "true"),
        (connected(json!(false)), "no", "false"),
        (connected(json!(null)), "no", "false"),
        (from_inputs("yes"), "yes", "true"),
        (from_inputs("no"), "no", "false"),
        // The input applies to the key in the inputs, not to the connected one.
        (connected(json!(false)).set("api_key_enterprise_account", "yes"), "no", "false"),
    ];
    for (step, bitrise, fastlane) in rows {
        let outcome = step.succeeds();
        assert_eq!(outcome.output("APPLE_API_KEY_ENTERPRISE"), bitrise);
        assert_eq!(outcome.output("APP_STORE_CONNECT_API_KEY_IN_HOUSE"), fastlane);
    }
}

#[test]
fn an_apple_id_exports_exactly_these_outputs_and_writes_no_file() {
    let outcome = Step::new().connected(&apple_id()).succeeds();
    let [session, expiry] = ["FASTLANE_SESSION", "APPLE_SESSION_EXPIRES_AT"].map(|name| outcome.output(name));
    let expected = [
        ("APPLE_AUTH_METHOD", "apple_id"),
        ("APPLE_AUTH_SOURCE", "connection"),
        ("APPLE_AUTH_VERIFIED", "no"),
        ("APPLE_SESSION_EXPIRES_AT", &expiry),
        ("FASTLANE_USER", CONNECTED_APPLE_ID),
        ("FASTLANE_PASSWORD", CONNECTED_PASSWORD),
        ("FASTLANE_SESSION", &session),
        ("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD", CONNECTED_APP_PASSWORD),
        ("SPACESHIP_SKIP_2FA_UPGRADE", "1"),
    ];
    let entries = outcome.entries();
    let exported: Vec<_> = entries.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
    assert_eq!(exported, expected);
    assert!(outcome.leftovers.is_empty());
}

#[test]
fn an_apple_id_exports_only_what_it_has() {
    let from_inputs = |name, value: &str| Step::new().set("apple_id", INPUT_APPLE_ID).set(name, value);
    let connected = |part| Step::new().connected(&merge([json!({"apple_id": CONNECTED_APPLE_ID}), part]));
    let cookies = json!({"https://idmsa.apple.com": [cookie("myacinfo", "canary-cookie")]});
    let session = spaceauth(&[("myacinfo", "canary-cookie")]);
    let rows = [
        (from_inputs("password", INPUT_PASSWORD), "FASTLANE_PASSWORD"),
        (from_inputs("fastlane_session", &session), "FASTLANE_SESSION"),
        (from_inputs("app_password", INPUT_APP_PASSWORD), "FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD"),
        (connected(json!({"password": CONNECTED_PASSWORD})), "FASTLANE_PASSWORD"),
        (connected(json!({"session_cookies": cookies})), "FASTLANE_SESSION"),
        (
            connected(json!({"app_specific_password": CONNECTED_APP_PASSWORD})),
            "FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD",
        ),
    ];
    for (step, only) in rows {
        let outcome = step.succeeds();
        for key in SECRET_OUTPUTS {
            assert_eq!(outcome.get_output(key).is_some(), key == only, "{key}, where {only} is expected");
        }
        assert!(outcome.get_output("FASTLANE_USER").is_some());
        assert_eq!(outcome.output("SPACESHIP_SKIP_2FA_UPGRADE"), "1");
        assert_eq!(outcome.get_output("APPLE_SESSION_EXPIRES_AT"), None, "the expiry is unknown");
    }
}

#[test]
fn cookies_of_other_origins_are_not_a_session() {
    let cookies = json!({"https://olympus.apple.com": [cookie("x", "canary-y")], "a": 1, "b": [{"name": 1}]});
    let elsewhere = json!({"session_cookies": cookies});
    let outcome = Step::new().connected(&merge([apple_id(), elsewhere])).succeeds();
    assert_eq!(outcome.get_output("FASTLANE_SESSION"), None);
}

#[test]
fn the_session_expiry_is_rfc_3339_in_utc() {
    let with_date = |date: &str| merge([apple_id(), json!({"connection_expiry_date": date})]);
    for (date, expected) in [
        ("2099-03-01T01:30:00+02:00", "2099-02-28T23:30:00Z"),
        ("2099-03-01T01:30:00.123456789Z", "2099-03-01T01:30:00Z"),
    ] {
        let outcome = Step::new().connected(&with_date(date)).succeeds();
        assert_eq!(outcome.output("APPLE_SESSION_EXPIRES_AT"), expected);
    }
}

#[test]
fn the_expiry_of_a_pasted_session_is_that_of_its_trusted_device_cookie() {
    let session = spaceauth(&[("DES5c1", "canary-trust")])
        .replace("expires: ", "expires: 2099-01-02 03:04:05.000000000 Z");
    let outcome = Step::new().set("apple_id", INPUT_APPLE_ID).set("fastlane_session", session).succeeds();
    assert_eq!(outcome.output("APPLE_SESSION_EXPIRES_AT"), "2099-01-02T03:04:05Z");
}

#[test]
fn the_phone_number_is_exported_whenever_the_input_is_set() {
    let number = "+81-80-1234-5678";
    for step in [
        Step::new().connected(&api_key()),
        Step::new().connected(&apple_id()),
        Step::new().with_apple_id_inputs(),
        Step::new().set("if_missing", "skip"),
    ] {
        let outcome = step.set("sms_default_phone_number", number).succeeds();
        assert_eq!(outcome.output("SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER"), number);
    }
    let without = Step::new().connected(&apple_id()).succeeds();
    assert_eq!(without.get_output("SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER"), None);
}

#[test]
fn values_that_yaml_or_a_shell_could_change_arrive_unchanged() {
    let values = [strategies::SPECIAL_TEXTS, strategies::SPECIAL_VALUES, strategies::SPECIAL_LINES]
        .concat()
        .into_iter();
    in_parallel(values.filter(|value| !value.contains('\0')), |value| {
        let connected =
            json!({"apple_id": CONNECTED_APPLE_ID, "password": value, "app_specific_password": "x"});
        let outcome = Step::new().connected(&connected).succeeds();
        // A password that is only whitespace is ignored.
        let expected = Some(value.to_owned()).filter(|value| !value.trim().is_empty());
        assert_eq!(outcome.get_output("FASTLANE_PASSWORD"), expected, "{value:?}");
    });
}

#[test]
fn the_error_for_a_value_with_a_nul_character_names_the_output() {
    let connected = json!({"apple_id": CONNECTED_APPLE_ID, "password": "canary\0password"});
    let error = Step::new().connected(&connected).secret("canary").fails().error();
    assert_messages("outputs/nul_character", [("a password with a NUL character", error)]);
}

#[test]
fn a_warning_names_the_tools_and_variables_of_an_earlier_credential() {
    let many_tools =
        "bitrise fastlane fastlane_api_key_path xcode connection spaceship asc codemagic expo tauri";
    let with_key = || Step::new().connected(&api_key());
    let key_for_many = || with_key().set("export_for", many_tools).set("export_token", "yes");
    let with_apple_id = || Step::new().connected(&apple_id());
    let id_for_connection = with_apple_id().set("export_for", "connection");
    let with_individual_key = || Step::new().with_individual_key_inputs().set("export_for", "connection");
    let rows = [
        ("an Apple ID after an API key", with_key(), with_apple_id()),
        ("both for many tools", key_for_many(), with_apple_id().set("export_for", many_tools)),
        ("an Apple ID for fastlane alone", key_for_many(), with_apple_id().set("export_for", "fastlane")),
        ("an API key after an Apple ID", with_apple_id(), with_key()),
        ("an individual key after an Apple ID for connection", id_for_connection, with_individual_key()),
    ];
    let messages = rows.map(|(what, first, second)| {
        (what, second.after(&first.succeeds()).succeeds().warnings().join("\n"))
    });
    assert_messages("outputs/earlier_credential", messages);
    for (first, second) in [(with_key(), with_key()), (with_apple_id(), with_apple_id())] {
        let outcome = second.after(&first.succeeds()).succeeds();
        assert!(outcome.warnings().is_empty(), "the second run overwrites the outputs of the first");
    }
    // After `action: remove`, the variables of the outputs are empty.
    let names = with_key().succeeds().output_names();
    let removed = names.iter().fold(with_apple_id(), |step, name| step.set(name, ""));
    assert_eq!(removed.succeeds().warnings(), Vec::<String>::new());
}

#[test]
fn only_passwords_and_the_session_are_redacted() {
    for (connected, secrets) in [(api_key(), [].as_slice()), (apple_id(), &SECRET_OUTPUTS)] {
        let step =
            Step::new().connected(&connected).set("team_id", "TEAM123456").set("itc_team_id", "118573544");
        let outcome = step.set("sms_default_phone_number", "+81-80-1234-5678").run_in_process();
        let redacted = outcome.entries().into_iter().filter(|entry| entry.is_sensitive == Some(true));
        assert_eq!(
            redacted.map(|entry| entry.key).collect::<BTreeSet<_>>(),
            secrets.iter().map(|&name| name.to_owned()).collect()
        );
    }
}
