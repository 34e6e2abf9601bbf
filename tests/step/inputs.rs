//! Every input: its default, its allowed values, and what is said when it is wrong.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::json;
use stand_in::keys::P256;

use test_support::{
    CONNECTED_APPLE_ID, INPUT_APP_PASSWORD, INPUT_APPLE_ID, INPUT_ISSUER, INPUT_KEY_ID, INPUT_PASSWORD,
    SERVER, Step, TOKEN, all, api_key, apple_id, pem, pem_body,
};

const CHOICES: [(&str, &str); 4] = [
    ("connection", "automatic, api_key, apple_id, off"),
    ("api_key_enterprise_account", "yes, no"),
    ("if_missing", "fail, skip"),
    ("verbose_log", "yes, no"),
];

#[test]
fn a_value_outside_the_allowed_ones_is_an_error_that_lists_them() {
    for (name, allowed) in CHOICES {
        for wrong in ["sometimes", "", "YES", "Automatic", "true"] {
            let error = Step::new().connected(&api_key()).set(name, wrong).fails();
            assert!(error.starts_with(&format!("`{name}` is ")), "{error}");
            assert!(error.contains(allowed), "{error}");
        }
    }
}

#[test]
fn absent_inputs_take_the_defaults_of_step_yml() {
    // automatic and fail and the build's URL and token; `no` for both others.
    let outcome = Step::new().connected(&api_key()).passes();
    assert_eq!(outcome.requests.len(), 1);
    assert_eq!(outcome.expect("APPLE_API_KEY_ENTERPRISE"), "no");
    assert_eq!(outcome.blocks("35;1"), Vec::<String>::new(), "no debug lines");
    Step::new().fails();
}

#[test]
fn allowed_values_are_trimmed() {
    let step = Step::new().with_key_inputs().set_all([
        ("connection", " off\n"),
        ("api_key_enterprise_account", "\tyes "),
        ("verbose_log", " no"),
        ("if_missing", "skip "),
    ]);
    let outcome = step.passes();
    assert_eq!(outcome.requests, []);
    assert_eq!(outcome.expect("APPLE_API_KEY_ENTERPRISE"), "yes");
}

#[test]
fn all_other_inputs_are_trimmed_too() {
    let step = Step::off_bitrise().file("work/AuthKey_FROMINPUT1.p8", pem()).set_all([
        ("api_key_path", "\n AuthKey_FROMINPUT1.p8 "),
        ("api_key_id", " FROMINPUT1\r\n"),
        ("api_issuer", " 22222222-96fe-1a63-e053-0824d011072a\n"),
        ("sms_default_phone_number", " +81-80-1234-5678 "),
    ]);
    let outcome = step.passes();
    assert_eq!(outcome.expect("APPLE_API_KEY_ID"), INPUT_KEY_ID);
    assert_eq!(outcome.expect("APPLE_API_ISSUER"), INPUT_ISSUER);
    assert_eq!(outcome.expect("SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER"), "+81-80-1234-5678");

    let apple_id = Step::new().set("apple_id", format!(" {INPUT_APPLE_ID}\n")).set("password", "canary");
    assert_eq!(apple_id.passes().expect("FASTLANE_USER"), INPUT_APPLE_ID);

    let connected = Step::new().connected(&api_key());
    let build_url = format!(" {}/build/{}\n", SERVER.origin(), connected.scenario().replace(' ', "%20"));
    let outcome = connected.set("build_url", build_url).set("build_api_token", format!("{TOKEN}\n")).passes();
    assert_eq!(outcome.requests[0].header("BUILD_API_TOKEN"), Some(TOKEN));
}

#[test]
fn passwords_are_not_trimmed() {
    let step = Step::new().set("apple_id", INPUT_APPLE_ID);
    let outcome = step.set("password", " canary word ").set("app_password", "\tcana-ry ").passes();
    assert_eq!(outcome.expect("FASTLANE_PASSWORD"), " canary word ");
    assert_eq!(outcome.expect("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD"), "\tcana-ry ");
    let connected = json!({"apple_id": format!(" {CONNECTED_APPLE_ID} "), "password": " canary word "});
    let outcome = Step::new().connected(&connected).passes();
    assert_eq!(outcome.expect("FASTLANE_USER"), CONNECTED_APPLE_ID);
    assert_eq!(outcome.expect("FASTLANE_PASSWORD"), " canary word ");
}

#[test]
fn every_problem_is_reported_in_one_go_in_one_last_red_line() {
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
    assert_eq!(outcome.blocks("31;1").len(), 1, "one red line");
    let error = outcome.error();
    for name in [
        "connection",
        "api_key_path",
        "api_key_id",
        "api_issuer",
        "api_key_enterprise_account",
        "apple_id",
        "sms_default_phone_number",
        "if_missing",
        "verbose_log",
        "build_url",
    ] {
        assert!(error.contains(&format!("`{name}`")), "{name} in {error}");
    }
    assert_eq!(outcome.requests, [], "nothing is asked before the inputs are right");
}

