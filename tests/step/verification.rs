//! What Apple is asked, and what each of its answers means for the build.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use stand_in::{Account, Behaviour, Provider, PublicKey, Service, Session};

use test_support::{
    CONNECTED_ISSUER, CONNECTED_KEY, CONNECTED_KEY_ID, Outcome, SERVER, Step, all, api_key, apple_id,
    in_days, spaceauth, status,
};

fn account(behaviours: Vec<Behaviour>) -> Account {
    Account {
        public_key: PublicKey::from_spki_pem(&CONNECTED_KEY.public_pem).unwrap(),
        key_id: CONNECTED_KEY_ID.to_owned(),
        issuer_id: Some(CONNECTED_ISSUER.to_owned()),
        enterprise: false,
        clock_skew_seconds: 0,
        behaviours,
    }
}

/// A connected API key, and an account that answers for it.
fn with_account(account: Account) -> Step {
    let step = Step::new().connected(&api_key());
    let url = SERVER.app_store_connect(step.scenario(), account);
    step.asks_at(&url).set("verify", "yes")
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
    assert!(outcome.done().contains(&"Apple accepted it.".to_owned()));
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
    let account =
        Account { public_key: PublicKey::from_spki_pem(&other.public_pem).unwrap(), ..account(vec![]) };
    let outcome = with_account(account).run();
    outcome.check_failure();
    let error = outcome.error();
    assert!(
        error.starts_with(&format!(
            "Apple refused the API key {CONNECTED_KEY_ID} with the issuer {CONNECTED_ISSUER}"
        )),
        "{error}"
    );
    let causes = ["revoked", "key ID and the private key belong together", "issuer ID", "Enterprise"];
    let places: Vec<_> = causes.iter().map(|cause| error.find(cause).expect(cause)).collect();
    assert!(places.is_sorted(), "the likely causes in order: {error}");
    let asked = questions(&outcome);
    assert_eq!(asked.len(), 4);
}

#[test]
fn a_401_at_random_is_not_believed() {
    let outcome = with_answers(vec![unauthorized(), unauthorized(), Behaviour::Ok]).passes();
    assert_verified(&outcome, "yes");
    assert_eq!(questions(&outcome).len(), 3);
}

#[test]
fn a_clock_that_is_off_is_said_first_with_the_difference() {
    for (skew, expected) in [(-300, "seconds ahead of Apple's"), (4000, "seconds behind Apple's")] {
        let error =
            with_account(Account { clock_skew_seconds: skew, ..account(vec![unauthorized().forever()]) })
                .fails();
        assert!(error.starts_with("This machine's clock is "), "{error}");
        assert!(error.contains(expected) && error.contains("Apple refused the API key"), "{error}");
    }
    let near = Account { clock_skew_seconds: -30, ..account(vec![unauthorized().forever()]) };
    assert!(with_account(near).fails().starts_with("Apple refused"), "half a minute is no reason");
}

#[test]
fn a_missing_agreement_is_verified_with_a_warning_that_says_who_must_accept_it_and_where() {
    let code = "FORBIDDEN.REQUIRED_AGREEMENTS_MISSING_OR_EXPIRED";
    let outcome = with_answers(vec![apple_error(403, code)]).passes();
    assert_verified(&outcome, "yes");
    outcome.warns_of("Account Holder must accept it");
    outcome.warns_of("https://developer.apple.com/account");
}

#[test]
fn a_role_that_is_too_low_is_verified_with_a_note() {
    let outcome = with_answers(vec![apple_error(403, "FORBIDDEN_ERROR")]).passes();
    assert_verified(&outcome, "yes");
    assert!(outcome.stdout.contains("The key's role is too low to list apps"), "{}", outcome.stdout);
    assert_eq!(outcome.warnings(), Vec::<String>::new());
}

