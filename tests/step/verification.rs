//! What Apple is asked, and what each of its answers means for the build.

use serde_json::json;
use stand_in::{Account, Behaviour, Provider, Service, Session, SessionRefusal};

use test_support::snapshots::{assert_run, assert_sentences};
use test_support::{
    CONNECTED_APPLE_ID, CONNECTED_ISSUER, CONNECTED_KEY_ID, Outcome, SERVER, Step, account, account_of, all,
    all_fail, api_key, apple_id, at_once, connected_session, in_days, logged_in, pasted_session, status,
};

fn with_account(account: Account) -> Step {
    Step::new().connected(&api_key()).verified_by(account)
}

fn with_answers(behaviours: Vec<Behaviour>) -> Step {
    with_account(account(behaviours))
}

/// Apple's error document with this code.
fn apple_error(http: u16, code: &str) -> Behaviour {
    let body = json!({"errors": [{"status": http.to_string(), "code": code, "title": "t", "detail": "d"}]});
    Behaviour::Status { code: http, headers: vec![], body: body.to_string() }
}

fn unauthorized() -> Behaviour {
    apple_error(401, "NOT_AUTHORIZED")
}

#[track_caller]
fn assert_verified(outcome: &Outcome, verified: &str) {
    assert_eq!(outcome.expect("APPLE_AUTH_VERIFIED"), verified, "{}", outcome.stdout);
}

fn questions(outcome: &Outcome) -> Vec<&stand_in::Request> {
    let asked = |request: &&stand_in::Request| {
        matches!(request.service, Service::AppStoreConnect | Service::AppleSession)
    };
    outcome.requests.iter().filter(asked).collect()
}

// --- API key

#[test]
fn a_key_that_apple_accepts_is_verified_by_one_request_for_one_app() {
    let outcome = with_answers(vec![]).passes();
    assert_verified(&outcome, "yes");
    let asked = questions(&outcome);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].verdict.is_ok() && asked[0].target.ends_with("/v1/apps?limit=1"), "{asked:?}");
}

#[test]
fn an_enterprise_key_is_verified_at_the_enterprise_api_by_bundle_ids() {
    let step = Step::new().connected(&all([api_key(), json!({"is_enterprise_account": true})]));
    let url = SERVER.app_store_connect(step.scenario(), Account { enterprise: true, ..account(vec![]) });
    let outcome = step.set("app_store_connect_enterprise_url", url).set("verify", "yes").passes();
    assert_verified(&outcome, "yes");
    assert!(questions(&outcome)[0].target.ends_with("/v1/bundleIds?limit=1"));
}

#[test]
fn verify_no_asks_nobody() {
    let outcome = with_answers(vec![]).set("verify", "no").passes();
    assert_verified(&outcome, "no");
    assert!(questions(&outcome).is_empty());
    assert_eq!(outcome.warnings(), Vec::<String>::new());
}

#[test]
fn a_key_that_apple_refuses_fails_after_four_tries_with_fresh_tokens_and_says_what_to_check() {
    // The account knows another key by this ID: its signature is wrong, which is found by checking it.
    let other = stand_in::keys::P256::generate().unwrap();
    let account = account_of(&other, CONNECTED_KEY_ID, Some(CONNECTED_ISSUER), vec![]);
    let outcome = with_account(account).run();
    outcome.check_failure();
    assert_run("refused_by_apple", &outcome);
    assert_eq!(questions(&outcome).len(), 4);
}

#[test]
fn a_401_at_random_is_not_believed() {
    let outcome = with_answers(vec![unauthorized(), unauthorized(), Behaviour::Ok]).passes();
    assert_verified(&outcome, "yes");
    assert_eq!(questions(&outcome).len(), 3);
}

#[test]
fn a_clock_that_is_off_is_said_first_with_the_difference() {
    let step = |clock_skew_seconds| {
        let account = Account { clock_skew_seconds, ..account(vec![unauthorized().forever()]) };
        with_account(account)
    };
    let rows = [
        ("five minutes ahead", -300),
        ("more than an hour behind", 4000),
        ("half a minute ahead, which is no reason", -30),
    ];
    assert_sentences("verification/clock", all_fail(rows.map(|(what, skew)| (what, step(skew)))));
}

