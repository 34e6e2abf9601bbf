//! The requests to Apple, and what each response means for the build.

use serde_json::json;
use stand_in::{Account, Behaviour, Session, SessionRefusal, Team};

use test_support::snapshots::{assert_messages, assert_run};
use test_support::{
    CONNECTED_APP_PASSWORD, CONNECTED_APPLE_ID, CONNECTED_ISSUER, CONNECTED_KEY, CONNECTED_KEY_ID,
    CONNECTED_PASSWORD, Outcome, SERVER, Step, account, account_of, api_key, apple_id, busy, claims,
    connected_session, errors_of, find_leak, in_days, in_parallel, merge, pasted_session, status,
    website_session,
};

fn with_account(account: Account) -> Step {
    Step::new().connected(&api_key()).verified_by(account)
}

fn with_behaviours(behaviours: Vec<Behaviour>) -> Step {
    with_account(account(behaviours))
}

fn unauthorized() -> Behaviour {
    Behaviour::apple_errors(401, [("NOT_AUTHORIZED", "title", "detail")])
}

// --- API key

#[test]
fn a_key_is_verified_with_one_request_for_one_app() {
    let team = Team::with_apps(["com.example.app"]);
    let outcome = Step::new().connected(&api_key()).verified_by_team(account(vec![]), team).succeeds();
    assert_eq!(outcome.verified(), "yes");
    assert_eq!(outcome.get_output("APPLE_APP_ID"), None);
    assert_eq!(outcome.paths_at_apple(), ["apps?limit=1"]);
}

#[test]
fn an_enterprise_key_is_verified_with_one_request_for_one_bundle_id() {
    let step = Step::new().connected(&merge([api_key(), json!({"is_enterprise_account": true})]));
    let url = SERVER.app_store_connect(step.scenario(), Account { enterprise: true, ..account(vec![]) });
    let outcome = step.set("app_store_connect_enterprise_url", url).set("verify", "yes").succeeds();
    assert_eq!(outcome.verified(), "yes");
    assert_eq!(outcome.paths_at_apple(), ["bundleIds?limit=1"]);
}

#[test]
fn verify_no_makes_no_request() {
    let outcome = with_behaviours(vec![]).set("verify", "no").succeeds();
    assert_eq!(outcome.verified(), "no");
    assert!(outcome.requests_to_apple().is_empty());
    assert_eq!(outcome.warnings(), Vec::<String>::new());
}

#[test]
fn a_key_that_apple_refuses_is_an_error_after_four_attempts() {
    // The account has another key with this ID, so the signature of the token is wrong.
    let other = stand_in::keys::P256::generate().unwrap();
    let account = account_of(&other, CONNECTED_KEY_ID, Some(CONNECTED_ISSUER), vec![]);
    let outcome = with_account(account).fails();
    assert_run("refused_by_apple", &outcome);
    assert_eq!(outcome.requests_to_apple().len(), 4);
}

/// Apple sometimes returns 401 for valid keys.
#[test]
fn a_401_does_not_reject_a_key_after_another_failure_or_after_apple_accepted_the_key() {
    let stray_401 = || unauthorized().forever();
    let role_error = ("FORBIDDEN_ERROR", "title", "The API key in use does not allow this request");
    let after = |first| with_behaviours(vec![first, stray_401()]);
    let many_apps: Vec<_> = (0..201).map(|number| format!("com.example.app{number}")).collect();
    let team = Team::with_apps(many_apps.iter().map(String::as_str));
    let two_pages =
        Step::new().connected(&api_key()).verified_by_team(account(vec![Behaviour::Ok, stray_401()]), team);
    let rows = [
        ("after 503", with_behaviours(vec![busy(503), busy(503), busy(503), unauthorized()])),
        ("after a broken connection", after(Behaviour::ResetBeforeAnswer)),
        ("after a successful request", after(Behaviour::Ok).set("required_access", "admin")),
        ("after a 403", after(Behaviour::apple_errors(403, [role_error])).set("required_access", "admin")),
        ("after the first page", two_pages.set("bundle_id", "com.example.app")),
    ];
    let messages = in_parallel(rows, |(what, step)| (what, warning(&step.run_in_process())));
    assert_messages("verification/stray_401", messages);
}

