//! Reading the connection: what is sent, what is tried again, what is refused.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use stand_in::{Behaviour, Certificate, Connection, StandIn};

use test_support::{
    CONNECTED_KEY, CONNECTED_KEY_ID, INPUT_ISSUER, Outcome, SERVER, Step, TOKEN, all, api_key, apple_id,
    busy, pem_body, redirect, status, unique_name,
};

static TLS: LazyLock<StandIn> = LazyLock::new(|| StandIn::start_tls(Certificate::Good).unwrap());

fn retries(outcome: &Outcome) -> usize {
    outcome.warnings().iter().filter(|line| line.contains("trying again")).count()
}

#[test]
fn the_connection_is_asked_for_once_with_the_token_in_its_header() {
    // With both kinds to look for.
    let outcome = Step::new().connected(&apple_id()).passes();
    let [request] = outcome.requests.as_slice() else { panic!("{:?}", outcome.requests) };
    assert_eq!(request.method, "GET");
    let name = request.name.replace(' ', "%20");
    assert_eq!(request.target, format!("/build/{name}/apple_developer_portal_data.json"));
    let tokens: Vec<_> =
        request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("BUILD_API_TOKEN")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].1, TOKEN);
    let others = request.headers.iter().filter(|(_, value)| value.contains(TOKEN)).count();
    assert_eq!(others, 1, "in this header only");
    assert!(request.verdict.is_ok());
}

#[test]
fn a_slash_at_the_end_of_the_build_url_makes_no_difference() {
    let step = Step::new().connected(&api_key());
    let url = format!("{}/build/{}/", SERVER.origin(), step.scenario().replace(' ', "%20"));
    let outcome = step.set("build_url", url).passes();
    assert!(!outcome.requests[0].target.contains("//"), "{:?}", outcome.requests);
}

#[test]
fn the_connection_is_read_over_https() {
    let name = unique_name();
    let body = api_key().to_string();
    let build_url = TLS.connection(&name, Connection { token: TOKEN.to_owned(), body, behaviours: vec![] });
    let step = Step::new().file("home/ca.pem", TLS.ca_pem().unwrap()).set("build_url", &build_url);
    let ca = step.path("home/ca.pem");
    let outcome = step.set("SSL_CERT_FILE", ca).passes();
    assert_eq!(outcome.expect("APPLE_API_KEY_ID"), CONNECTED_KEY_ID);
    assert_eq!(TLS.requests_for(&name).len(), 1);

    let outcome = Step::new().set("build_url", build_url).run();
    outcome.check_failure();
    assert!(outcome.error().contains("no certificate that this machine trusts"), "{}", outcome.error());
    assert_eq!(retries(&outcome), 0);
    assert_eq!(TLS.requests_for(&name).len(), 1, "the token is not sent");
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = StandIn::start().unwrap();
    let body = api_key().to_string();
    let other =
        elsewhere.connection("other", Connection { token: TOKEN.to_owned(), body, behaviours: vec![] });
    let other = format!("{other}/apple_developer_portal_data.json");
    for code in [301, 302, 303, 307, 308] {
        let step =
            Step::new().connected_with(&api_key(), vec![Behaviour::Redirect { code, to: other.clone() }]);
        let outcome = step.run();
        outcome.check_failure();
        let error = outcome.error();
        assert!(error.contains(&format!("HTTP {code}")) && error.contains("redirect"), "{error}");
        assert_eq!(outcome.requests.len(), 1);
    }
    let own = Step::new().connected_with(&api_key(), vec![redirect("apple_developer_portal_data.json")]);
    assert!(own.fails().contains("redirect"), "not even to the same place");
    assert_eq!(elsewhere.requests(), []);
}

#[test]
fn what_may_pass_is_tried_again_and_each_retry_is_logged() {
    let step = Step::new().connected_with(&api_key(), vec![busy(500), busy(429), busy(503), Behaviour::Ok]);
    let outcome = step.passes();
    assert_eq!(outcome.requests.len(), 4);
    let said = outcome.warnings().join("\n");
    for code in ["HTTP 500", "HTTP 429", "HTTP 503"] {
        assert!(said.contains(code), "{code} in {said}");
    }
    assert_eq!(retries(&outcome), 3);
    assert!(outcome.requests.iter().all(|request| request.header("BUILD_API_TOKEN") == Some(TOKEN)));
}

#[test]
fn retry_after_can_be_a_date() {
    let past = status(503, &[("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")]);
    let outcome = Step::new().connected_with(&api_key(), vec![past.clone(), past.clone(), past]).passes();
    assert_eq!(outcome.requests.len(), 4);
}

