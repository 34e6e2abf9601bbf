//! The inputs: their defaults, valid values, and the errors for invalid ones.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use apple_services_connection::bitrise::step_yml::StepYml;
use serde_json::json;
use stand_in::keys::P256;

use test_support::snapshots::assert_messages;
use test_support::{
    BUILD_API_TOKEN, CONNECTED_APPLE_ID, INPUT_APPLE_ID, INPUT_ISSUER, INPUT_KEY_ID, Step, api_key, apple_id,
    errors_of, merge, pem, pem_body,
};

#[test]
fn a_value_that_is_not_allowed_is_an_error_that_lists_the_allowed_ones() {
    let mut rows = Vec::new();
    for name in ["connection", "api_key_enterprise_account", "if_missing", "verbose_log"] {
        for wrong in ["sometimes", "", "1", "hunter2-secret", "autommatic"] {
            rows.push((format!("{name} is {wrong:?}"), Step::new().connected(&api_key()).set(name, wrong)));
        }
    }
    assert_messages("inputs/choices", errors_of(rows));
}

#[test]
fn all_inputs_except_password_are_trimmed() {
    let step = Step::off_bitrise().file("work/AuthKey_FROMINPUT1.p8", pem()).set_all([
        ("connection", " off\n"),
        ("api_key_path", "\n AuthKey_FROMINPUT1.p8 "),
        ("api_key_id", " FROMINPUT1\r\n"),
        ("api_key_enterprise_account", "\tyes "),
    ]);
    let outcome = step.set("api_issuer", format!(" {INPUT_ISSUER}\n")).succeeds();
    assert_eq!(outcome.output("APPLE_API_KEY_ID"), INPUT_KEY_ID);
    assert_eq!(outcome.output("APPLE_API_ISSUER"), INPUT_ISSUER);
    assert_eq!(outcome.output("APPLE_API_KEY_ENTERPRISE"), "yes");

    let step = Step::new().connected(&api_key()).set("build_api_token", format!("{BUILD_API_TOKEN}\n"));
    assert_eq!(step.succeeds().requests[0].header("BUILD_API_TOKEN"), Some(BUILD_API_TOKEN));
}

#[test]
fn the_password_keeps_its_spaces_and_loses_the_line_breaks_after_it() {
    for end in ["", "\n", "\r\n", "\n\n"] {
        let step = Step::new().set("apple_id", INPUT_APPLE_ID);
        let outcome = step.set("password", format!(" canary word {end}")).succeeds();
        assert_eq!(outcome.output("FASTLANE_PASSWORD"), " canary word ", "{end:?}");
    }
    let connected = json!({"apple_id": format!(" {CONNECTED_APPLE_ID} "), "password": " canary word "});
    let outcome = Step::new().connected(&connected).succeeds();
    assert_eq!(outcome.output("FASTLANE_USER"), CONNECTED_APPLE_ID);
    assert_eq!(outcome.output("FASTLANE_PASSWORD"), " canary word ");
}

#[test]
fn a_url_must_be_https_or_a_file_or_http_on_loopback() {
    let wrong_in_both_inputs = [
        "http://example.invalid/x",
        "HTTP://EXAMPLE.INVALID/x",
        "http://localhost.example.invalid/x",
        "http://127.0.0.1.example.invalid/x",
        "http://127.0.0.1@example.invalid/x",
        "http://192.0.2.1/x",
        "http://0.0.0.0/x",
        "http://[2001:db8::1]/x",
        "ftp://example.invalid/x",
        "s3://bucket/x",
        "ssh://example.invalid/x",
    ];
    let wrong_build_urls = ["app.bitrise.io/build/1", "https://", "https://bit rise/", "file://host/x.json"];
    let build_urls = wrong_in_both_inputs.iter().chain(&wrong_build_urls).map(|url| ("build_url", url));
    let key_paths = wrong_in_both_inputs.iter().map(|url| ("api_key_path", url));
    let rows = build_urls.chain(key_paths).map(|(input, url)| {
        let step = if input == "build_url" { Step::new() } else { Step::new().with_key_inputs() };
        (format!("{input} is {url}"), step.set(input, url))
    });
    assert_messages("inputs/urls", errors_of(rows));
}

