//! What the log says, and what it must never say. That no secret shows is checked at every run,
//! in `support`; the runs here are those that try hardest.

use serde_json::{Value, json};
use stand_in::{Behaviour, Certificate, StandIn};

use test_support::{
    CONNECTED_ISSUER, CONNECTED_KEY, CONNECTED_KEY_ID, INPUT_APP_PASSWORD, INPUT_APPLE_ID, INPUT_ISSUER,
    INPUT_KEY_ID, INPUT_PASSWORD, SERVER, Step, all, always_busy, api_key, apple_id, cookie, in_days, pem,
    pem_body, redirect, spaceauth, status, unique_name,
};

#[test]
fn the_log_prints_every_input_in_the_order_of_step_yml_with_secrets_hidden() {
    let session = spaceauth(&[("myacinfo", "canary-cookie")]);
    let step = Step::off_bitrise().set_all([
        ("connection", "off"),
        ("apple_id", INPUT_APPLE_ID),
        ("password", INPUT_PASSWORD),
        ("app_password", INPUT_APP_PASSWORD),
        ("fastlane_session", &session),
        ("sms_default_phone_number", "+81-80-1234-5678"),
        ("build_api_token", "canary-token"),
        ("build_url", "https://app.bitrise.invalid/build/1"),
    ]);
    let stdout = step.asks_at("https://apple.invalid/").passes().stdout;
    let lines = "\
- action: export
- connection: off
- if_missing: fail
- api_key_path: <unset>
- api_key_id: <unset>
- api_issuer: <unset>
- api_key_type: team
- api_key_enterprise_account: no
- apple_id: *****
- password: *****
- app_password: *****
- fastlane_session: *****
- sms_default_phone_number: +81-80-1234-5678
- export_for: bitrise,fastlane,xcode
- export_token: no
- token_lifetime_seconds: 1140
- verify: no
- session_expiry_warning_days: 7
- credentials_dir: <unset>
- verbose_log: no
- app_store_connect_url: https://apple.invalid/
- app_store_connect_enterprise_url: https://apple.invalid/
- apple_session_url: https://apple.invalid/
- build_url: https://app.bitrise.invalid/build/1
- build_api_token: *****
";
    assert!(stdout.contains(lines), "{stdout}");
}

#[test]
fn the_log_is_in_the_colours_of_bitrises_steps() {
    let outcome = Step::new().connected(&api_key()).passes();
    assert_eq!(outcome.titles().len(), 3, "a blue title for each section: {}", outcome.stdout);
    assert_eq!(outcome.done().last().map(String::as_str), Some("Done."));
    assert!(outcome.stdout.ends_with("\x1b[0m\n"), "the last colour ends");
    assert_eq!(outcome.warnings(), Vec::<String>::new(), "nothing to warn of");
}

#[test]
fn the_log_says_which_credential_is_used_and_whose_it_is() {
    let outcome = Step::new().connected(&api_key()).passes();
    for part in ["Using the API key connected on Bitrise", CONNECTED_KEY_ID, CONNECTED_ISSUER] {
        assert!(outcome.stdout.contains(part), "{part} in {}", outcome.stdout);
    }
    let outcome = Step::new().with_key_inputs().passes();
    for part in ["Using the API key in the inputs", INPUT_KEY_ID, INPUT_ISSUER] {
        assert!(outcome.stdout.contains(part), "{part} in {}", outcome.stdout);
    }
    let outcome = Step::new().connected(&apple_id()).passes();
    for part in ["Using the Apple ID connected on Bitrise", "c***@example.com"] {
        assert!(outcome.stdout.contains(part), "{part} in {}", outcome.stdout);
    }
    let outcome = Step::new().with_apple_id_inputs().passes();
    for part in ["Using the Apple ID in the inputs", "i***@example.org"] {
        assert!(outcome.stdout.contains(part), "{part} in {}", outcome.stdout);
    }
}

#[test]
fn the_log_names_every_output() {
    for connected in [api_key(), apple_id()] {
        let outcome = Step::new().connected(&connected).passes();
        let (_, listed) = outcome.stdout.split_once("Exporting").unwrap();
        for entry in outcome.entries() {
            let line = format!(
                "- {}{}\n",
                entry.key,
                if entry.is_sensitive == Some(true) { " (secret)" } else { "" }
            );
            assert!(listed.contains(&line), "{line} in {listed}");
        }
    }
}

#[test]
fn debug_lines_show_only_when_they_are_asked_for() {
    let run = |verbose| {
        let step = Step::new().connected(&api_key()).envstore("envs: [{A: x}]\n");
        step.set("verbose_log", verbose).set("RUST_LOG", "trace").run().blocks("35;1").len()
    };
    assert_eq!(run("no"), 0);
    assert!(run("yes") > 0);
}