#[test]
fn plain_http_is_refused_off_this_machine() {
    for url in [
        "http://example.invalid/x",
        "HTTP://EXAMPLE.INVALID/x",
        "http://localhost.example.invalid/x",
        "http://127.0.0.1.example.invalid/x",
        "http://127.0.0.1@example.invalid/x",
        "http://192.0.2.1/x",
        "http://0.0.0.0/x",
        "http://[2001:db8::1]/x",
    ] {
        let error = Step::new().set("build_url", url).fails();
        assert!(error.contains("`build_url` is a plain http URL"), "{url}: {error}");
        let error = Step::new().with_key_inputs().set("api_key_path", url).fails();
        assert!(error.contains("`api_key_path` is a plain http URL"), "{url}: {error}");
    }
}

#[test]
fn plain_http_is_taken_on_this_machine() {
    for host in ["localhost", "127.0.0.1"] {
        let step = Step::new().connected(&api_key());
        let origin = SERVER.origin().replace("127.0.0.1", host);
        let build_url = format!("{origin}/build/{}", step.scenario().replace(' ', "%20"));
        assert_eq!(step.set("build_url", build_url).passes().requests.len(), 1, "{host}");
    }
}

#[test]
fn urls_of_other_kinds_are_refused() {
    for url in ["ftp://example.invalid/x", "s3://bucket/x", "ssh://example.invalid/x"] {
        let error = Step::new().set("build_url", url).fails();
        assert!(error.contains("`build_url`") && error.contains("https://"), "{error}");
        let error = Step::new().with_key_inputs().set("api_key_path", url).fails();
        assert!(error.contains("`api_key_path`") && error.contains("https://"), "{error}");
    }
    for url in ["app.bitrise.io/build/1", "https://", "https://bit rise/"] {
        let error = Step::new().set("build_url", url).fails();
        assert!(error.contains("`build_url` is no valid URL"), "{error}");
    }
}

#[test]
fn build_url_can_be_a_json_file() {
    let step = |name: &str| Step::off_bitrise().file(name, api_key().to_string()).secret(TOKEN);
    let plain = step("work/connection.json");
    let url = format!("file://{}", plain.path("work/connection.json").display());
    assert_eq!(plain.set("build_url", &url).passes().chosen().1, "connection");
    let encoded = step("work/a b%/c.json");
    let url = format!("file://{}", encoded.path("work/a%20b%25/c.json").display());
    assert_eq!(encoded.set("build_url", &url).passes().chosen().1, "connection");
    let home = step("home/connection.json").set("build_url", "file://~/connection.json");
    assert_eq!(home.passes().chosen().1, "connection");
    let default = step("work/connection.json");
    let url = format!("file://{}", default.path("work/connection.json").display());
    assert_eq!(default.set("BITRISE_BUILD_URL", url).passes().chosen().1, "connection");
}

#[test]
fn a_build_url_file_that_cannot_be_used_is_told_apart() {
    let step = || Step::off_bitrise().file("work/f", "{}").file("work/large", vec![b' '; (4 << 20) + 1]);
    for (path, why) in [
        ("work/missing.json", "No such file"),
        ("work", "directory"),
        ("work/f/x", "Not a directory"),
        ("work/large", "4 MiB"),
    ] {
        let step = step();
        let url = format!("file://{}", step.path(path).display());
        let error = step.set("build_url", url).fails();
        assert!(error.contains(why), "{path}: {error}");
        assert!(error.contains("`build_url`"), "{path}: {error}");
    }
    let error = Step::off_bitrise().set("build_url", "file://host/x.json").fails();
    assert!(error.contains("three slashes"), "{error}");
}

#[test]
fn a_build_url_file_that_holds_no_connection_is_said_to_be_that_file() {
    for content in ["{\"key_id\": \"canary", "{\"key_id\": 1}", "canary"] {
        let step = Step::off_bitrise().file("work/connection.json", content).secret("canary");
        let url = format!("file://{}", step.path("work/connection.json").display());
        let error = step.set("build_url", url).fails();
        assert!(error.contains("JSON"), "{error}");
        assert!(
            error.contains("`build_url`") && error.contains("connection.json"),
            "not by Bitrise: {error}"
        );
    }
}

