//! Access checks, what prevents verification, and `verify: strict`.

use serde_json::json;
use stand_in::{Account, Behaviour, Role, SigningCertificate, Team};
use test_support::snapshots::assert_messages;
use test_support::{
    INPUT_KEY, INPUT_KEY_ID, SERVER, Step, account, account_of, api_key, apple_id, busy, connected_session,
    in_days, merge, status, website_session,
};

const BUNDLE_ID: &str = "com.example.app";

fn with_account_and_team(account: Account, team: Team) -> Step {
    Step::new().connected(&api_key()).verified_by_team(account, team)
}

fn with_team(team: Team) -> Step {
    with_account_and_team(account(vec![]), team)
}

fn with_behaviours(behaviours: Vec<Behaviour>) -> Step {
    with_account_and_team(account(behaviours), Team::with_apps([BUNDLE_ID]))
}

fn apple_error(http: u16, code: &str, detail: &str) -> Behaviour {
    Behaviour::apple_errors(http, [(code, "t", detail)])
}

/// The code, title and detail of Apple's error for a key whose role does not allow the request.
const ROLE_ERROR: (&str, &str, &str) = (
    "FORBIDDEN_ERROR",
    "This request is forbidden for security reasons",
    "The API key in use does not allow this request",
);

/// Apple's newest error for a team that must accept an agreement.
const AGREEMENT_ERROR: (&str, &str, &str) = (
    "FORBIDDEN_ERROR.PLA_NOT_ACCEPTED",
    "Unable to process request - PLA Update available",
    "You currently do not have access to this resource. To resolve this issue, your team's Account Holder, Jane Doe, must agree to the latest Program License Agreement.",
);

/// An error with the code of [`ROLE_ERROR`] that is not about the role.
const EXPIRED_ERROR: (&str, &str, &str) =
    ("FORBIDDEN_ERROR", "Unable to process request", "Your team's membership has expired.");

/// The only request that `required_access: provisioning` adds.
const CERTIFICATES: &str = "certificates?filter[certificateType]=DISTRIBUTION,IOS_DISTRIBUTION\
    &fields[certificates]=certificateType,expirationDate&limit=200";

// --- required_access

#[test]
fn each_required_access_takes_one_request() {
    let dates = [in_days(60), in_days(90)];
    let team = Team::default().with_distribution_certificates(dates.iter().map(String::as_str));
    let outcome = with_team(team).set("required_access", "admin,\n provisioning").succeeds();
    assert_eq!(outcome.verified(), "yes");
    assert_eq!(outcome.paths_at_apple(), ["apps?limit=1", CERTIFICATES, "users?limit=1"]);
    assert_messages("rights/access", [("admin, provisioning", outcome.section("Verifying"))]);
}

#[test]
fn missing_access_is_an_error_that_names_the_role() {
    let error_with = |role, provisioning, required: &str| {
        with_team(Team { role, provisioning, ..Team::default() })
            .set("required_access", required)
            .fails()
            .error()
    };
    let errors = [
        ("a Developer's key without provisioning", error_with(Role::Developer, false, "provisioning")),
        ("an App Manager's key, admin required", error_with(Role::AppManager, true, "admin")),
    ];
    assert_messages("rights/denied", errors);
    let enough = with_team(Team { role: Role::Developer, ..Team::default() });
    assert_eq!(enough.set("required_access", "provisioning").succeeds().verified(), "yes");
}

#[test]
fn only_apples_error_about_the_role_is_reported_as_a_missing_role() {
    let rows = [
        ("the role", [ROLE_ERROR].to_vec()),
        ("a missing agreement", [AGREEMENT_ERROR].to_vec()),
        ("a missing agreement as the second error", [ROLE_ERROR, AGREEMENT_ERROR].to_vec()),
        ("an expired membership", [EXPIRED_ERROR].to_vec()),
        ("an expired membership as the second error", [ROLE_ERROR, EXPIRED_ERROR].to_vec()),
    ];
    let mut messages = Vec::new();
    for (what, errors) in rows {
        for (list, required) in [("v1/certificates", "provisioning"), ("v1/users", "admin")] {
            let response = Behaviour::apple_errors(403, errors.clone());
            let step =
                with_team(Team::default().with_behaviour_at(list, response)).set("required_access", required);
            let outcome = step.run();
            let line = if what == "the role" {
                outcome.assert_failure();
                outcome.error()
            } else {
                assert_eq!(outcome.verified(), "no", "{what}");
                outcome.warnings().join("\n")
            };
            messages.push((format!("{what}, {required}"), line));
        }
    }
    assert_messages("rights/required_access_forbidden", messages);
}

