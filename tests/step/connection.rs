//! Reading the connection: requests, retries, and rejected responses.

use std::time::Duration;

use serde_json::{Value, json};
use stand_in::{Behaviour, Certificate, Connection, StandIn};

use test_support::snapshots::assert_messages;
use test_support::{
    BUILD_API_TOKEN, CONNECTED_KEY_ID, INPUT_ISSUER, SERVER, Step, api_key, apple_id, busy, errors_of,
    in_parallel, merge, pem, redirect, status, unique_name,
};

#[test]
fn the_connection_is_requested_once_with_the_token_in_its_header() {
    // The Step looks for an API key first, then for an Apple ID, in one response.
    let outcome = Step::new().connected(&apple_id()).succeeds();
    let [request] = outcome.requests.as_slice() else { panic!("{:?}", outcome.requests) };
    assert_eq!(request.method, "GET");
    let scenario = request.name.replace(' ', "%20");
    assert_eq!(request.target, format!("/build/{scenario}/apple_developer_portal_data.json"));
    assert_eq!(request.header("BUILD_API_TOKEN"), Some(BUILD_API_TOKEN));
    let has_token = |(name, value): &&(String, String)| {
        name.eq_ignore_ascii_case("BUILD_API_TOKEN") || value.contains(BUILD_API_TOKEN)
    };
    assert_eq!(request.headers.iter().filter(has_token).count(), 1, "the token is in this header only");
    assert!(request.verdict.is_ok());
}

#[test]
fn a_slash_at_the_end_of_the_build_url_makes_no_difference() {
    let step = Step::new().connected(&api_key());
    let url = format!("{}/build/{}/", SERVER.origin(), step.scenario().replace(' ', "%20"));
    let outcome = step.set("build_url", url).succeeds();
    assert!(!outcome.requests[0].target.contains("//"), "{:?}", outcome.requests);
}

#[test]
fn the_connection_is_read_over_https() {
    let server = StandIn::start_tls(Certificate::Good).unwrap();
    let build_url = server.connection("x", connected_api_key());
    let outcome = Step::new().trusting(&server).set("build_url", build_url).succeeds();
    assert_eq!(outcome.output("APPLE_API_KEY_ID"), CONNECTED_KEY_ID);
    assert_eq!(server.requests().len(), 1);
}

fn connected_api_key() -> Connection {
    let body = api_key().to_string();
    Connection { token: BUILD_API_TOKEN.to_owned(), body, behaviours: vec![] }
}

#[test]
fn redirects_are_not_followed() {
    let other_server = StandIn::start().unwrap();
    let url = other_server.connection("other", connected_api_key()) + "/apple_developer_portal_data.json";
    let mut rows = [301, 302, 303, 307, 308]
        .map(|code| (code.to_string(), Behaviour::Redirect { code, to: url.clone() }))
        .to_vec();
    rows.push(("302 to the same place".to_owned(), redirect("apple_developer_portal_data.json")));
    let messages = in_parallel(rows, |(what, behaviour)| {
        let outcome = Step::new().connected_with(&api_key(), vec![behaviour]).fails();
        assert_eq!(outcome.requests.len(), 1);
        (what, outcome.error())
    });
    assert_messages("connection/redirects", messages);
    assert_eq!(other_server.requests(), []);
}

#[test]
fn temporary_errors_are_retried_and_each_retry_is_logged() {
    let behaviours = vec![busy(500), busy(429), busy(503), Behaviour::Ok];
    let connection = Step::new().connected_with(&api_key(), behaviours.clone()).succeeds();
    assert_eq!(connection.requests.len(), 4);
    assert!(
        connection.requests.iter().all(|request| request.header("BUILD_API_TOKEN") == Some(BUILD_API_TOKEN))
    );
    let name = unique_name();
    let url = SERVER.file(&name, "AuthKey_FROMINPUT1.p8", pem(), behaviours);
    let key = Step::off_bitrise().set("api_key_path", url).set("api_issuer", INPUT_ISSUER).succeeds();
    assert_eq!(SERVER.requests_for(&name).len(), 4);
    let messages = [("the connection", connection), ("the key", key)];
    assert_messages(
        "connection/retries",
        messages.map(|(what, outcome)| (what, outcome.warnings().join("\n"))),
    );
}