#[test]
fn defaults_expand_variables_and_values_do_not() {
    let outcome = Step::new().connected(&api_key()).passes();
    assert_eq!(outcome.requests.len(), 1, "$BITRISE_BUILD_URL and $BITRISE_BUILD_API_TOKEN");
    // The CLI has expanded the value before the Step starts; what still looks like a name is none.
    let error = Step::new().connected(&api_key()).set("build_url", "$BITRISE_BUILD_URL").fails();
    assert!(error.contains("`build_url` is no valid URL"), "{error}");
    let step = Step::new().set("apple_id", INPUT_APPLE_ID).set("password", "$HOME-canary");
    assert_eq!(step.passes().expect("FASTLANE_PASSWORD"), "$HOME-canary");
    // Expanded once, not again.
    let error = Step::new().set("BITRISE_BUILD_URL", "file:///nowhere/$HOME").fails();
    assert!(error.contains("/nowhere/$HOME"), "{error}");
}

#[test]
fn an_empty_input_is_not_an_absent_one() {
    let step = Step::new().connected(&api_key()).with_key_inputs().set("build_url", "");
    let outcome = step.passes();
    assert_eq!(outcome.chosen().1, "inputs", "the default is not put in its place");
    assert_eq!(outcome.requests, []);
    for toggle in ["api_key", "apple_id"] {
        let error = Step::new().set("build_url", "").set("connection", toggle).fails();
        assert!(error.contains("`build_url` is empty"), "{error}");
        let error = Step::off_bitrise().set("connection", toggle).fails();
        assert!(error.contains("`build_url` is empty"), "{error}");
    }
    let outcome = Step::new().connected(&api_key()).set_all([
        ("api_key_path", ""),
        ("api_key_id", " "),
        ("api_issuer", ""),
        ("apple_id", ""),
        ("password", ""),
        ("app_password", ""),
        ("fastlane_session", "\n"),
        ("sms_default_phone_number", ""),
    ]);
    assert_eq!(outcome.passes().chosen().1, "connection");
}

#[test]
fn variables_in_upper_case_are_no_inputs() {
    let step = Step::new().set_all([
        ("CONNECTION", "off"),
        ("API_KEY_PATH", "/x"),
        ("API_KEY_ID", "x"),
        ("API_ISSUER", "x"),
        ("APPLE_ID", "jane@example.com"),
        ("PASSWORD", "canary-password"),
        ("APP_PASSWORD", "x"),
        ("FASTLANE_SESSION", "x"),
        ("IF_MISSING", "fail"),
        ("VERBOSE_LOG", "x"),
        ("BUILD_URL", "x"),
        ("BUILD_API_TOKEN", "x"),
        ("Connection", "x"),
        ("if_missing", "skip"),
    ]);
    assert_eq!(step.passes().chosen().0, "none");
}

#[test]
fn a_value_that_is_not_utf_8_is_an_error_that_names_the_input() {
    let bytes = OsStr::from_bytes(b"canary-\xff\xfe");
    for name in ["connection", "api_key_path", "apple_id", "password", "fastlane_session", "build_url"] {
        let error = Step::new().connected(&api_key()).set(name, bytes).secret("canary").fails();
        assert!(error.contains(&format!("`{name}` is not text in UTF-8")), "{error}");
    }
    let other = Step::new().connected(&api_key()).set("SOMETHING_ELSE", bytes);
    assert_eq!(other.passes().chosen().1, "connection");
}

#[test]
fn an_incomplete_api_key_is_an_error_that_names_what_is_missing() {
    let rows: [(&[_], &[_]); 4] = [
        (&[("api_key_path", "AuthKey_FROMINPUT1.p8")], &["`api_issuer` is empty"]),
        (&[("api_issuer", INPUT_ISSUER)], &["`api_key_path` is empty"]),
        (&[("api_key_id", INPUT_KEY_ID)], &["`api_key_path` is empty", "`api_issuer` is empty"]),
        (
            &[("api_key_path", "key.p8"), ("api_issuer", INPUT_ISSUER)],
            &["`api_key_id`", "AuthKey_<ID>.p8", "key ID is unknown"],
        ),
    ];
    for (inputs, parts) in rows {
        for toggle in ["automatic", "off"] {
            let error = Step::new().set_all(inputs.iter().copied()).set("connection", toggle).fails();
            for part in parts {
                assert!(error.contains(part), "{part} in {error}");
            }
        }
    }
}

#[test]
fn an_incomplete_apple_id_is_an_error_that_names_what_is_missing() {
    for name in ["password", "app_password", "fastlane_session"] {
        let error = Step::new().set(name, "canary-secret").fails();
        assert!(error.contains("`apple_id` is empty") && error.contains(&format!("`{name}`")), "{error}");
    }
    let error = Step::new().set("apple_id", INPUT_APPLE_ID).fails();
    for name in ["`apple_id`", "`password`", "`fastlane_session`", "`app_password`"] {
        assert!(error.contains(name), "{name} in {error}");
    }
}