#[test]
fn the_log_counts_distribution_certificates_and_warns_before_the_last_one_expires() {
    let team = |expire_in_days: &[i64]| {
        let dates: Vec<_> = expire_in_days.iter().map(|days| in_days(*days)).collect();
        Team::default().with_distribution_certificates(dates.iter().map(String::as_str))
    };
    let certificate = |certificate_type: &str, expiration_date: Option<String>| SigningCertificate {
        certificate_type: certificate_type.to_owned(),
        expiration_date,
        ..SigningCertificate::default()
    };
    let others = ["DEVELOPMENT", "IOS_DEVELOPMENT", "DEVELOPER_ID_APPLICATION"];
    let others = others.map(|kind| certificate(kind, Some(in_days(300)))).to_vec();
    let in_apples_format = format!("{}.000+0000", &in_days(95)[..19]);
    let ios = certificate("IOS_DISTRIBUTION", Some(in_apples_format));
    let rows = [
        ("none", team(&[])),
        ("only of other types", Team { certificates: others, ..Team::default() }),
        ("one expired", team(&[-10])),
        ("one expires soon", team(&[-10, 30])),
        ("one expires soon, another later", team(&[20, 80])),
        ("an older type", Team { certificates: vec![ios], ..Team::default() }),
        ("without a date", Team { certificates: vec![certificate("DISTRIBUTION", None)], ..Team::default() }),
        ("on two pages", team(&[90; 250])),
    ];
    let messages = rows.map(|(what, team)| {
        let outcome = with_team(team).set("required_access", "provisioning").succeeds();
        assert_eq!(outcome.verified(), "yes");
        assert_eq!(outcome.paths_at_apple().len(), if what == "on two pages" { 3 } else { 2 }, "{what}");
        let line = outcome.stdout.lines().find(|line| line.starts_with("- Distribution")).unwrap();
        (what, [&[line.to_owned()], outcome.warnings().as_slice()].concat().join("\n"))
    });
    assert_messages("rights/certificates", messages);
}

#[test]
fn an_individual_key_cannot_provision_and_apple_gets_no_request() {
    let step = |required: &str| {
        let step = Step::new().with_individual_key_inputs().set("required_access", required);
        step.verified_by(account_of(&INPUT_KEY, INPUT_KEY_ID, None, vec![]))
    };
    let outcome = step("provisioning").fails();
    assert!(outcome.paths_at_apple().is_empty());
    assert_messages("rights/individual_key", [("provisioning", outcome.error())]);
    assert_eq!(step("admin").succeeds().verified(), "yes", "an Admin's own key");
}

#[test]
fn an_unknown_value_in_required_access_is_an_error() {
    let error = with_team(Team::default()).set("required_access", "provisioning, owner").fails().error();
    assert_messages("rights/unknown", [("owner", error)]);
}

#[test]
fn without_a_verdict_on_the_access_the_key_is_not_verified() {
    let responses = vec![Behaviour::Ok, status(404, &[])];
    let outcome = with_behaviours(responses).set("required_access", "provisioning,admin").succeeds();
    assert_eq!(outcome.verified(), "no");
    assert_eq!(outcome.paths_at_apple().len(), 2, "the next request would get no verdict either");
    assert_messages("rights/no_verdict", [("404", outcome.warnings().join("\n"))]);
}

#[test]
fn a_random_401_is_retried_at_every_request() {
    let stray_401 = apple_error(401, "NOT_AUTHORIZED", "detail");
    let ok = Behaviour::Ok;
    let behaviours = [&stray_401, &stray_401, &ok, &stray_401, &stray_401, &ok, &ok].map(Clone::clone);
    let outcome =
        with_behaviours(behaviours.to_vec()).set("required_access", "provisioning,admin").succeeds();
    assert_eq!(outcome.verified(), "yes");
    assert_eq!(outcome.paths_at_apple().len(), 7);
}

// --- Agreements, and other 403s