#[test]
fn the_error_says_how_far_the_clock_is_off() {
    let step = |clock_skew_seconds| {
        with_account(Account { clock_skew_seconds, ..account(vec![unauthorized().forever()]) })
    };
    let rows = [
        ("this machine is five minutes ahead", -300),
        ("this machine is more than an hour behind", 4000),
        ("this machine is half a minute ahead, which Apple tolerates", -30),
    ];
    assert_messages("verification/clock", errors_of(rows.map(|(what, skew)| (what, step(skew)))));
}

#[test]
fn without_a_verdict_from_apple_the_build_continues_with_a_warning() {
    let retry_at_once = [("Retry-After", "0")];
    let redirect = Behaviour::Redirect { code: 302, to: "https://apple.invalid/".to_owned() };
    let rows = [
        ("429", status(429, &retry_at_once).forever()),
        ("a long Retry-After", status(429, &[("Retry-After", "60")]).forever()),
        ("500", status(500, &retry_at_once).forever()),
        ("503", status(503, &retry_at_once).forever()),
        ("a redirect", redirect),
        ("HTML", Behaviour::Html),
        ("JSON that is not from Apple", Behaviour::Body(b"{\"status\":\"ok\"}".to_vec())),
        ("an empty body", Behaviour::EmptyBody),
        ("a 401 from a proxy", status(401, &[])),
        ("a 403 from a proxy", status(403, &[])),
        ("a 404", status(404, &[])),
    ];
    let messages =
        in_parallel(rows, |(what, behaviour)| (what, warning(&with_behaviours(vec![behaviour]).succeeds())));
    assert_messages("verification/not_verified", messages);
}

/// The unit tests of `apple::app_store_connect` and `apple::olympus` cover every response format.
#[test]
fn json_that_is_not_from_apple_neither_verifies_nor_rejects_a_credential() {
    let blocked = json!({"errors": [{"code": "BLOCKED"}]});
    let list = json!({"data": [], "links": {"self": "x"}}).to_string();
    let session = json!({"provider": {"providerId": 7, "name": "x"}}).to_string();
    let behaviours = [
        Behaviour::json(200, &json!({"message": "Blocked by policy"})),
        Behaviour::json(401, &blocked),
        Behaviour::json(403, &blocked),
        Behaviour::apple_errors(401, [("FORBIDDEN", "title", "detail")]),
        Behaviour::apple_errors(403, [("RATE_LIMIT_EXCEEDED", "title", "detail")]),
        Behaviour::response(200, "text/html", list),
        Behaviour::response(200, "text/html", session),
    ];
    for behaviour in behaviours.map(Behaviour::forever) {
        for step in
            [with_behaviours(vec![behaviour.clone()]), with_session(website_session(vec![behaviour.clone()]))]
        {
            let line = warning(&step.succeeds());
            assert!(line.contains("is not in Apple's format"), "{behaviour:?}: {line}");
        }
    }
    let strict = with_session(website_session(vec![Behaviour::json(401, &blocked)]));
    assert_messages("verification/foreign_strict", [("401", strict.set("verify", "strict").fails().error())]);
}

/// The last warning of a run, whose credential must not be verified.
fn warning(outcome: &Outcome) -> String {
    assert_eq!(outcome.verified(), "no");
    outcome.warnings().pop().expect("a warning")
}

#[test]
fn a_broken_connection_is_retried() {
    let outcome = with_behaviours(vec![Behaviour::ResetBeforeAnswer, Behaviour::ResetMidBody, Behaviour::Ok])
        .succeeds();
    assert_eq!(outcome.verified(), "yes");
}