#[test]
fn when_apple_cannot_be_asked_the_build_goes_on_with_a_warning() {
    let zero = [("Retry-After", "0")];
    let rows = [
        ("429", vec![status(429, &zero).forever()], "HTTP 429"),
        ("a long Retry-After", vec![status(429, &[("Retry-After", "60")]).forever()], "HTTP 429"),
        ("500", vec![status(500, &zero).forever()], "HTTP 500"),
        ("503", vec![status(503, &zero).forever()], "HTTP 503"),
        (
            "a redirect",
            vec![Behaviour::Redirect { code: 302, to: "https://apple.invalid/".to_owned() }],
            "HTTP 302",
        ),
        ("HTML", vec![Behaviour::Html], "not Apple's"),
        ("other JSON", vec![Behaviour::Body(b"{\"status\":\"ok\"}".to_vec())], "not Apple's"),
        ("an empty body", vec![Behaviour::EmptyBody], "not Apple's"),
        ("a 401 of a proxy", vec![status(401, &[])], "not Apple's"),
        ("a 403 of a proxy", vec![status(403, &[])], "not Apple's"),
        ("a 404", vec![status(404, &[])], "HTTP 404"),
    ];
    for (what, behaviours, sentence) in rows {
        let outcome = with_answers(behaviours).passes();
        assert_verified(&outcome, "no");
        assert!(
            outcome.warnings().iter().any(|warning| {
                warning.starts_with("Not verified, and the build goes on: ") && warning.contains(sentence)
            }),
            "{what}: {:?}",
            outcome.warnings()
        );
    }
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
fn nobody_there_no_trust_and_no_name_are_warnings_too() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let untrusted = stand_in::StandIn::start_tls(stand_in::Certificate::SelfSigned).unwrap();
    for url in [format!("http://{closed}"), untrusted.origin().to_owned()] {
        let outcome = with_answers(vec![]).asks_at(&url).passes();
        assert_verified(&outcome, "no");
        outcome.warns_of("Not verified, and the build goes on: ");
    }
}

#[test]
fn a_stall_ends_after_20_seconds_at_most_and_the_build_goes_on() {
    let began = Instant::now();
    let outcome =
        with_answers(vec![Behaviour::StallBeforeHeader(Duration::from_secs(60)).forever()]).passes();
    assert!(began.elapsed() < Duration::from_secs(22), "{:?}", began.elapsed());
    assert_verified(&outcome, "no");
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
    for input in ["app_store_connect_url", "app_store_connect_enterprise_url", "apple_session_url"] {
        for url in ["http://example.com", "ftp://example.com", "no url", ""] {
            let error = Step::new().set("verify", "yes").set(input, url).fails();
            assert_eq!(
                Step::new().set(input, url).set("if_missing", "skip").run().code,
                Some(0),
                "not used, not checked"
            );
            assert!(error.contains(&format!("`{input}`")) && error.contains("https://"), "{error}");
        }
    }
}

// --- Session

/// A cookie for the stand-in's own host: plain http, so not `secure`.
fn own_cookie(name: &str, value: &str) -> serde_json::Value {
    json!({"name": name, "value": value, "domain": "127.0.0.1", "for_domain": false, "path": "/", "secure": false})
}

fn connected_session() -> serde_json::Value {
    let cookies = json!([own_cookie("myacinfo", "canary-session"), {"name": "DES1", "value": "canary-des", "domain": "idmsa.apple.com"}]);
    all([apple_id(), json!({"session_cookies": {"https://idmsa.apple.com": cookies}})])
}

fn provider(id: u64, name: &str) -> Provider {
    Provider { provider_id: id, name: name.to_owned() }
}

fn logged_in(behaviours: Vec<Behaviour>) -> Session {
    Session {
        cookies: BTreeMap::from([("myacinfo".to_owned(), "canary-session".to_owned())]),
        behaviours,
        ..Session::default()
    }
}

fn with_session(session: Session) -> Step {
    let step = Step::new().connected(&connected_session());
    let url = SERVER.apple_session(step.scenario(), session);
    step.asks_at(&url).set("verify", "yes")
}

