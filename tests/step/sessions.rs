//! The two-factor session, from the cookies of the connection and from pasted text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use serde_yaml::Value as Yaml;

use test_support::snapshots::assert_messages;
use test_support::{
    INPUT_APPLE_ID, Outcome, Step, apple_id, cookie, errors_of, load_session, merge, pem, spaceauth, wrapped,
};

const COOKIES: [(&str, &str); 3] = [
    ("myacinfo", "canary-DAWTKN=="),
    ("DES5c148", "canary-HSARMTKNSRVT"),
    ("dqsid", "canary-eyJhbGci.x-y_z"),
];

fn with_pasted_session(session: impl AsRef<str>) -> Step {
    let step = Step::off_bitrise().set("apple_id", INPUT_APPLE_ID).set("fastlane_session", session.as_ref());
    step.secret("canary-DAWTKN==").secret("canary-HSARMTKNSRVT")
}

fn with_cookies(cookies: &Value) -> Step {
    let session = json!({"session_cookies": {"https://idmsa.apple.com": cookies}});
    Step::new().connected(&merge([apple_id(), session]))
}

/// The names and values of the exported cookies, as fastlane sends them.
#[track_caller]
fn names_and_values(outcome: &Outcome) -> Vec<(String, String)> {
    let text = |value: &Yaml| value.as_str().expect("a string").to_owned();
    let cookies = load_session(&outcome.output("FASTLANE_SESSION"));
    cookies.iter().map(|cookie| (text(&cookie["name"]), text(&cookie["value"]))).collect()
}