#[test]
fn four_tries_are_all() {
    for code in [500, 502, 503, 504, 599, 429] {
        let outcome = Step::new().connected_with(&api_key(), vec![busy(code).forever()]).run();
        outcome.check_failure();
        assert_eq!(outcome.requests.len(), 4, "HTTP {code}");
        assert_eq!(retries(&outcome), 3);
        assert!(outcome.error().contains(&format!("HTTP {code}")), "{}", outcome.error());
    }
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for code in [400, 401, 402, 403, 404, 405, 408, 410, 422, 201, 204] {
        let outcome =
            Step::new().connected_with(&api_key(), vec![status(code, &[("Retry-After", "0")])]).run();
        outcome.check_failure();
        assert_eq!(outcome.requests.len(), 1, "HTTP {code}");
        assert_eq!(retries(&outcome), 0);
        assert!(outcome.error().contains(&format!("HTTP {code}")), "{}", outcome.error());
    }
}

/// The one test that waits for real pauses: all of its runs at once.
#[test]
fn a_connection_that_fails_is_tried_again_after_a_pause() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let broken = [
        Behaviour::ResetBeforeAnswer,
        Behaviour::CloseBeforeAnswer,
        Behaviour::ResetMidBody,
        Behaviour::WrongContentLength,
        Behaviour::ChunkedCut,
        Behaviour::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
    ];
    let mut runs: Vec<(String, Step)> = Vec::new();
    for behaviour in broken {
        let name = format!("{behaviour:?}");
        runs.push((name, Step::new().connected_with(&api_key(), vec![behaviour.forever()])));
    }
    thread::scope(|scope| {
        for (name, step) in runs {
            scope.spawn(move || {
                let outcome = step.run();
                outcome.check_failure();
                assert_eq!(outcome.requests.len(), 4, "{name}");
                assert_eq!(retries(&outcome), 3, "{name}");
            });
        }
        scope.spawn(move || {
            let refused = Step::new().set("build_url", format!("http://127.0.0.1:{port}/build/1"));
            let outcome = refused.with_key_inputs().passes();
            assert_eq!(outcome.chosen().1, "inputs");
            outcome.warns_of("could not be reached");
            assert_eq!(retries(&outcome), 3);
        });
        scope.spawn(move || {
            let url = format!("http://127.0.0.1:{port}/AuthKey_FROMINPUT1.p8?canary-signature");
            let step = Step::off_bitrise().set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
            let outcome = step.secret("canary-signature").run();
            outcome.check_failure();
            assert!(outcome.error().contains("could not be reached"), "{}", outcome.error());
            assert_eq!(retries(&outcome), 3);
        });
        scope.spawn(move || {
            let name = unique_name();
            let reset = vec![Behaviour::ResetBeforeAnswer.forever()];
            let url = SERVER.file(&name, "AuthKey_FROMINPUT1.p8", "", reset);
            let step = Step::off_bitrise().set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
            let error = step.fails();
            assert!(error.contains("`api_key_path`") && error.contains("reset"), "{error}");
            assert_eq!(SERVER.requests_for(&name).len(), 4);
        });
        scope.spawn(move || {
            let step =
                Step::new().connected_with(&api_key(), vec![Behaviour::ResetBeforeAnswer, Behaviour::Ok]);
            let outcome = step.passes();
            assert_eq!(outcome.requests.len(), 2);
            let pause = outcome.requests[1].at_millis - outcome.requests[0].at_millis;
            assert!((500..5000).contains(&pause), "half a second and some jitter: {pause} ms");
        });
        scope.spawn(move || {
            // Bitrise is on the other side of the proxy; it is the stand-in, and refuses to connect.
            let host = format!("{}.invalid", unique_name().replace(' ', "-"));
            let step = Step::new().set("build_url", format!("https://{host}/build/1"));
            step.set("HTTPS_PROXY", SERVER.origin()).fails();
            let asked: Vec<_> =
                SERVER.requests().into_iter().filter(|request| request.target.contains(&host)).collect();
            assert!(
                !asked.is_empty() && asked.iter().all(|request| request.method == "CONNECT"),
                "{asked:?}"
            );
            assert!(asked.iter().all(|request| request.header("BUILD_API_TOKEN").is_none()), "{asked:?}");
        });
    });
}

#[test]
fn no_proxy_sees_what_stays_on_this_machine() {
    let proxies = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let step = Step::new().connected(&api_key());
    let outcome = step.set_all(proxies.map(|name| (name, "http://127.0.0.1:1"))).passes();
    assert_eq!(outcome.requests.len(), 1);
}

#[test]
fn plain_http_needs_no_trusted_certificate_on_the_machine() {
    let step =
        Step::new().connected(&api_key()).set("SSL_CERT_FILE", "/nowhere").set("SSL_CERT_DIR", "/nowhere");
    assert_eq!(step.passes().requests.len(), 1);
}

#[test]
fn a_slow_answer_is_waited_for() {
    let slow = [
        Behaviour::StallBeforeHeader(Duration::from_millis(50)),
        Behaviour::StallInBody(Duration::from_millis(50)),
        Behaviour::Drip { bytes: 64, every: Duration::from_millis(1) },
    ];
    for behaviour in slow {
        assert_eq!(Step::new().connected_with(&api_key(), vec![behaviour]).passes().requests.len(), 1);
    }
}