#[test]
fn build_url_can_be_a_json_file() {
    let step = |file: &str| Step::off_bitrise().file(file, api_key().to_string()).secret(BUILD_API_TOKEN);
    for (file, url_path, input) in [
        ("work/connection.json", "work/connection.json", "build_url"),
        ("work/connection.json", "work/connection.json", "BITRISE_BUILD_URL"),
        ("work/a b%/c.json", "work/a%20b%25/c.json", "build_url"),
        ("work/a%20b#?/c.json", "work/a%20b#?/c.json", "build_url"),
    ] {
        let step = step(file);
        let url = format!("file://{}", step.path(url_path).display());
        assert_eq!(step.set(input, url).succeeds().method_and_source().1, "connection", "{url_path}");
    }
    let in_home = step("home/connection.json").set("build_url", "file://~/connection.json");
    assert_eq!(in_home.succeeds().method_and_source().1, "connection");
}

#[test]
fn each_problem_with_a_build_url_file_has_its_own_error() {
    let error = |path: &str, content: &[u8]| {
        let step = Step::off_bitrise().file("work/f", content).secret("canary");
        let url = format!("file://{}", step.path(path).display());
        step.set("build_url", url).fails().error()
    };
    let messages = [
        ("missing", error("work/missing.json", b"")),
        ("a folder", error("work", b"")),
        ("a path through a file", error("work/f/x", b"{}")),
        ("too large", error("work/f", &vec![b' '; (4 << 20) + 1])),
        ("half a document", error("work/f", b"{\"key_id\": \"canary")),
        ("a number as key_id", error("work/f", b"{\"key_id\": 1}")),
        ("a word", error("work/f", b"canary")),
    ];
    assert_messages("inputs/build_url_file", messages);
}

#[test]
fn variables_are_expanded_in_defaults_and_not_in_values() {
    let step = Step::new().set("apple_id", INPUT_APPLE_ID).set("password", "$HOME-canary");
    assert_eq!(step.succeeds().output("FASTLANE_PASSWORD"), "$HOME-canary");
    // In a build, the Bitrise CLI expands values before the Step starts.
    let value = Step::new().connected(&api_key()).set("build_url", "$BITRISE_BUILD_URL").fails().error();
    // What a default expands to is not expanded again.
    let default = Step::new().set("BITRISE_BUILD_URL", "file:///nowhere/$HOME").fails().error();
    let messages = [("a value with a variable", value), ("BITRISE_BUILD_URL contains a variable", default)];
    assert_messages("inputs/expansion", messages);
}

#[test]
fn an_empty_input_does_not_take_its_default() {
    let step = Step::new().connected(&api_key()).with_key_inputs().set("build_url", "");
    let outcome = step.succeeds();
    assert_eq!(outcome.method_and_source().1, "inputs", "the default does not replace an empty value");
    assert_eq!(outcome.requests, []);
    let mut rows = Vec::new();
    for mode in ["api_key", "apple_id"] {
        let empty = Step::new().set("build_url", "").set("connection", mode);
        rows.push((format!("connection is {mode}, build_url is empty"), empty));
        let off_bitrise = Step::off_bitrise().set("connection", mode);
        rows.push((format!("connection is {mode}, off Bitrise"), off_bitrise));
    }
    assert_messages("inputs/empty_build_url", errors_of(rows));
    let step = Step::new().connected(&api_key()).set_all([
        ("api_key_path", ""),
        ("api_key_id", " "),
        ("api_issuer", ""),
        ("apple_id", ""),
        ("password", ""),
        ("app_password", ""),
        ("fastlane_session", "\n"),
        ("sms_default_phone_number", ""),
    ]);
    assert_eq!(step.succeeds().method_and_source().1, "connection");
}

#[test]
fn variables_in_upper_case_are_not_inputs() {
    let names = StepYml::embedded().unwrap().inputs.into_iter().map(|input| input.name.to_uppercase());
    let step = names.chain(["Connection".to_owned()]).fold(Step::new(), |step, name| step.set(&name, "x"));
    assert_eq!(step.set("if_missing", "skip").succeeds().method_and_source().0, "none");
}

#[test]
fn the_error_for_a_value_that_is_not_utf_8_names_the_input() {
    let bytes = OsStr::from_bytes(b"canary-\xff\xfe");
    let names = ["connection", "api_key_path", "apple_id", "password", "fastlane_session", "build_url"];
    let error = |name| Step::new().connected(&api_key()).set(name, bytes).secret("canary").fails().error();
    assert_messages("inputs/not_utf_8", names.map(|name| (name, error(name))));
    let other = Step::new().connected(&api_key()).set("SOMETHING_ELSE", bytes);
    assert_eq!(other.succeeds().method_and_source().1, "connection");
}