#[test]
fn when_apple_cannot_be_asked_the_build_goes_on_with_a_warning() {
    let zero = [("Retry-After", "0")];
    let redirect = Behaviour::Redirect { code: 302, to: "https://apple.invalid/".to_owned() };
    let rows = [
        ("429", status(429, &zero).forever()),
        ("a long Retry-After", status(429, &[("Retry-After", "60")]).forever()),
        ("500", status(500, &zero).forever()),
        ("503", status(503, &zero).forever()),
        ("a redirect", redirect),
        ("HTML", Behaviour::Html),
        ("other JSON", Behaviour::Body(b"{\"status\":\"ok\"}".to_vec())),
        ("an empty body", Behaviour::EmptyBody),
        ("a 401 of a proxy", status(401, &[])),
        ("a 403 of a proxy", status(403, &[])),
        ("a 404", status(404, &[])),
    ];
    let said = at_once(rows, |(what, behaviour)| (what, warning(&with_answers(vec![behaviour]).passes())));
    assert_sentences("verification/not_verified", said);
}

/// The last warning of a run whose credential is not verified.
fn warning(outcome: &Outcome) -> String {
    assert_verified(outcome, "no");
    outcome.warnings().pop().expect("a warning")
}

#[test]
fn a_connection_that_breaks_is_tried_again() {
    let outcome =
        with_answers(vec![Behaviour::ResetBeforeAnswer, Behaviour::ResetMidBody, Behaviour::Ok]).passes();
    assert_verified(&outcome, "yes");
}

#[test]
fn a_pause_that_apple_asks_for_is_kept_when_it_is_short() {
    let outcome = with_answers(vec![status(429, &[("Retry-After", "1")]), Behaviour::Ok]).passes();
    assert_verified(&outcome, "yes");
    let at: Vec<_> = questions(&outcome).iter().map(|request| request.at_millis).collect();
    assert!(at[1] - at[0] >= 1000, "{at:?}");
}

#[test]
fn nobody_there_and_no_trust_are_warnings_too() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let untrusted = stand_in::StandIn::start_tls(stand_in::Certificate::SelfSigned).unwrap();
    let rows = [("nobody there", format!("http://{closed}")), ("no trust", untrusted.origin().to_owned())];
    let said = at_once(rows, |(what, url)| (what, warning(&with_answers(vec![]).asks_at(&url).passes())));
    assert_sentences("verification/not_reached", said);
}

#[test]
fn the_token_shows_nowhere_in_the_log() {
    let outcome = with_answers(vec![]).set("verbose_log", "yes").passes();
    let bearer = questions(&outcome)[0].header("authorization").unwrap().to_owned();
    let token = bearer.strip_prefix("Bearer ").unwrap();
    for part in token.split('.') {
        assert!(!outcome.stdout.contains(part));
    }
}

#[test]
fn urls_of_apples_services_must_not_send_secrets_in_the_clear() {
    let mut rows = Vec::new();
    for input in ["app_store_connect_url", "app_store_connect_enterprise_url", "apple_session_url"] {
        for url in ["http://example.com", "ftp://example.com", "no url", ""] {
            let step = Step::new().set("verify", "yes").set(input, url);
            rows.push((format!("{input} is {url:?}"), step));
            let not_used = Step::new().set(input, url).set("if_missing", "skip").run();
            assert_eq!(not_used.code, Some(0), "not used, not checked");
        }
    }
    assert_sentences("verification/urls", all_fail(rows));
}

// --- Session

fn with_session(session: Session) -> Step {
    Step::new().connected(&connected_session()).verified_by_session(session)
}

fn with_pasted_session(session: Session) -> Step {
    let step = Step::new().set("apple_id", CONNECTED_APPLE_ID).set("fastlane_session", pasted_session());
    step.verified_by_session(session)
}

#[test]
fn a_session_that_apple_accepts_is_verified_with_exactly_the_cookies_of_that_host() {
    for step in [with_session(logged_in(vec![])), with_pasted_session(logged_in(vec![]))] {
        let outcome = step.passes();
        assert_verified(&outcome, "yes");
        let asked = questions(&outcome);
        assert!(asked[0].verdict.is_ok() && asked[0].target.ends_with("/olympus/v1/session"), "{asked:?}");
    }
}