#[test]
fn each_of_three_secrets_completes_an_apple_id() {
    let session = test_support::spaceauth(&[("myacinfo", "canary-cookie")]);
    for (name, value) in
        [("password", INPUT_PASSWORD), ("app_password", INPUT_APP_PASSWORD), ("fastlane_session", &session)]
    {
        let outcome = Step::new().set("apple_id", INPUT_APPLE_ID).set(name, value).passes();
        assert_eq!(outcome.chosen().1, "inputs", "{name}");
    }
}

#[test]
fn a_value_in_the_wrong_api_key_input_is_recognised() {
    let key = pem();
    let body = pem_body(key);
    let issuer = INPUT_ISSUER;
    let rows = [
        ("api_key_id", key, "holds a private key"),
        ("api_key_id", &body, "holds a private key"),
        ("api_key_id", issuer, "holds an issuer ID"),
        ("api_key_id", "AuthKey_FROMINPUT1.p8", "a key ID is 10"),
        ("api_key_id", "../../etc/x", "a key ID is 10"),
        ("api_key_id", "KÄY", "a key ID is 10"),
        ("api_issuer", key, "holds a private key"),
        ("api_issuer", &body, "holds a private key"),
        ("api_issuer", INPUT_KEY_ID, "holds a key ID"),
        ("api_issuer", "57246542-96fe-1a63-e053", "an issuer ID is a UUID"),
        ("api_key_path", issuer, "holds an issuer ID"),
        ("api_key_path", INPUT_KEY_ID, "holds a key ID"),
    ];
    for (name, value, what) in rows {
        let error = Step::new().with_key_inputs().set(name, value).fails();
        assert!(error.starts_with(&format!("`{name}` ")) && error.contains(what), "{name}: {error}");
    }
}

#[test]
fn a_value_in_the_wrong_field_of_the_connection_is_recognised() {
    let other = P256::generate().unwrap().private_pem;
    let body = pem_body(&other);
    let rows = [
        ("key_id", other.as_str(), "the field key ID holds a private key"),
        ("key_id", &body, "the field key ID holds a private key"),
        ("key_id", INPUT_ISSUER, "the field key ID holds an issuer ID"),
        ("key_id", "../../../etc/cron.d/x", "the field key ID has"),
        ("key_id", "a/b", "the field key ID has"),
        ("key_id", "A\nB", "the field key ID has"),
        ("issuer_id", &other, "the field issuer ID holds a private key"),
        ("issuer_id", INPUT_KEY_ID, "the field issuer ID holds a key ID"),
        ("issuer_id", "canary-issuer", "the field issuer ID has"),
        ("private_key", INPUT_KEY_ID, "The connected private key"),
        ("private_key", INPUT_ISSUER, "The connected private key"),
    ];
    for (field, value, what) in rows {
        let connected = all([api_key(), json!({field: value})]);
        let step = Step::new().connected(&connected).secret(&other).secret(&body).secret("canary-issuer");
        let error = step.fails();
        assert!(error.contains(what), "{field}: {error}");
        assert!(error.contains("connect the API key again on Bitrise"), "{error}");
    }
}

#[test]
fn a_key_id_of_an_unusual_form_is_used_with_a_warning() {
    let outcome = Step::new().connected(&all([api_key(), json!({"key_id": "abc123"})])).passes();
    assert_eq!(outcome.expect("APPLE_API_KEY_ID"), "abc123");
    outcome.warns_of("abc123");
}

#[test]
fn an_issuer_id_in_upper_case_is_one_too() {
    let issuer = INPUT_ISSUER.to_uppercase();
    let outcome = Step::new().with_key_inputs().set("api_issuer", &issuer).passes();
    assert_eq!(outcome.expect("APPLE_API_ISSUER"), issuer);
}

#[test]
fn a_phone_number_is_taken_as_apple_shows_it() {
    let run = |number| Step::new().connected(&apple_id()).set("sms_default_phone_number", number);
    for number in ["+81-80-1234-5678", "+49 162 1234567", "+1 (412) 555-0123", "+436501234567"] {
        assert_eq!(run(number).passes().expect("SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER"), number);
    }
    for number in ["080-1234-5678", "+", "+1", "jane@example.com", "+81 80 call me", "+1;rm"] {
        let error = run(number).fails();
        assert!(
            error.contains("`sms_default_phone_number`") && error.contains("+81-80-1234-5678"),
            "{error}"
        );
    }
}

#[test]
fn the_enterprise_input_alone_is_no_api_key() {
    let outcome = Step::new().with_apple_id_inputs().set("api_key_enterprise_account", "yes").passes();
    assert_eq!(outcome.chosen().0, "apple_id");
}