#[test]
fn a_key_is_not_verified_while_an_agreement_is_missing() {
    let step = || with_team(Team { agreement_missing: true, ..Team::with_apps([BUNDLE_ID]) });
    let rows = [
        ("the key alone", step()),
        ("with bundle_id", step().set("bundle_id", BUNDLE_ID)),
        ("with required_access", step().set("required_access", "admin")),
    ];
    let messages = rows.map(|(what, step)| {
        let outcome = step.succeeds();
        assert_eq!(outcome.verified(), "no");
        assert_eq!(outcome.paths_at_apple().len(), 1, "every request would get this response");
        (what, outcome.warnings().join("\n"))
    });
    assert_messages("rights/agreement", messages);
    let detail = "The Account Holder must agree to the latest Program License Agreement.";
    for error in [
        AGREEMENT_ERROR,
        ("FORBIDDEN.REQUIRED_AGREEMENTS_OF_SOME_NEW_KIND", "title", "detail"),
        ("FORBIDDEN", "Access Unavailable", detail),
        ("FORBIDDEN_ERROR", detail, ROLE_ERROR.2),
    ] {
        for errors in [vec![error], vec![ROLE_ERROR, error]] {
            let outcome = with_behaviours(vec![Behaviour::apple_errors(403, errors)]).succeeds();
            assert_eq!(outcome.verified(), "no");
            assert!(outcome.warnings().concat().contains("an agreement is missing"), "{error:?}");
        }
    }
}

#[test]
fn a_key_that_cannot_list_apps_is_verified_and_a_warning_quotes_apple() {
    let outcome = with_team(Team { role: Role::AccessToReports, ..Team::default() }).succeeds();
    assert_eq!(outcome.verified(), "yes");
    assert_messages("rights/role_without_apps", [("Access to Reports", outcome.section("Verifying"))]);
}

#[test]
fn a_key_that_cannot_list_apps_is_not_verified_for_an_app() {
    let team = Team { role: Role::AccessToReports, ..Team::with_apps([BUNDLE_ID]) };
    let outcome = with_team(team).set("bundle_id", BUNDLE_ID).succeeds();
    assert_eq!(outcome.verified(), "no");
    assert_messages("rights/apps_hidden", [("FORBIDDEN_ERROR", outcome.warnings().join("\n"))]);
}

#[test]
fn a_key_with_an_error_that_is_not_about_its_role_is_not_verified() {
    let long_detail = "word ".repeat(100);
    let unknown_team = "Unable to find a team with the given Content Provider ID 'x' to which you belong.";
    let rows = [
        ("an unknown code", "FORBIDDEN.SOMETHING", "This is forbidden."),
        (
            "a code that begins with FORBIDDEN_ERROR",
            "FORBIDDEN_ERROR.OTHER",
            "The API key in use does not allow this request",
        ),
        ("an expired membership", EXPIRED_ERROR.0, EXPIRED_ERROR.2),
        ("an unknown team", "FORBIDDEN_ERROR", unknown_team),
        ("no detail", "FORBIDDEN_ERROR", ""),
        ("a long detail", "FORBIDDEN", long_detail.as_str()),
        ("a detail with a color", "FORBIDDEN", "a\u{1b}[31;1mred\nline"),
        ("a detail that looks like a key", "FORBIDDEN", "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9"),
    ];
    let messages = rows.map(|(what, code, detail)| {
        let outcome = with_behaviours(vec![apple_error(403, code, detail)]).succeeds();
        assert_eq!(outcome.verified(), "no", "{what}");
        (what, outcome.warnings().join("\n"))
    });
    assert_messages("rights/forbidden", messages);
    let other_status = with_behaviours(vec![apple_error(400, "PARAMETER_ERROR.INVALID", "x")]).succeeds();
    assert!(other_status.warnings().concat().contains("Apple returned HTTP 400, PARAMETER_ERROR.INVALID"));
}

#[test]
fn a_password_that_apple_repeats_is_hidden_in_the_log_and_in_the_summary() {
    // The key of the connection is used. The Step also knows the password of the connected Apple ID.
    let password = "Tr0ub4dor  zebra9";
    let both = merge([api_key(), json!({"apple_id": "jane@example.com", "password": password})]);
    let response = apple_error(403, "FORBIDDEN", &format!("Not with {password}."));
    let outcome = Step::new()
        .connected(&both)
        .verified_by_team(account(vec![response]), Team::default())
        .secret("Tr0ub4dor zebra9")
        .succeeds();
    assert!(outcome.summary().unwrap().contains("FORBIDDEN: \\*\\*\\*\\*\\*"), "{:?}", outcome.summary());
}