#[test]
fn a_request_is_tried_at_most_four_times() {
    let messages = in_parallel([500, 502, 503, 504, 599, 429], |code| {
        let outcome = Step::new().connected_with(&api_key(), vec![busy(code).forever()]).fails();
        assert_eq!(outcome.requests.len(), 4, "HTTP {code}");
        assert_eq!(outcome.warnings().len(), 3, "each retry is logged");
        (code, outcome.error())
    });
    assert_messages("connection/four_tries", messages);
}

#[test]
fn permanent_errors_and_unexpected_statuses_are_not_retried() {
    let messages = in_parallel([400, 401, 402, 403, 404, 405, 408, 410, 422, 201, 204], |code| {
        let outcome =
            Step::new().connected_with(&api_key(), vec![status(code, &[("Retry-After", "0")])]).fails();
        assert_eq!(outcome.requests.len(), 1, "HTTP {code}");
        (code, outcome.error())
    });
    assert_messages("connection/one_try", messages);
}

#[test]
fn requests_to_this_machine_use_no_proxy() {
    let proxies = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let step = Step::new().connected(&api_key());
    let outcome = step.set_all(proxies.map(|name| (name, "http://127.0.0.1:1"))).succeeds();
    assert_eq!(outcome.requests.len(), 1);
}

#[test]
fn plain_http_needs_no_trusted_certificate_on_the_machine() {
    let step =
        Step::new().connected(&api_key()).set("SSL_CERT_FILE", "/nowhere").set("SSL_CERT_DIR", "/nowhere");
    assert_eq!(step.succeeds().requests.len(), 1);
}

#[test]
fn a_slow_response_is_read() {
    let slow = [
        Behaviour::StallBeforeHeader(Duration::from_millis(50)),
        Behaviour::StallInBody(Duration::from_millis(50)),
        Behaviour::Drip { bytes: 64, every: Duration::from_millis(1) },
    ];
    for behaviour in slow {
        assert_eq!(Step::new().connected_with(&api_key(), vec![behaviour]).succeeds().requests.len(), 1);
    }
}

#[test]
fn a_response_of_4_mib_is_read_and_a_larger_one_is_refused() {
    const LIMIT: u64 = 4 << 20;
    let padded = |length: u64| {
        let spaces = " ".repeat(usize::try_from(length).unwrap() - 2);
        Behaviour::Body(format!("{{{spaces}}}").into_bytes())
    };
    for body in [Behaviour::Oversize(LIMIT), padded(LIMIT)] {
        let outcome = Step::new().connected_with(&json!({}), vec![body]).set("if_missing", "skip").succeeds();
        assert_eq!(outcome.method_and_source().0, "none");
    }
    let too_large = [
        ("a byte more, unannounced", Behaviour::Oversize(LIMIT + 1)),
        ("a byte more, announced", padded(LIMIT + 1)),
        ("64 MiB", Behaviour::Oversize(64 << 20)),
    ];
    let messages = too_large.map(|(what, body)| {
        let outcome = Step::new().connected_with(&json!({}), vec![body]).set("if_missing", "skip").fails();
        assert_eq!(outcome.requests.len(), 1);
        (what, outcome.error())
    });
    assert_messages("connection/too_large", messages);
}