#[test]
fn text_from_outside_cannot_pass_for_a_colour_or_a_line() {
    let forged = "/nowhere/\u{1b}[31;1mforged\u{1b}[0m/AuthKey_FROMINPUT1.p8";
    let step = Step::off_bitrise().set("api_key_path", forged).set("api_issuer", INPUT_ISSUER);
    let outcome = step.run();
    outcome.check_failure();
    assert_eq!(outcome.blocks("31;1").len(), 1, "{}", outcome.stdout);
    let step = Step::new().connected(&all([api_key(), json!({"key_id": "A\u{1b}[31;1mforged"})]));
    let outcome = step.run();
    outcome.check_failure();
    assert_eq!(outcome.blocks("31;1").len(), 1, "{}", outcome.stdout);
}

/// As talkative as it can be made.
fn loud(step: Step) -> Step {
    step.set_all([
        ("verbose_log", "yes"),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
        ("RUST_LIB_BACKTRACE", "1"),
    ])
}

fn canary_connection() -> Value {
    all([
        api_key(),
        apple_id(),
        json!({"session_cookies": {"https://idmsa.apple.com": [
            cookie("myacinfo", "canary-cookie-1"), cookie("DES1", "canary-cookie-2"),
        ]}}),
    ])
}

#[test]
fn no_secret_of_the_connection_shows_in_runs_that_pass() {
    for toggle in ["automatic", "api_key", "apple_id"] {
        loud(Step::new().connected(&canary_connection())).set("connection", toggle).passes();
    }
    let session = spaceauth(&[("myacinfo", "canary-cookie")]);
    let inputs = Step::new().with_apple_id_inputs().set("app_password", INPUT_APP_PASSWORD);
    loud(inputs.set("fastlane_session", session)).secret("canary-cookie").passes();
    loud(Step::new().with_key_inputs()).passes();
}

#[test]
fn no_secret_of_the_connection_shows_in_runs_that_fail() {
    let broken = [
        json!({"private_key": "canary-private-key"}),
        json!({"private_key": CONNECTED_KEY.private_pem.replace("-----END", "-----BEND")}),
        json!({"private_key": CONNECTED_KEY.private_pem.replace('A', "*")}),
        json!({"key_id": CONNECTED_KEY.private_pem}),
        json!({"key_id": pem_body(&CONNECTED_KEY.private_pem)}),
        json!({"key_id": "canary-key-id"}),
        json!({"issuer_id": CONNECTED_KEY.private_pem}),
        json!({"issuer_id": "canary-issuer"}),
        json!({"is_enterprise_account": "canary-bool"}),
        json!({"password": ["canary-list"]}),
        json!({"session_cookies": {"https://idmsa.apple.com": "canary-x"}}),
    ];
    for part in broken {
        let text = all([canary_connection(), part.clone()]);
        let step = Step::new().connected(&text).secret("canary").secret(&CONNECTED_KEY.private_pem);
        loud(step.secret(pem_body(&CONNECTED_KEY.private_pem))).set("connection", "api_key").fails();
    }
    let broken = [
        json!({"connection_expiry_date": "canary-date"}),
        json!({"connection_expiry_date": in_days(-40)}),
        json!({"session_cookies": {"https://idmsa.apple.com": [{"name": "canary name", "value": "canary-value"}]}}),
        json!({"session_cookies": {"https://idmsa.apple.com": [{"name": "x", "value": "canary\u{1}value"}]}}),
        json!({"password": "canary\0password"}),
    ];
    for part in broken {
        let step = Step::new().connected(&all([canary_connection(), part])).secret("canary");
        loud(step).set("connection", "apple_id").fails();
    }
    for behaviours in
        [always_busy(500), vec![status(401, &[])], vec![Behaviour::InvalidUtf8], vec![Behaviour::Gzip]]
    {
        loud(Step::new().connected_with(&canary_connection(), behaviours)).fails();
    }
}

#[test]
fn what_an_error_page_holds_does_not_show() {
    let echo = Behaviour::Status { code: 403, headers: vec![], body: "canary-echo of the token".to_owned() };
    let step = Step::new().connected_with(&canary_connection(), vec![echo]).secret("canary-echo");
    loud(step).fails();
}

