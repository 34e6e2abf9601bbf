//! The right rights: what the key may do, what is missing for it to be verified, and what
//! `verify: strict` makes of that.

use serde_json::json;
use stand_in::{Account, Behaviour, Role, Service, Team};
use test_support::snapshots::{assert_run, assert_sentences};
use test_support::{
    INPUT_KEY, INPUT_KEY_ID, Outcome, SERVER, Step, account, account_of, api_key, busy, connected_session,
    logged_in, pem, status,
};

const BUNDLE_ID: &str = "com.example.app";

fn with(account: Account, team: Team) -> Step {
    Step::new().connected(&api_key()).verified_by_team(account, team)
}

fn with_team(team: Team) -> Step {
    with(account(vec![]), team)
}

fn with_answers(behaviours: Vec<Behaviour>) -> Step {
    with(account(behaviours), Team::with_apps([BUNDLE_ID]))
}

fn apple_error(http: u16, code: &str, detail: &str) -> Behaviour {
    let error = json!({"status": http.to_string(), "code": code, "title": "t", "detail": detail});
    Behaviour::Status { code: http, headers: vec![], body: json!({"errors": [error]}).to_string() }
}

fn verified(outcome: &Outcome) -> String {
    outcome.expect("APPLE_AUTH_VERIFIED")
}

fn paths(outcome: &Outcome) -> Vec<&str> {
    let of_apple = |request: &&stand_in::Request| request.service == Service::AppStoreConnect;
    outcome
        .requests
        .iter()
        .filter(of_apple)
        .map(|request| request.target.split("/v1/").nth(1).unwrap())
        .collect()
}

// --- required_access

#[test]
fn access_that_the_key_has_is_asked_for_by_one_request_each_and_not_more_is_claimed() {
    let outcome = with_team(Team::default()).set("required_access", "admin,\n provisioning").passes();
    assert_eq!(verified(&outcome), "yes");
    assert_eq!(paths(&outcome), ["apps?limit=1", "certificates?limit=1", "users?limit=1"]);
    assert_run("access", &outcome);
}

#[test]
fn access_that_the_key_lacks_is_an_error_that_names_the_role_and_where_to_give_it() {
    let run = |role, provisioning, required: &str| {
        with_team(Team { role, provisioning, ..Team::default() }).set("required_access", required).fails()
    };
    let said = [
        ("a Developer's key without provisioning", run(Role::Developer, false, "provisioning")),
        ("an App Manager's key, asked for admin", run(Role::AppManager, true, "admin")),
    ];
    assert_sentences("rights/denied", said);
    let long = || vec![Behaviour::Ok, apple_error(403, "FORBIDDEN_ERROR", &"words ".repeat(100))];
    for required in ["provisioning", "admin"] {
        assert!(with_answers(long()).set("required_access", required).fails().contains("words"));
    }
    let enough = with_team(Team { role: Role::Developer, ..Team::default() });
    assert_eq!(verified(&enough.set("required_access", "provisioning").passes()), "yes");
}

#[test]
fn an_individual_key_cannot_provision_and_nobody_is_asked() {
    let step = |required: &str| {
        let step = Step::new().set_all([
            ("api_key_path", pem()),
            ("api_key_id", INPUT_KEY_ID),
            ("api_key_type", "individual"),
            ("required_access", required),
        ]);
        step.secret(pem()).verified_by(account_of(&INPUT_KEY, INPUT_KEY_ID, None, vec![]))
    };
    let outcome = step("provisioning").run();
    outcome.check_failure();
    assert!(paths(&outcome).is_empty());
    assert_sentences("rights/individual_key", [("provisioning", outcome.error())]);
    assert_eq!(verified(&step("admin").passes()), "yes", "an Admin's own key");
}

#[test]
fn what_is_no_access_is_a_problem_with_the_inputs() {
    let error = with_team(Team::default()).set("required_access", "provisioning, owner").fails();
    assert_sentences("rights/unknown", [("owner", error)]);
}

#[test]
fn access_that_nobody_answers_for_leaves_the_key_unverified() {
    let later = vec![Behaviour::Ok, status(404, &[])];
    let outcome = with_answers(later).set("required_access", "provisioning,admin").passes();
    assert_eq!(verified(&outcome), "no");
    assert_eq!(paths(&outcome).len(), 2, "the next would not be answered either");
    assert_sentences("rights/not_answered", [("404", outcome.warnings().join("\n"))]);
}

#[test]
fn a_stray_401_between_two_questions_is_not_believed() {
    let stray = apple_error(401, "NOT_AUTHORIZED", "d");
    let outcome = with_answers(vec![Behaviour::Ok, stray.clone(), stray, Behaviour::Ok, Behaviour::Ok]);
    let outcome = outcome.set("required_access", "provisioning,admin").passes();
    assert_eq!(verified(&outcome), "yes");
    assert_eq!(paths(&outcome).len(), 5);
}

#[test]
fn several_questions_together_end_within_the_20_seconds() {
    let slow = Behaviour::StallBeforeHeader(std::time::Duration::from_secs(9));
    let outcome = with_answers(vec![slow.clone(), slow.clone(), slow]);
    let outcome = outcome.set("required_access", "provisioning,admin").passes();
    assert_eq!(verified(&outcome), "no");
    assert!(outcome.took.as_secs() < 25, "{:?}", outcome.took);
}

// --- Agreements, and other answers with 403