#[test]
fn the_error_for_a_field_of_the_wrong_type_names_the_field_and_hides_its_value() {
    const CANARY: &str = "canary-31415926535";
    let text = json!(CANARY);
    let number = json!(31_415_926_535_u64);
    let list = json!([CANARY]);
    let object = json!({CANARY: CANARY});
    let with_cookies = |cookies: Value| json!({"https://idmsa.apple.com": cookies});
    let text_fields = [
        "key_id",
        "issuer_id",
        "private_key",
        "apple_id",
        "password",
        "app_specific_password",
        "connection_expiry_date",
    ];
    let not_text = [&number, &json!(true), &list, &object].map(Clone::clone).to_vec();
    let mut wrong_values: Vec<(&str, Vec<Value>)> =
        text_fields.into_iter().map(|field| (field, not_text.clone())).collect();
    wrong_values.push(("is_enterprise_account", vec![text.clone(), number.clone(), list.clone()]));
    wrong_values.push((
        "session_cookies",
        vec![
            text.clone(),
            list.clone(),
            with_cookies(text.clone()),
            with_cookies(list.clone()),
            with_cookies(json!([{"name": 31_415_926_535_u64}])),
            with_cookies(json!([{"name": "x", "value": number}])),
            with_cookies(json!([{"name": "x", "value": "y", "secure": CANARY}])),
            with_cookies(json!([{"value": [CANARY]}])),
        ],
    ));
    wrong_values.push(("test_devices", vec![text, object]));
    let mut rows = Vec::new();
    for (field, values) in wrong_values {
        for value in values {
            let body = merge([api_key(), apple_id(), json!({field: value})]);
            let step = Step::new().connected_as_text(body.to_string(), vec![]);
            let step = step.set("verbose_log", "yes").secret("31415926535").secret("canary");
            rows.push((format!("{field}: {value}"), step));
        }
    }
    assert_messages("connection/wrong_form", errors_of(rows));
}

#[test]
fn a_malformed_test_device_is_skipped_with_a_warning() {
    let good = json!({"device_identifier": "00008030-001A2B3C4D5E6F70", "title": "Jane's iPhone"});
    for malformed in
        [json!({"device_identifier": 8030, "title": "Old iPad"}), json!(["Old iPad"]), json!(8030)]
    {
        let devices = json!({"test_devices": [malformed, good]});
        let outcome = Step::new().connected(&merge([api_key(), devices])).succeeds();
        assert_eq!(outcome.warnings().len(), 1, "{}", outcome.stdout);
        assert!(outcome.warnings()[0].contains("has no valid UDID and is skipped"), "{}", outcome.stdout);
    }
}

#[test]
fn the_error_for_a_malformed_response_hides_its_content() {
    let bodies = [
        "canary",
        "\"canary\"",
        "[\"canary\"]",
        "31415926535",
        "null",
        "{\"canary\"",
        "{\"key_id\": \"canary\"} canary",
        "{\"canary\": }",
        "{'canary': 1}",
        "",
        "\u{feff}canary",
        "{\"key_id\": \"canary\", \"key_id\": \"canary\"}",
    ];
    let mut rows: Vec<_> =
        bodies.map(|body| (format!("{body:?}"), Step::new().connected_as_text(body, vec![]))).into();
    let depth = 10_000;
    for (what, text) in [
        ("lists in lists", "[".repeat(depth)),
        ("objects in objects", "{\"a\":".repeat(depth)),
        ("lists in a field", format!("{{\"session_cookies\": {}", "[".repeat(depth))),
    ] {
        rows.push((format!("{depth} {what}"), Step::new().connected_as_text(text, vec![])));
    }
    // A proxy can compress the response, whether or not the Step accepts gzip.
    rows.push(("gzip".to_owned(), Step::new().connected_with(&api_key(), vec![Behaviour::Gzip])));
    let rows = rows
        .into_iter()
        .map(|(what, step)| (what, step.set("verbose_log", "yes").secret("canary").secret("31415926535")));
    assert_messages("connection/malformed", errors_of(rows));
}

#[test]
fn the_error_for_a_token_that_is_not_a_valid_header_value_names_the_input() {
    let messages = ["canary\ntoken", "canary-tökén-\u{7f}"].map(|token| {
        let outcome =
            Step::new().connected(&api_key()).set("build_api_token", token).secret("canary").fails();
        assert_eq!(outcome.requests, []);
        (format!("{token:?}"), outcome.error())
    });
    assert_messages("connection/token", messages);
}

#[test]
fn the_error_for_an_empty_token_says_to_reset_the_input() {
    let error = Step::new().connected(&api_key()).unset("BITRISE_BUILD_API_TOKEN").fails().error();
    let step = Step::new().connected(&api_key()).set("build_api_token", "").with_key_inputs();
    let outcome = step.succeeds();
    assert_eq!(outcome.method_and_source(), ("api_key".to_owned(), "inputs".to_owned()));
    assert!(outcome.requests.is_empty(), "no request without a token");
    let messages = [("no key", error), ("a key in the inputs", outcome.warnings().join("\n"))];
    assert_messages("connection/empty_token", messages);
}