fn owned(cookies: &[(&str, &str)]) -> Vec<(String, String)> {
    cookies.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The unit tests of `formats::fastlane_session` cover every form.
#[test]
fn a_session_is_accepted_as_people_paste_it() {
    let one_line = spaceauth(&COOKIES);
    for text in [
        format!("export FASTLANE_SESSION='{one_line}'\n"),
        one_line.replace("\\n", "\r\n"),
        wrapped(&one_line, 80),
        STANDARD.encode(&one_line),
    ] {
        assert_eq!(names_and_values(&with_pasted_session(&text).succeeds()), owned(&COOKIES), "{text}");
    }
}

#[test]
fn a_session_that_was_cut_off_is_rejected() {
    let one_line = spaceauth(&COOKIES);
    let lines = one_line.replace("\\n", "\n");
    let mut rows = Vec::new();
    for (form, session) in [("escaped line breaks", &one_line), ("real line breaks", &lines)] {
        for (what, last_text) in [("value: c", "  value: c"), ("secure", "  secure: true")] {
            let end = session.rfind(last_text).unwrap() + last_text.len();
            rows.push((format!("{form}, cut after {what}"), with_pasted_session(&session[..end])));
        }
    }
    assert_messages("sessions/cut_off", errors_of(rows));
}

#[test]
fn values_that_ruby_quotes_are_read_without_quotes() {
    for (yaml, value) in
        [("'0123'", "0123"), ("'no'", "no"), ("\"a:b\"", "a:b"), ("'it''s'", "it's"), ("! '~'", "~")]
    {
        let session = spaceauth(&[("myacinfo", yaml)]);
        for form in
            [session.clone(), format!("export FASTLANE_SESSION='{session}'"), session.replace("\\n", "\n")]
        {
            assert_eq!(
                names_and_values(&with_pasted_session(form).succeeds()),
                owned(&[("myacinfo", value)]),
                "{yaml}"
            );
        }
    }
}

#[test]
fn a_cookie_keeps_its_attributes_and_missing_ones_have_defaults() {
    let full = json!({
        "name": "a", "value": "canary-v", "domain": "idmsa.apple.com", "for_domain": false, "path": "/appleauth",
        "secure": false, "httponly": false, "expires": "2099-01-02T03:04:05Z", "max_age": 5,
    });
    let dotted = json!({"name": "b", "value": "canary-v", "domain": ".apple.com", "secure": true, "max_age": 2_592_000});
    let bare = json!({"name": "c", "value": "canary-v", "expires": "soon"});
    let absent =
        json!({"name": "d", "value": "canary-v", "domain": "apple.com", "for_domain": null, "path": ""});
    let outcome = with_cookies(&json!([full, dotted, bare, absent])).succeeds();
    let cookies = load_session(&outcome.output("FASTLANE_SESSION"));
    let expected = [
        // domain, for_domain, path, secure, httponly
        ("idmsa.apple.com", false, "/appleauth", false, false),
        ("apple.com", true, "/", true, false),
        ("idmsa.apple.com", false, "/", false, false),
        ("apple.com", true, "/", false, false),
    ];
    for (cookie, (domain, for_domain, path, secure, httponly)) in cookies.iter().zip(expected) {
        assert!(cookie["domain"] == domain && cookie["path"] == path, "{cookie:?}");
        let flags = ["for_domain", "secure", "httponly"].map(|flag| cookie[flag].as_bool().unwrap());
        assert_eq!(flags, [for_domain, secure, httponly], "{cookie:?}");
    }
    assert_eq!(cookies.len(), expected.len());
    assert!(cookies[0]["expires"].as_str().unwrap().starts_with("2099-01-02 03:04:05"), "{cookies:?}");
    assert!(!cookies[0].contains_key("max_age"), "expires overrides max_age: {cookies:?}");
    assert_eq!(cookies[1]["max_age"], 2_592_000);
    assert!(!cookies[2].contains_key("expires"), "an expiry that is not a date is dropped: {cookies:?}");
}

#[test]
fn the_error_recognizes_texts_that_are_not_sessions() {
    let session = spaceauth(&[("myacinfo", "canary-value")]);
    let rows = [
        ("the cookie dqsid alone", spaceauth(&[("dqsid", "canary-value")])),
        ("the cookie itctx alone", spaceauth(&[("itctx", "canary-value")])),
        ("no cookies", "[]".to_owned()),
        ("damaged cookies", session.replace("name: ", "name")),
        ("six digits", "123456".to_owned()),
        ("a path", "~/.fastlane/spaceship/jane.canary@example.com/cookie".to_owned()),
        ("an API key", pem().to_owned()),
        ("an API key on one line", pem().replace('\n', "\\n")),
        ("base64 of an API key", STANDARD.encode(pem())),
        // Nearly the longest value, because Linux limits a variable to 128 KiB.
        ("120 KiB", "x".repeat(120 * 1024)),
    ];
    let garbage = [
        "canary-word",
        "canary garbage",
        "eyJhbGciOiJIUzI1NiJ9.e30.canary",
        "{\"canary\": 1}",
        "12345678",
        "- canary: x",
        "- - canary",
        "---\\n",
        "myacinfo=canary; DES=canary",
        "export FASTLANE_SESSION='",
        "*x",
        "\u{7f}\u{1}canary",
        "<html>canary</html>",
    ];
    let rows = rows.map(|(what, text)| (what.to_owned(), with_pasted_session(text).secret(pem())));
    let garbage = garbage.map(|text| (format!("{text:?}"), with_pasted_session(text).secret("canary")));
    // The name of a variable is not secret.
    let variable = with_pasted_session("").set_as_plain("fastlane_session", "$FASTLANE_SESSION");
    let rows = rows.into_iter().chain([("an unexpanded variable".to_owned(), variable)]).chain(garbage);
    assert_messages("sessions/not_a_session", errors_of(rows));
}

#[test]
fn an_expired_pasted_session_is_rejected_with_its_expiry() {
    let session = spaceauth(&[("myacinfo", "canary-a"), ("DES5c1", "canary-b")]);
    let expires = session.replace("expires: ", "expires: 2024-02-29 11:34:00.000000000 Z");
    let max_age = session
        .replace("max_age: ", "max_age: 60")
        .replace("created_at: 2026-01-01 12:00", "created_at: 2024-02-29 12:33");
    let mut errors = Vec::new();
    for (what, session) in [("by expires", expires), ("by max_age", max_age)] {
        for mode in ["automatic", "off"] {
            let error = with_pasted_session(&session).set("connection", mode).fails().error();
            errors.push((format!("{what}, connection is {mode}"), error));
        }
    }
    assert_messages("sessions/expired_pasted", errors);
}

#[test]
fn the_error_for_a_damaged_cookie_has_its_number_and_no_value() {
    let cookie_with =
        |fields: Value| merge([json!({"name": "x", "value": "canary-value", "domain": "apple.com"}), fields]);
    let rows = [
        ("an empty name", cookie_with(json!({"name": ""}))),
        ("no name", json!({"value": "canary-value", "domain": "apple.com"})),
        ("a blank in its name", cookie_with(json!({"name": "canary name"}))),
        ("an equals sign in its name", cookie_with(json!({"name": "x=y"}))),
        ("no value", json!({"name": "x", "domain": "apple.com"})),
        ("two lines in its value", cookie_with(json!({"value": "canary\nvalue"}))),
        ("a blank in its domain", cookie_with(json!({"domain": "canary domain"}))),
        ("two dots in its domain", cookie_with(json!({"domain": "a..b"}))),
    ];
    let rows = rows.map(|(what, damaged)| {
        (what, with_cookies(&json!([cookie("ok", "canary-ok"), damaged])).secret("canary"))
    });
    assert_messages("sessions/damaged_cookie", errors_of(rows));
}