#[test]
fn an_answer_of_4_mib_is_read_and_a_larger_one_is_refused() {
    const LIMIT: u64 = 4 << 20;
    let padded = |length: u64| {
        let spaces = " ".repeat(usize::try_from(length).unwrap() - 2);
        Behaviour::Body(format!("{{{spaces}}}").into_bytes())
    };
    for most in [Behaviour::Oversize(LIMIT), padded(LIMIT)] {
        let outcome = Step::new().connected_with(&json!({}), vec![most]).set("if_missing", "skip").passes();
        assert_eq!(outcome.chosen().0, "none");
    }
    for over in [Behaviour::Oversize(LIMIT + 1), padded(LIMIT + 1), Behaviour::Oversize(64 << 20)] {
        let outcome = Step::new().connected_with(&json!({}), vec![over]).set("if_missing", "skip").run();
        outcome.check_failure();
        assert!(outcome.error().contains("more than 4096 KiB"), "{}", outcome.error());
        assert_eq!(outcome.requests.len(), 1);
    }
}

#[test]
fn a_field_of_the_wrong_form_is_named_and_its_value_is_not() {
    const CANARY: &str = "canary-31415926535";
    let text = json!(CANARY);
    let number = json!(31_415_926_535_u64);
    let rows: Vec<(&str, Vec<Value>)> = vec![
        ("key_id", vec![number.clone(), json!([CANARY]), json!({CANARY: 1}), json!(true)]),
        ("issuer_id", vec![number.clone(), json!([CANARY])]),
        ("private_key", vec![number.clone(), json!([CANARY]), json!({CANARY: CANARY})]),
        ("is_enterprise_account", vec![text.clone(), number.clone(), json!([CANARY])]),
        ("apple_id", vec![number.clone(), json!([CANARY])]),
        ("password", vec![number.clone(), json!([CANARY])]),
        ("app_specific_password", vec![number.clone(), json!({CANARY: CANARY})]),
        ("connection_expiry_date", vec![number.clone(), json!([CANARY])]),
        (
            "session_cookies",
            vec![
                text.clone(),
                json!([CANARY]),
                json!({"https://idmsa.apple.com": CANARY}),
                json!({"https://idmsa.apple.com": [CANARY]}),
                json!({"https://idmsa.apple.com": [{"name": "x", "value": 31_415_926_535_u64}]}),
                json!({"https://idmsa.apple.com": [{"name": "x", "value": "y", "secure": CANARY}]}),
                json!({"https://idmsa.apple.com": [{"value": [CANARY]}]}),
            ],
        ),
    ];
    for (field, values) in rows {
        for value in values {
            let body = all([api_key(), apple_id(), json!({field: value})]);
            let step = Step::new().connected_as_text(body.to_string(), vec![]);
            let error = step.set("verbose_log", "yes").secret("31415926535").secret("canary").fails();
            assert!(error.contains(&format!("`{field}`")), "{field} {value}: {error}");
        }
    }
}

#[test]
fn what_is_no_json_document_is_said_without_what_it_holds() {
    for body in [
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
    ] {
        let step = Step::new().connected_as_text(body, vec![]).secret("canary").secret("31415926535");
        let error = step.set("verbose_log", "yes").fails();
        assert!(error.contains("JSON"), "{body:?}: {error}");
    }
    // Asked for or not, as a proxy may do it.
    let error = Step::new().connected_with(&api_key(), vec![Behaviour::Gzip]).fails();
    assert!(error.contains("JSON"), "{error}");
}

#[test]
fn the_connected_private_key_is_taken_without_header_and_footer() {
    let body = pem_body(&CONNECTED_KEY.private_pem);
    let outcome = Step::new().connected(&all([api_key(), json!({"private_key": body})])).passes();
    let file = std::fs::read_to_string(outcome.expect("APPLE_API_KEY_PATH")).unwrap();
    assert_eq!(file, CONNECTED_KEY.private_pem);
}

#[test]
fn a_token_that_no_header_can_carry_is_an_error_that_names_the_input() {
    for token in ["canary\ntoken", "canary-tökén-\u{7f}"] {
        let outcome = Step::new().connected(&api_key()).set("build_api_token", token).secret("canary").run();
        outcome.check_failure();
        assert!(outcome.error().contains("`build_api_token`"), "{}", outcome.error());
        assert_eq!(outcome.requests, []);
    }
}

#[test]
fn an_empty_token_is_said_as_that_and_not_blamed_on_pull_requests() {
    let error = Step::new().connected(&api_key()).unset("BITRISE_BUILD_API_TOKEN").fails();
    assert!(error.contains("`build_api_token` is empty"), "{error}");
    let step = Step::new().connected(&api_key()).set("build_api_token", "").with_key_inputs();
    let outcome = step.passes();
    assert_eq!(outcome.chosen(), ("api_key".to_owned(), "inputs".to_owned()));
    outcome.warns_of("`build_api_token` is empty");
    assert!(outcome.requests.is_empty(), "nobody is asked without a token");
}