#[test]
fn no_secret_of_the_inputs_shows_in_runs_that_fail() {
    let session = spaceauth(&[("dqsid", "canary-cookie")]);
    let key_in = |name: &str| Step::new().with_key_inputs().set(name, pem());
    for step in [
        Step::new().with_apple_id_inputs().set("fastlane_session", "canary garbage"),
        Step::new().with_apple_id_inputs().set("fastlane_session", session).secret("canary-cookie"),
        Step::new().with_apple_id_inputs().with_key_inputs(),
        Step::new().set("password", INPUT_PASSWORD).set("app_password", INPUT_APP_PASSWORD),
        Step::new().with_apple_id_inputs().set("TMPDIR", "/nowhere").unset("ENVMAN_ENVSTORE_PATH"),
        key_in("api_key_id"),
        key_in("api_issuer"),
        key_in("sms_default_phone_number"),
        key_in("connection"),
        key_in("if_missing"),
        key_in("api_key_enterprise_account"),
        key_in("build_url"),
        Step::new()
            .with_key_inputs()
            .set("api_key_path", pem().replace('A', "*"))
            .secret(pem().replace('A', "*")),
        Step::new().with_key_inputs().set("api_key_path", &pem()[..120]).secret(&pem()[28..120]),
        Step::new().with_key_inputs().set("api_issuer", pem_body(pem())).secret(pem_body(pem())),
    ] {
        loud(step.set("build_api_token", "canary-token")).secret("canary").fails();
    }
    key_in("verbose_log").fails();
}

#[test]
fn a_key_pasted_with_something_around_it_does_not_show() {
    let body = pem_body(pem());
    let part = &body[30..90];
    for text in [
        format!("key={body}"),
        format!("AuthKey_FROMINPUT1.p8: {body}"),
        format!("data:application/x-pem-file;base64,{body}"),
        format!("{{\"key_id\":\"X\",\"issuer_id\":\"Y\",\"key\":\"{body}\"}}"),
        format!("~/{body}"),
        body.replace('M', "-"),
        format!("{}_{}", &body[5..], &body[..5]),
    ] {
        for toggle in ["off", "automatic"] {
            let step = Step::new().with_key_inputs().set("api_key_path", &text).set("connection", toggle);
            loud(step).secret(part.replace('M', "-")).secret(part).fails();
        }
        let named = Step::new().with_key_inputs().set("api_key_path", &text).unset("api_key_id");
        loud(named).secret(part.replace('M', "-")).secret(part).fails();
    }
}

#[test]
fn the_query_of_a_pre_signed_url_does_not_show() {
    const NAME: &str = "AuthKey_FROMINPUT1.p8";
    const QUERY: &str = "X-Amz-Credential=canary-1&X-Amz-Signature=canary-2#canary-3";
    let at = |url: String| {
        let step = Step::off_bitrise().set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
        loud(step).secret("canary")
    };
    let served = |behaviours| format!("{}?{QUERY}", SERVER.file(&unique_name(), NAME, pem(), behaviours));
    at(served(vec![])).passes();
    for behaviours in [
        vec![status(403, &[])],
        always_busy(500),
        vec![Behaviour::Html],
        vec![redirect("/elsewhere?canary-4").forever()],
        vec![redirect("http://elsewhere.invalid/?canary-4")],
        vec![redirect("ftp://elsewhere.invalid/?canary-4")],
        vec![redirect("http://[canary-4")],
        vec![redirect("::canary-4")],
    ] {
        at(served(behaviours)).fails();
    }
    at(format!("http://elsewhere.invalid/{NAME}?{QUERY}")).fails();
    at(format!("ftp://elsewhere.invalid/{NAME}?{QUERY}")).fails();
    at(format!("https://localhost:1/key.p8?{QUERY}")).fails();
    let untrusted = StandIn::start_tls(Certificate::Good).unwrap();
    at(format!("{}?{QUERY}", untrusted.file("x", NAME, pem(), vec![]))).fails();
    let with_password = SERVER.file(&unique_name(), NAME, pem(), vec![status(404, &[])]);
    at(with_password.replace("http://", "http://user:canary-password@")).fails();
}

#[test]
fn the_query_of_a_build_url_does_not_show() {
    for url in ["http://elsewhere.invalid/?canary-1", "ftp://u:canary-2@elsewhere.invalid/"] {
        loud(Step::new().set("build_url", url)).secret("canary").fails();
    }
}

#[test]
fn the_query_of_a_url_that_cannot_be_read_does_not_show() {
    for url in
        ["https://[/x?canary", "https://host name/x?canary", "https://host:port/x?canary", "https:///?canary"]
    {
        loud(Step::new().set("build_url", url)).secret("canary").fails();
        let step = Step::off_bitrise().set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
        loud(step.set("api_key_id", INPUT_KEY_ID).set("if_missing", "x")).secret("canary").fails();
    }
}

#[test]
fn arguments_are_answered_and_nothing_else_is_done() {
    let run = |argument: &str| {
        let binary = env!("CARGO_BIN_EXE_apple-services-connection");
        std::process::Command::new(binary).env_clear().arg(argument).output().unwrap()
    };
    for argument in ["--help", "--version"] {
        let output = run(argument);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).lines().next().is_some());
    }
    assert_eq!(run("now").status.code(), Some(1));
}