#[test]
fn an_unreachable_or_untrusted_server_causes_a_warning() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let untrusted = stand_in::StandIn::start_tls(stand_in::Certificate::SelfSigned).unwrap();
    let rows = [("unreachable", format!("http://{closed}")), ("untrusted", untrusted.origin().to_owned())];
    let messages = in_parallel(rows, |(what, url)| {
        (what, warning(&with_behaviours(vec![]).with_apple_url(&url).succeeds()))
    });
    assert_messages("verification/not_reached", messages);
}

#[test]
fn the_token_is_not_in_the_log() {
    let outcome = with_behaviours(vec![]).set("verbose_log", "yes").succeeds();
    let bearer = outcome.requests_to_apple()[0].header("authorization").unwrap().to_owned();
    let token = bearer.strip_prefix("Bearer ").unwrap();
    for part in token.split('.') {
        assert!(!outcome.stdout.contains(part));
    }
}

#[test]
fn the_urls_of_apples_services_must_use_https() {
    let mut rows = Vec::new();
    for input in ["app_store_connect_url", "app_store_connect_enterprise_url", "apple_session_url"] {
        for url in ["http://example.com", "ftp://example.com", "no url", ""] {
            let step = Step::new().set("verify", "yes").set(input, url);
            rows.push((format!("{input} is {url:?}"), step));
            let not_used = Step::new().set(input, url).set("if_missing", "skip").run();
            assert_eq!(not_used.code, Some(0), "an unused URL is not checked");
        }
    }
    assert_messages("verification/urls", errors_of(rows));
}

// --- Session

fn with_session(session: Session) -> Step {
    Step::new().connected(&connected_session()).verified_by_session(session)
}

fn with_pasted_session(session: Session) -> Step {
    let step = Step::new().set("apple_id", CONNECTED_APPLE_ID).set("fastlane_session", pasted_session());
    step.verified_by_session(session)
}

/// The stand-in refuses a request that also has cookies for other hosts.
#[test]
fn a_session_is_verified_with_only_the_cookies_for_the_host() {
    for step in [with_session(website_session(vec![])), with_pasted_session(website_session(vec![]))] {
        let outcome = step.succeeds();
        assert_eq!(outcome.verified(), "yes");
        assert_eq!(outcome.paths_at_apple(), ["session"]);
    }
}

/// Apple's website, which expects a different session and refuses the run's.
fn refusing_website(refusal: SessionRefusal) -> Session {
    let cookies = [("myacinfo".to_owned(), "of-another-session".to_owned())].into();
    Session { cookies, refusal, ..Session::default() }
}

#[test]
fn a_session_that_apple_refuses_is_an_error_that_says_how_to_renew_it() {
    let refusals = [
        ("401 in plain text", refusing_website(SessionRefusal::Unauthenticated)),
        ("401 in JSON", refusing_website(SessionRefusal::UnauthorizedJson)),
        ("no provider", Session { provider: None, ..website_session(vec![]) }),
    ];
    let connected = refusals.clone().map(|(what, session)| (what, with_session(session).fails().error()));
    assert_messages("verification/connected_session", connected);
    let pasted = refusals.map(|(what, session)| (what, with_pasted_session(session).fails().error()));
    assert_messages("verification/pasted_session", pasted);
}

fn proxy_response(code: u16) -> Behaviour {
    let body = "<html><head><title>Unauthenticated</title></head><body>Request ID: 1</body></html>";
    Behaviour::Status { code, headers: vec![], body: body.to_owned() }
}