#[test]
fn with_an_agreement_missing_the_key_is_not_verified() {
    let step = || with_team(Team { agreement_missing: true, ..Team::with_apps([BUNDLE_ID]) });
    let rows = [
        ("the key alone", step()),
        ("with bundle_id", step().set("bundle_id", BUNDLE_ID)),
        ("with required_access", step().set("required_access", "admin")),
    ];
    let said = rows.map(|(what, step)| {
        let outcome = step.passes();
        assert_eq!(verified(&outcome), "no");
        assert_eq!(paths(&outcome).len(), 1, "every question would be answered so");
        (what, outcome.warnings().join("\n"))
    });
    assert_sentences("rights/agreement", said);
    let other = apple_error(403, "FORBIDDEN.REQUIRED_AGREEMENTS_OF_SOME_NEW_KIND", "d");
    assert_eq!(verified(&with_answers(vec![other]).passes()), "no");
}

#[test]
fn a_key_that_may_not_list_apps_is_verified_with_apples_own_words() {
    let outcome = with_team(Team { role: Role::AccessToReports, ..Team::default() }).passes();
    assert_eq!(verified(&outcome), "yes");
    assert_run("role_too_low", &outcome);
}

#[test]
fn a_key_that_may_not_list_apps_is_not_verified_for_one() {
    let team = Team { role: Role::AccessToReports, ..Team::with_apps([BUNDLE_ID]) };
    let outcome = with_team(team).set("bundle_id", BUNDLE_ID).passes();
    assert_eq!(verified(&outcome), "no");
    assert_sentences("rights/apps_hidden", [("FORBIDDEN_ERROR", outcome.warnings().join("\n"))]);
}

#[test]
fn any_other_403_is_a_warning_with_apples_code_and_detail_and_not_verified() {
    let long = "word ".repeat(100);
    let rows = [
        ("another code", "FORBIDDEN.SOMETHING", "This is forbidden."),
        ("a code that only begins so", "FORBIDDEN_ERROR.OTHER", "This is forbidden."),
        ("a long detail", "FORBIDDEN", long.as_str()),
        ("a detail with a colour", "FORBIDDEN", "a\u{1b}[31;1mred\nline"),
        ("a detail that looks like a key", "FORBIDDEN", "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9"),
    ];
    let said = rows.map(|(what, code, detail)| {
        let outcome = with_answers(vec![apple_error(403, code, detail)]).passes();
        assert_eq!(verified(&outcome), "no", "{what}");
        (what, outcome.warnings().join("\n"))
    });
    assert_sentences("rights/forbidden", said);
}

// --- verify: strict

#[test]
fn strict_makes_an_error_of_every_way_to_be_unverified() {
    let agreement = with_team(Team { agreement_missing: true, ..Team::default() });
    let session = || Step::new().connected(&connected_session()).verified_by_session(logged_in(vec![]));
    let hidden = Team { role: Role::AccessToReports, ..Team::default() };
    let rows = [
        ("an agreement is missing", agreement),
        ("an odd 403", with_answers(vec![apple_error(403, "FORBIDDEN.SOMETHING", "This is forbidden.")])),
        ("a long detail", with_answers(vec![apple_error(403, "FORBIDDEN", &"words ".repeat(100))])),
        ("an outage", with_answers(vec![busy(503).forever()])),
        ("not Apple's answer", with_answers(vec![Behaviour::Html])),
        ("the app cannot be asked for", with_team(hidden).set("bundle_id", BUNDLE_ID)),
        ("a session and bundle_id", session().set("bundle_id", BUNDLE_ID)),
        ("no session", Step::new().with_apple_id_inputs()),
        ("no session and bundle_id", Step::new().with_apple_id_inputs().set("bundle_id", BUNDLE_ID)),
    ];
    let said = rows.map(|(what, step)| {
        let outcome = step.set("verify", "strict").run();
        outcome.check_failure();
        (what, outcome.blocks("31;1").join("\n"))
    });
    assert_sentences("rights/strict", said);
}

#[test]
fn strict_passes_what_is_verified() {
    let step = with_team(Team::with_apps([BUNDLE_ID])).set_all([
        ("verify", "strict"),
        ("bundle_id", BUNDLE_ID),
        ("required_access", "admin,provisioning"),
    ]);
    assert_eq!(verified(&step.passes()), "yes");
    let session = Step::new().connected(&connected_session()).verified_by_session(logged_in(vec![]));
    assert_eq!(verified(&session.set("verify", "strict").passes()), "yes");
}

#[test]
fn where_there_is_no_credential_strict_leaves_it_to_if_missing() {
    let outcome = Step::new().set("verify", "strict").set("if_missing", "skip").passes();
    assert_eq!((verified(&outcome), outcome.expect("APPLE_AUTH_METHOD")), ("no".into(), "none".into()));
}

// --- Rate limit, and what it costs

#[test]
fn a_rate_limit_that_is_nearly_used_up_is_a_warning() {
    let run = |requests_left| with_team(Team { requests_left, ..Team::default() }).passes();
    assert_eq!(run(175).warnings(), Vec::<String>::new());
    let outcome = run(174);
    assert_eq!(verified(&outcome), "yes");
    assert_sentences("rights/rate_limit", [("174 of 3500", outcome.warnings().join("\n"))]);
}

#[test]
fn the_questions_of_one_run_share_one_connection() {
    let step = with_answers(vec![]).set("required_access", "provisioning,admin").set("bundle_id", BUNDLE_ID);
    let name = step.scenario().to_owned();
    let outcome = step.passes();
    assert_eq!(paths(&outcome).len(), 3);
    assert_eq!(SERVER.connections_for(&name), 1);
}