// --- verify: strict

#[test]
fn with_strict_every_unverified_credential_is_an_error() {
    let without_agreement = with_team(Team { agreement_missing: true, ..Team::default() });
    let with_session =
        || Step::new().connected(&connected_session()).verified_by_session(website_session(vec![]));
    let apps_hidden = Team { role: Role::AccessToReports, ..Team::default() };
    let words = "Apple's words that cannot be shortened to any fewer words than are in this one line, and no \
                 fewer than these fourteen more words, so that none is left for advice.";
    let with_expired_membership = || with_behaviours(vec![Behaviour::apple_errors(403, [EXPIRED_ERROR])]);
    let rows = [
        ("an agreement is missing", without_agreement),
        (
            "a 403 with an unknown code",
            with_behaviours(vec![apple_error(403, "FORBIDDEN.SOMETHING", "This is forbidden.")]),
        ),
        ("an expired membership", with_expired_membership()),
        ("an expired membership, with bundle_id", with_expired_membership().set("bundle_id", BUNDLE_ID)),
        ("words that leave no room for advice", with_behaviours(vec![apple_error(403, "FORBIDDEN", words)])),
        ("a longer text", with_behaviours(vec![apple_error(403, "FORBIDDEN", &"words ".repeat(100))])),
        ("an outage", with_behaviours(vec![busy(503).forever()])),
        (
            "a single 401",
            with_behaviours(vec![busy(503), busy(503), busy(503), apple_error(401, "NOT_AUTHORIZED", "x")]),
        ),
        ("a response that is not from Apple", with_behaviours(vec![Behaviour::Html])),
        ("the app cannot be checked", with_team(apps_hidden).set("bundle_id", BUNDLE_ID)),
        ("a session and bundle_id", with_session().set("bundle_id", BUNDLE_ID)),
        ("a session without cookies for Apple", Step::new().connected(&apple_id())),
        ("no session", Step::new().with_apple_id_inputs()),
        ("bundle_id without a session", Step::new().with_apple_id_inputs().set("bundle_id", BUNDLE_ID)),
    ];
    let messages = rows.map(|(what, step)| {
        let outcome = step.set("verify", "strict").fails();
        (what, outcome.errors().join("\n"))
    });
    assert_messages("rights/strict", messages);
}

#[test]
fn with_strict_a_verified_credential_succeeds() {
    let step = with_team(Team::with_apps([BUNDLE_ID])).set_all([
        ("verify", "strict"),
        ("bundle_id", BUNDLE_ID),
        ("required_access", "admin,provisioning"),
    ]);
    assert_eq!(step.succeeds().verified(), "yes");
    let session = Step::new().connected(&connected_session()).verified_by_session(website_session(vec![]));
    assert_eq!(session.set("verify", "strict").succeeds().verified(), "yes");
}

#[test]
fn strict_leaves_a_missing_credential_to_if_missing() {
    let outcome = Step::new().set("verify", "strict").set("if_missing", "skip").succeeds();
    assert_eq!((outcome.verified(), outcome.output("APPLE_AUTH_METHOD")), ("no".into(), "none".into()));
}

// --- Rate limit and connections

#[test]
fn a_rate_limit_that_is_nearly_used_up_causes_a_warning() {
    let run = |requests_left| with_team(Team { requests_left, ..Team::default() }).succeeds();
    // The Step warns below 5% of 3500 requests, which is 175.
    assert_eq!(run(175).warnings(), Vec::<String>::new());
    let outcome = run(174);
    assert_eq!(outcome.verified(), "yes");
    assert_messages("rights/rate_limit", [("174 of 3500", outcome.warnings().join("\n"))]);
    let verbose =
        with_team(Team { requests_left: 1234, ..Team::default() }).set("verbose_log", "yes").succeeds();
    assert!(verbose.stdout.contains("Requests left for this API key in this hour: 1234 of 3500."));
}

#[test]
fn the_requests_of_a_run_share_a_connection() {
    let step =
        with_behaviours(vec![]).set("required_access", "provisioning,admin").set("bundle_id", BUNDLE_ID);
    let name = step.scenario().to_owned();
    let outcome = step.succeeds();
    assert_eq!(outcome.paths_at_apple().len(), 3);
    assert_eq!(SERVER.connections_for(&name), 1);
}