fn with_pasted_session(session: Session) -> Step {
    let pasted = spaceauth(&[("myacinfo", "canary-session")])
        .replace("idmsa.apple.com", "127.0.0.1")
        .replace("secure: true", "secure: false");
    let step = Step::new().set("apple_id", "jane@example.com").set("fastlane_session", pasted);
    let url = SERVER.apple_session(step.scenario(), session);
    step.asks_at(&url).set("verify", "yes")
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
fn the_log_names_the_team_and_all_teams_when_there_are_several() {
    let one = Session {
        provider: Some(provider(7, "Example Ltd")),
        available_providers: vec![provider(7, "Example Ltd")],
        ..logged_in(vec![])
    };
    let outcome = with_session(one.clone()).passes();
    assert!(outcome.stdout.contains("- Team: Example Ltd (7)"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("FASTLANE_ITC_TEAM_ID"));
    let two =
        Session { available_providers: vec![provider(7, "Example Ltd"), provider(8, "Other Inc")], ..one };
    let stdout = with_session(two).passes().stdout;
    assert!(stdout.contains("FASTLANE_ITC_TEAM_ID") && stdout.contains("8: Other Inc"), "{stdout}");
}

#[test]
fn a_session_that_apple_refuses_fails_with_the_way_to_a_new_one() {
    let no_provider = Session { provider: None, ..logged_in(vec![]) };
    let refusals = [logged_in(vec![status(401, &[])]), logged_in(vec![status(403, &[])]), no_provider];
    for refusal in refusals {
        let error = with_session(refusal.clone()).fails();
        assert!(
            error.contains("connected Apple ID") && error.contains("re-authenticate the Apple ID on Bitrise"),
            "{error}"
        );
        let error = with_pasted_session(refusal).fails();
        for part in [
            "`fastlane_session`",
            "fastlane spaceauth -u <Apple ID>",
            "Spaceship::UnauthorizedAccessError",
            "SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER",
            "+81-80-1234-5678",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn other_answers_about_a_session_are_warnings() {
    for behaviour in [
        status(500, &[("Retry-After", "0")]).forever(),
        Behaviour::Html,
        status(404, &[]),
        Behaviour::EmptyBody,
    ] {
        let outcome = with_session(logged_in(vec![behaviour])).passes();
        assert_verified(&outcome, "no");
        outcome.warns_of("Not verified, and the build goes on: ");
    }
}

#[test]
fn an_apple_id_without_a_session_cannot_be_asked_about() {
    let step = Step::new().set("apple_id", "jane@example.com").set("app_password", "cana-ryap-ppas-swrd");
    let outcome = step.set("verify", "yes").passes();
    assert_verified(&outcome, "no");
    outcome.warns_of("an Apple ID without a session cannot be checked");
}

#[test]
fn a_session_without_cookies_for_that_host_is_not_asked_about() {
    let outcome = Step::new().connected(&apple_id()).set("verify", "yes").passes();
    assert_verified(&outcome, "no");
    outcome.warns_of("holds no cookie for");
}

#[test]
fn a_session_that_ends_soon_is_warned_of() {
    let ending = |days| all([apple_id(), json!({"connection_expiry_date": in_days(days)})]);
    let step = |days| Step::new().connected(&ending(days)).set("export_for", "fastlane");
    step(7).passes().warns_of("session ends on");
    step(7).passes().warns_of("6 days");
    step(3).set("session_expiry_warning_days", "3").passes().warns_of("session ends on");
    for quiet in [
        step(8),
        step(4).set("session_expiry_warning_days", "3"),
        step(1).set("session_expiry_warning_days", "0"),
    ] {
        assert_eq!(quiet.passes().warnings(), Vec::<String>::new());
    }
    for wrong in ["-1", "x", "1.5", ""] {
        let error = Step::new().set("session_expiry_warning_days", wrong).fails();
        assert!(
            error.contains("`session_expiry_warning_days` is ")
                && error.contains("use a whole number from 0 to"),
            "{error}"
        );
    }
}

// --- The report

fn report(step: Step) -> (Outcome, String) {
    let path = step.path("store/report.md");
    let outcome = step.set("BITRISE_STEP_FORMATTED_OUTPUT_FILE_PATH", &path).run();
    let text = std::fs::read_to_string(&path).unwrap();
    (outcome, text)
}

#[test]
fn the_report_of_a_run_that_passed_shows_credential_verification_and_outputs() {
    let (outcome, text) = report(with_answers(vec![]));
    assert_eq!(outcome.code, Some(0));
    for part in [
        "| Credential | API key, connected on Bitrise |",
        "| Key ID | CONNECTED1 |",
        "| Verified | ✅ yes",
        "| `APPLE_API_KEY_PATH` | Bitrise Steps",
        "| `APP_STORE_CONNECT_API_KEY_PATH` | fastlane |",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn the_report_shows_the_days_left_and_the_warnings_and_no_secret() {
    let connected = all([connected_session(), json!({"connection_expiry_date": in_days(3)})]);
    let (_, text) = report(Step::new().connected(&connected));
    for part in [
        "| Days left | ▓░░░░░░░░░ 2 |",
        "- ⚠️ The Apple ID's session ends on",
        "| `FASTLANE_SESSION` | fastlane |",
        r"c\*\*\*@example.com",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn the_report_of_a_run_that_failed_shows_the_error_with_its_remedy() {
    let (outcome, text) = report(with_answers(vec![unauthorized().forever()]));
    assert_eq!(outcome.code, Some(1));
    assert!(text.contains("❌ **Apple refused the API key"), "{text}");
    assert!(text.contains("| Key ID | CONNECTED1 |") && !text.contains("| Output |"), "{text}");
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning() {
    let step = with_answers(vec![]).set("BITRISE_STEP_FORMATTED_OUTPUT_FILE_PATH", "/nowhere/report.md");
    step.passes().warns_of("The report cannot be written");
}