#[test]
fn a_response_that_does_not_prove_a_session_invalid_causes_a_warning() {
    let forbidden = |detail| Behaviour::apple_errors(403, [("FORBIDDEN_ERROR", "title", detail)]);
    let agreement = "The Account Holder must agree to the latest Program License Agreement.";
    let rows = [
        ("an expired membership", forbidden("Your team's membership has expired.")),
        ("a missing agreement", forbidden(agreement)),
        ("500", status(500, &[("Retry-After", "0")]).forever()),
        ("HTML", Behaviour::Html),
        ("404", status(404, &[])),
        ("an empty body", Behaviour::EmptyBody),
        ("a 401 without a body", status(401, &[])),
        ("a 403 without a body", status(403, &[])),
        ("a 401 from a proxy", proxy_response(401)),
        ("a 403 from a proxy", proxy_response(403)),
        ("a 407 from a proxy", proxy_response(407)),
    ];
    let rows = rows.map(|(what, response)| (what, website_session(vec![response])));
    let rows = rows.into_iter().chain([("403 in JSON", refusing_website(SessionRefusal::ForbiddenJson))]);
    let messages =
        in_parallel(rows, |(what, session)| (what, warning(&with_session(session).run_in_process())));
    assert_messages("verification/session_not_verified", messages);
}

#[test]
fn an_apple_id_without_cookies_for_apple_is_not_verified() {
    let no_session =
        Step::new().set("apple_id", "jane@example.com").set("app_password", "cana-ryap-ppas-swrd");
    let with_cookies_of_another_host = Step::new().connected(&apple_id());
    let rows = [("no session", no_session), ("no cookies for Apple's host", with_cookies_of_another_host)];
    let messages = rows.map(|(what, step)| {
        let outcome = step.set("verify", "yes").succeeds();
        assert!(outcome.requests_to_apple().is_empty());
        (what, warning(&outcome))
    });
    assert_messages("verification/no_cookies", messages);
}

#[test]
fn a_session_that_ends_soon_causes_a_warning() {
    let ending = |days| merge([apple_id(), json!({"connection_expiry_date": in_days(days)})]);
    let step = |days| Step::new().connected(&ending(days)).set("export_for", "fastlane");
    for quiet in [
        step(8),
        step(4).set("session_expiry_warning_days", "3"),
        step(1).set("session_expiry_warning_days", "0"),
    ] {
        assert_eq!(quiet.succeeds().warnings(), Vec::<String>::new());
    }
    let warned = [
        ("in 7 days", step(7)),
        ("in 3 days, session_expiry_warning_days is 3", step(3).set("session_expiry_warning_days", "3")),
    ];
    let mut messages =
        warned.map(|(what, step)| (what.to_owned(), step.succeeds().warnings().join("\n"))).to_vec();
    for wrong in ["-1", "x", "1.5", ""] {
        let error = Step::new().set("session_expiry_warning_days", wrong).fails().error();
        messages.push((format!("session_expiry_warning_days is {wrong:?}"), error));
    }
    assert_messages("verification/session_ends_soon", messages);
}

#[test]
fn apple_receives_cookies_or_a_five_minute_token_and_never_the_key_or_a_password() {
    let key = with_behaviours(vec![]).succeeds();
    let session = with_session(website_session(vec![])).succeeds();
    for outcome in [&key, &session] {
        let sent = format!("{:?}", outcome.requests_to_apple());
        for secret in [CONNECTED_KEY.private_pem.as_str(), CONNECTED_PASSWORD, CONNECTED_APP_PASSWORD] {
            assert_eq!(find_leak(&sent, secret), None, "{sent}");
        }
    }
    assert!(session.requests_to_apple()[0].header("authorization").is_none());
    let bearer = key.requests_to_apple()[0].header("authorization").unwrap();
    let left = claims(bearer)["exp"].as_i64().unwrap() - time::OffsetDateTime::now_utc().unix_timestamp();
    assert!((240..=300).contains(&left), "the token expires in {left} s");
}

#[test]
fn a_response_from_apple_that_is_too_large_does_not_verify_a_key() {
    let page = json!({"data": [], "links": {"self": "x"}}).to_string();
    for (padding, verified) in [(0, "yes"), (5 << 20, "no")] {
        let body = format!("{page}{}", " ".repeat(padding));
        let outcome =
            with_behaviours(vec![Behaviour::response(200, "application/json", body)]).run_in_process();
        assert_eq!(outcome.verified(), verified);
    }
}