#[test]
fn the_log_names_no_team_to_choose_where_there_is_one() {
    let team = Provider { provider_id: 7, name: "Example Ltd".to_owned() };
    let providers = vec![team.clone()];
    let session = Session { provider: Some(team), available_providers: providers, ..logged_in(vec![]) };
    assert_run("one_team", &with_session(session).passes());
}

/// Apple's website, which knows another session than the one that is asked about.
fn refusing(refusal: SessionRefusal) -> Session {
    let cookies = [("myacinfo".to_owned(), "of-another-session".to_owned())].into();
    Session { cookies, refusal, ..Session::default() }
}

#[test]
fn a_session_that_apple_refuses_fails_with_the_way_to_a_new_one() {
    let refusals = [
        ("401 in plain text", refusing(SessionRefusal::Unauthenticated)),
        ("401 in JSON", refusing(SessionRefusal::UnauthorizedJson)),
        ("403 in JSON", refusing(SessionRefusal::ForbiddenJson)),
        ("no provider", Session { provider: None, ..logged_in(vec![]) }),
    ];
    let connected = refusals.clone().map(|(what, session)| (what, with_session(session).fails()));
    assert_sentences("verification/connected_session", connected);
    let pasted = refusals.map(|(what, session)| (what, with_pasted_session(session).fails()));
    assert_sentences("verification/pasted_session", pasted);
}

fn of_a_proxy(code: u16) -> Behaviour {
    let body = "<html><head><title>Unauthenticated</title></head><body>Request ID: 1</body></html>";
    Behaviour::Status { code, headers: vec![], body: body.to_owned() }
}

#[test]
fn other_answers_about_a_session_are_warnings() {
    let rows = [
        ("500", status(500, &[("Retry-After", "0")]).forever()),
        ("HTML", Behaviour::Html),
        ("404", status(404, &[])),
        ("an empty body", Behaviour::EmptyBody),
        ("a 401 without a body", status(401, &[])),
        ("a 403 without a body", status(403, &[])),
        ("a 401 of a proxy", of_a_proxy(401)),
        ("a 403 of a proxy", of_a_proxy(403)),
        ("a 407 of a proxy", of_a_proxy(407)),
    ];
    let said = rows.map(|(what, answer)| (what, warning(&with_session(logged_in(vec![answer])).passes())));
    assert_sentences("verification/session_not_verified", said);
}

#[test]
fn an_apple_id_without_cookies_for_apple_cannot_be_asked_about() {
    let without = Step::new().set("apple_id", "jane@example.com").set("app_password", "cana-ryap-ppas-swrd");
    let of_another_host = Step::new().connected(&apple_id());
    let rows = [("no session", without), ("no cookie for that host", of_another_host)];
    let said = rows.map(|(what, step)| {
        let outcome = step.set("verify", "yes").passes();
        assert!(questions(&outcome).is_empty());
        (what, warning(&outcome))
    });
    assert_sentences("verification/nothing_to_ask_with", said);
}

#[test]
fn a_session_that_ends_soon_is_warned_of() {
    let ending = |days| all([apple_id(), json!({"connection_expiry_date": in_days(days)})]);
    let step = |days| Step::new().connected(&ending(days)).set("export_for", "fastlane");
    for quiet in [
        step(8),
        step(4).set("session_expiry_warning_days", "3"),
        step(1).set("session_expiry_warning_days", "0"),
    ] {
        assert_eq!(quiet.passes().warnings(), Vec::<String>::new());
    }
    let loud = [
        ("in 7 days", step(7)),
        ("in 3 days, session_expiry_warning_days is 3", step(3).set("session_expiry_warning_days", "3")),
    ];
    let mut said = loud.map(|(what, step)| (what.to_owned(), step.passes().warnings().join("\n"))).to_vec();
    for wrong in ["-1", "x", "1.5", ""] {
        let error = Step::new().set("session_expiry_warning_days", wrong).fails();
        said.push((format!("session_expiry_warning_days is {wrong:?}"), error));
    }
    assert_sentences("verification/session_ends_soon", said);
}