#[test]
fn the_error_for_an_incomplete_api_key_names_the_missing_input() {
    let rows: [&[(&str, &str)]; 4] = [
        &[("api_key_path", "AuthKey_FROMINPUT1.p8")],
        &[("api_issuer", INPUT_ISSUER)],
        &[("api_key_id", INPUT_KEY_ID)],
        &[("api_key_path", "key.p8"), ("api_issuer", INPUT_ISSUER)],
    ];
    let mut incomplete = Vec::new();
    for inputs in rows {
        for mode in ["automatic", "off"] {
            let step = Step::new().set_all(inputs.iter().copied()).set("connection", mode);
            let names: Vec<_> = inputs.iter().map(|(name, _)| *name).collect();
            incomplete.push((format!("only {}, connection is {mode}", names.join(" and ")), step));
        }
    }
    assert_messages("inputs/incomplete_api_key", errors_of(incomplete));
}

#[test]
fn the_error_for_an_incomplete_apple_id_names_the_missing_input() {
    let names = ["password", "app_password", "fastlane_session", "apple_id"];
    let error = |name| Step::new().set(name, "jane.canary@example.com").fails().error();
    assert_messages("inputs/incomplete_apple_id", names.map(|name| (format!("only {name}"), error(name))));
}

#[test]
fn a_wrong_value_in_an_api_key_input_is_an_error() {
    let key = pem();
    let body = pem_body(key);
    let rows = [
        ("api_key_id", "a key", key),
        ("api_key_id", "the text between a key's header and footer", &body),
        ("api_key_id", "too short, and not ASCII", "KÄY"),
        ("api_issuer", "a key", key),
        ("api_issuer", "the text between a key's header and footer", &body),
        ("api_issuer", "half an issuer ID", "57246542-96fe-1a63-e053"),
        ("api_key_path", "an issuer ID", INPUT_ISSUER),
        ("api_key_path", "a key ID", INPUT_KEY_ID),
    ];
    let step = |name, value| Step::new().with_key_inputs().set(name, value);
    let rows = rows.map(|(name, what, value)| (format!("{name} is {what}"), step(name, value)));
    assert_messages("inputs/wrong_field", errors_of(rows));
}

#[test]
fn a_wrong_value_in_a_field_of_the_connection_is_an_error() {
    let key = P256::generate().unwrap().private_pem;
    let body = pem_body(&key);
    let rows = [
        ("key_id", "a key", key.as_str()),
        ("key_id", "the text between a key's header and footer", &body),
        ("key_id", "an issuer ID", INPUT_ISSUER),
        ("key_id", "a path that leads out of the folder", "../../../etc/cron.d/x"),
        ("key_id", "a path", "a/b"),
        ("key_id", "two lines", "A\nB"),
        ("issuer_id", "a key", &key),
        ("issuer_id", "a key ID", INPUT_KEY_ID),
        ("issuer_id", "a word", "canary-issuer"),
        ("private_key", "a key ID", INPUT_KEY_ID),
        ("private_key", "an issuer ID", INPUT_ISSUER),
    ];
    let rows = rows.map(|(field, what, value)| {
        let connected = merge([api_key(), json!({field: value})]);
        let step = Step::new().connected(&connected).secret(&key).secret(&body).secret("canary-issuer");
        (format!("{field} is {what}"), step)
    });
    assert_messages("inputs/wrong_field_of_the_connection", errors_of(rows));
}

#[test]
fn a_phone_number_is_exported_unchanged() {
    let step = |number| Step::new().connected(&apple_id()).set("sms_default_phone_number", number);
    for number in ["+81-80-1234-5678", "+49 162 1234567", "+1 (412) 555-0123", "+436501234567"] {
        assert_eq!(step(number).succeeds().output("SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER"), number);
    }
    let wrong = ["080-1234-5678", "+", "+1", "jane@example.com", "+81 80 call me", "+1;rm"];
    assert_messages("inputs/phone_number", errors_of(wrong.map(|number| (number, step(number)))));
}

#[test]
fn unusual_ids_are_exported_unchanged() {
    let issuer = INPUT_ISSUER.to_uppercase();
    let outcome = Step::new().with_key_inputs().set("api_issuer", &issuer).succeeds();
    assert_eq!(outcome.output("APPLE_API_ISSUER"), issuer);
    let outcome = Step::new().connected(&merge([api_key(), json!({"key_id": "abc123"})])).succeeds();
    assert_eq!(outcome.output("APPLE_API_KEY_ID"), "abc123");
    assert_messages("inputs/unusual_key_id", [("key_id is abc123", outcome.warnings().join("\n"))]);
}
