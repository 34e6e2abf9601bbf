//! Whether the credential is the one that the user means, and whether its team has the app to build.

use serde_json::{Value, json};
use stand_in::{Account, App, Behaviour, Provider, Session, Team};
use test_support::snapshots::assert_messages;
use test_support::{
    INPUT_KEY, INPUT_KEY_ID, Outcome, Step, account, account_of, api_key, apple_id, connected_session,
    errors_of, in_parallel, merge, pasted_session, status, website_session,
};

const BUNDLE_ID: &str = "com.example.app";

fn with_team(team: Team) -> Step {
    Step::new().connected(&api_key()).verified_by_team(account(vec![]), team)
}

fn with_apps<'a>(apps: impl IntoIterator<Item = &'a str>) -> Step {
    with_team(Team::with_apps(apps)).set("bundle_id", BUNDLE_ID)
}

// --- Inputs that are not used

#[test]
fn an_unused_credential_in_the_inputs_causes_a_warning() {
    let rows = [
        ("two API keys", Step::new().connected(&api_key()).with_key_inputs()),
        ("a connected Apple ID, an API key", Step::new().connected(&apple_id()).with_key_inputs()),
        ("a connected API key, an Apple ID", Step::new().connected(&api_key()).with_apple_id_inputs()),
    ];
    let messages = rows.map(|(what, step)| {
        let outcome = step.unset("build_annotation").succeeds();
        assert_eq!(outcome.method_and_source().1, "connection");
        let warnings = outcome.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let summary = outcome.summary().expect("a run that warns writes a summary");
        assert!(summary.contains("connected on Bitrise, not the credential in the inputs"), "{summary}");
        (what, warnings.join("\n"))
    });
    assert_messages("account/unused_inputs", messages);
}

#[test]
fn a_used_credential_or_a_lone_issuer_in_the_inputs_causes_no_warning() {
    let used = Step::new().with_key_inputs();
    let only_issuer = Step::new().connected(&api_key()).set("api_issuer", test_support::INPUT_ISSUER);
    for step in [used, only_issuer] {
        assert_eq!(step.succeeds().warnings(), Vec::<String>::new());
    }
}

// --- The app

#[test]
fn checking_bundle_id_takes_one_request_in_all_and_exports_the_app_id() {
    let outcome = with_apps(["com.example.other", BUNDLE_ID, "com.example.app.watch"]).succeeds();
    assert_eq!(outcome.output("APPLE_APP_ID"), "1600000002");
    assert_eq!(outcome.verified(), "yes");
    assert_eq!(
        outcome.paths_at_apple(),
        ["apps?filter[bundleId]=com.example.app&fields[apps]=bundleId,name&limit=200"]
    );
    assert_messages("account/app_found", [("an app", outcome.section("Verifying"))]);
}

#[test]
fn the_app_is_found_on_a_later_page_of_the_filtered_list() {
    let full_page: Vec<_> = (0..200).map(|number| format!("{BUNDLE_ID}.more{number}")).collect();
    let outcome = with_apps(full_page.iter().map(String::as_str).chain([BUNDLE_ID])).succeeds();
    assert_eq!(outcome.output("APPLE_APP_ID"), "1600000201");
    assert_eq!(outcome.paths_at_apple().len(), 2);
}

#[test]
fn the_error_for_a_missing_app_names_the_most_similar_apps_and_the_likely_mistake() {
    let many_apps: Vec<_> = (0..250).map(|number| format!("org.other.app{number}")).collect();
    let rows: [(&str, Vec<&str>); 6] = [
        ("another team's key", many_apps.iter().map(String::as_str).collect()),
        ("no record yet", vec!["com.example.shop", "com.example.bank", "com.example.app.watch"]),
        ("a typo", vec!["com.example.ap", "com.example.bank", "org.other.app"]),
        ("different letter case", vec!["com.Example.App"]),
        ("one app", vec!["org.other.app"]),
        ("no app", vec![]),
    ];
    let messages = rows.map(|(what, apps)| {
        let outcome = with_apps(apps).fails();
        // The first request looks for the app. The others list all apps for the error, in pages of 200.
        let paths = outcome.paths_at_apple();
        assert_eq!(paths[1], "apps?fields[apps]=bundleId,name&limit=200");
        assert_eq!(paths.len(), if what == "another team's key" { 3 } else { 2 });
        (what, outcome.error())
    });
    assert_messages("account/no_such_app", messages);
}

#[test]
fn names_from_apple_are_shortened_and_have_no_color_codes() {
    let app = |bundle_id: &str| App {
        id: "7".to_owned(),
        bundle_id: bundle_id.to_owned(),
        name: "a\u{1b}[31;1mb".to_owned(),
    };
    let apps = vec![app("com.example.\u{1b}[31;1mred"), app(&format!("com.example.{}", "x".repeat(300)))];
    let error = with_team(Team { apps, ..Team::default() }).set("bundle_id", BUNDLE_ID).fails().error();
    let with_app = with_team(Team { apps: vec![app(BUNDLE_ID)], ..Team::default() });
    let outcome = with_app.set("bundle_id", BUNDLE_ID).succeeds();
    let line = outcome.stdout.lines().find(|line| line.starts_with("- App: ")).unwrap().to_owned();
    assert_messages("account/hostile_names", [("in the error", error), ("in the log", line)]);
}

#[test]
fn with_an_enterprise_key_the_step_looks_for_the_bundle_id_instead_of_an_app() {
    let step = |bundle_id: &str, registered: &[&str]| {
        let connected = merge([api_key(), json!({"is_enterprise_account": true})]);
        // `Team::with_apps` also registers the bundle IDs. An enterprise team has no apps.
        let team = Team { apps: Vec::new(), ..Team::with_apps(registered.iter().copied()) };
        let account = Account { enterprise: true, ..account(vec![]) };
        Step::new().connected(&connected).verified_by_team(account, team).set("bundle_id", bundle_id)
    };
    let outcome = step(BUNDLE_ID, &["com.example.app.more", BUNDLE_ID]).succeeds();
    assert_eq!(outcome.verified(), "yes");
    assert_eq!(outcome.get_output("APPLE_APP_ID"), None, "there is no app record");
    assert_eq!(
        outcome.paths_at_apple(),
        ["bundleIds?filter[identifier]=com.example.app&fields[bundleIds]=identifier,name&limit=200"]
    );
    let line = outcome.stdout.lines().find(|line| line.starts_with("- Bundle ID: ")).unwrap().to_owned();
    let messages = [
        ("found", line),
        ("another team's key", step(BUNDLE_ID, &["org.other.app"]).fails().error()),
        ("not registered", step(BUNDLE_ID, &["com.example.shop"]).fails().error()),
        ("nothing registered", step(BUNDLE_ID, &[]).fails().error()),
    ];
    assert_messages("account/enterprise", messages);
}

#[test]
fn the_error_for_an_individual_key_says_that_it_sees_only_its_owners_apps() {
    let step = |owner_apps: &[&str]| {
        let owner_apps = Some(owner_apps.iter().map(|&app| app.to_owned()).collect());
        let team = Team { owner_apps, ..Team::with_apps([BUNDLE_ID, "com.example.shop"]) };
        let step = Step::new().with_individual_key_inputs().set("bundle_id", BUNDLE_ID);
        step.verified_by_team(account_of(&INPUT_KEY, INPUT_KEY_ID, None, vec![]), team)
    };
    assert_eq!(step(&[BUNDLE_ID]).succeeds().output("APPLE_APP_ID"), "1600000001");
    let messages =
        [("one app", step(&["com.example.shop"]).fails().error()), ("no app", step(&[]).fails().error())];
    assert_messages("account/individual_key", messages);
}

#[test]
fn the_error_for_a_missing_app_lists_no_apps_if_apple_refuses_the_list() {
    let stray_401 = Behaviour::apple_errors(401, [("NOT_AUTHORIZED", "title", "detail")]).forever();
    let rows = [("404", status(404, &[])), ("401, although Apple accepted the key", stray_401)];
    let rows = rows.map(|(what, response)| {
        let account = account(vec![Behaviour::Ok, response]);
        let step = Step::new().connected(&api_key()).verified_by_team(account, Team::with_apps(["a.b"]));
        (what, step.set("bundle_id", BUNDLE_ID))
    });
    assert_messages("account/no_list", errors_of(rows));
}

#[test]
fn a_list_that_is_incomplete_or_malformed_does_not_prove_that_the_app_is_missing() {
    let page = |data: Value, next: Option<&str>| {
        Behaviour::json(200, &json!({"data": data, "links": {"self": "x", "next": next}})).forever()
    };
    let app = json!({"type": "apps", "id": "x", "attributes": {"bundleId": BUNDLE_ID}});
    let rows = [
        ("the app's ID is not a number", page(json!([app]), None)),
        ("a relative link", page(json!([]), Some("/v1/apps?cursor=a"))),
        ("a link without a cursor", page(json!([]), Some("https://apple.invalid/v1/apps?page=2"))),
        ("a list without end", page(json!([]), Some("https://apple.invalid/v1/apps?cursor=YWZ0ZXIgMA"))),
    ];
    let messages = in_parallel(rows, |(what, response)| {
        let step = Step::new().connected(&api_key()).verified_by(account(vec![response]));
        let outcome = step.set("bundle_id", BUNDLE_ID).run_in_process();
        assert_eq!(outcome.verified(), "no", "{what}");
        (what, outcome.warnings().join("\n"))
    });
    assert_messages("account/incomplete_list", messages);
}

#[test]
fn bundle_id_cannot_be_checked_with_an_apple_id() {
    let with_session =
        || Step::new().connected(&connected_session()).verified_by_session(website_session(vec![]));
    let rows = [
        ("a session", with_session()),
        ("a session, and required_access", with_session().set("required_access", "admin")),
        ("no session", Step::new().with_apple_id_inputs().unset("verify")),
    ];
    let messages = rows.map(|(what, step)| {
        let outcome = step.set("bundle_id", BUNDLE_ID).succeeds();
        assert_eq!(outcome.verified(), "no");
        assert_eq!(outcome.get_output("APPLE_APP_ID"), None);
        (what, outcome.warnings().join("\n"))
    });
    assert_messages("account/app_with_an_apple_id", messages);
}

#[test]
fn an_invalid_bundle_id_or_team_id_is_an_error() {
    let rows = [
        ("bundle_id", "app"),
        ("bundle_id", ".com.app"),
        ("bundle_id", "com..app"),
        ("bundle_id", "com.app."),
        ("bundle_id", "com.exa mple.app"),
        ("bundle_id", "com.example.*"),
        ("bundle_id", "com.example.a,com.example.b"),
        ("team_id", "abcde12345"),
        ("team_id", "118573544"),
        ("team_id", "TEAM12345"),
        ("team_id", "TEAM1234567"),
        ("team_id", "Example Ltd."),
        ("team_id", "canary-secret"),
        ("itc_team_id", "Example Ltd"),
        ("itc_team_id", "ABCDE12345"),
        ("itc_team_id", "+7"),
        ("itc_team_id", "7.0"),
        ("itc_team_id", "99999999999999999999"),
    ];
    let rows = rows.map(|(input, value)| {
        let step = Step::new().connected(&api_key()).verified_by(account(vec![])).secret("canary");
        (format!("{input} is {value:?}"), step.set(input, value))
    });
    assert_messages("account/inputs", errors_of(rows));
    let valid = "com.Example-2.my_app";
    with_team(Team::with_apps([valid])).set("bundle_id", valid).succeeds();
}

#[test]
fn verify_no_with_bundle_id_or_required_access_is_an_error() {
    let error = |inputs: &[(&str, &str)]| {
        Step::new().connected(&api_key()).set_all(inputs.iter().copied()).set("verify", "no").fails().error()
    };
    let messages = [
        ("bundle_id", error(&[("bundle_id", BUNDLE_ID)])),
        ("required_access", error(&[("required_access", "admin")])),
        ("both", error(&[("bundle_id", BUNDLE_ID), ("required_access", "admin")])),
    ];
    assert_messages("account/verify_no", messages);
}

// --- The team

#[test]
fn the_team_ids_in_the_inputs_are_exported_for_fastlane() {
    // A team ID can be all digits.
    for (connected, team_id) in [(api_key(), "ABCDE12345"), (apple_id(), "1234567890")] {
        let step = Step::new().connected(&connected);
        let outcome = step.set("team_id", team_id).set("itc_team_id", "118573544").succeeds();
        assert_eq!(outcome.output("FASTLANE_TEAM_ID"), team_id);
        assert_eq!(outcome.output("FASTLANE_ITC_TEAM_ID"), "118573544");
    }
}

fn provider(id: u64, name: &str) -> Provider {
    Provider { provider_id: id, name: name.to_owned() }
}

/// A run with a session that has these teams, of which the first is selected.
fn with_teams(teams: &[Provider]) -> Step {
    with_selected_team(&teams[0], teams)
}

fn with_selected_team(selected: &Provider, listed: &[Provider]) -> Step {
    let available_providers = listed.to_vec();
    let session =
        Session { provider: Some(selected.clone()), available_providers, ..website_session(vec![]) };
    Step::new().connected(&connected_session()).verified_by_session(session)
}

#[test]
fn itc_team_id_must_be_a_team_of_the_session_and_a_warning_asks_for_it_if_there_are_several() {
    let two = [provider(7, "Example Ltd"), provider(8, "Other Inc")];
    let twelve: Vec<_> = (1..=12).map(|id| provider(id, &format!("Team {id}"))).collect();
    let about_teams = |outcome: &Outcome| {
        outcome.warnings().into_iter().find(|line| line.contains("teams")).unwrap_or_default()
    };
    for (step, chosen) in
        [(with_teams(&two), "8"), (with_teams(&two[..1]), "7"), (with_selected_team(&two[0], &two[1..]), "7")]
    {
        let outcome = step.set("itc_team_id", chosen).succeeds();
        assert_eq!(outcome.verified(), "yes");
        assert_eq!(outcome.output("FASTLANE_ITC_TEAM_ID"), chosen);
        assert_eq!(about_teams(&outcome), "");
    }
    let warning = |step: Step| about_teams(&step.succeeds());
    let rows = [
        ("neither of the two teams", with_teams(&two).set("itc_team_id", "9").fails().error()),
        ("not the only team", with_teams(&two[..1]).set("itc_team_id", "9").fails().error()),
        ("none of the twelve teams", with_teams(&twelve).set("itc_team_id", "99").fails().error()),
        ("no list of teams", warning(with_selected_team(&two[0], &[]).set("itc_team_id", "8"))),
        ("two teams, no choice", warning(with_teams(&two))),
        ("twelve teams, no choice", warning(with_teams(&twelve))),
    ];
    assert_messages("account/teams", rows);
}

#[test]
fn a_session_of_another_or_an_unknown_account_is_not_verified() {
    let step = |session| {
        let step = Step::new().set("apple_id", "jane@example.com").set("fastlane_session", pasted_session());
        step.verified_by_session(session)
    };
    let with_session_of =
        |address: &str| step(Session { email_address: address.to_owned(), ..website_session(vec![]) });
    for address in ["jane@example.com", "Jane@Example.com"] {
        let outcome = with_session_of(address).succeeds();
        assert_eq!(outcome.warnings(), Vec::<String>::new());
        assert_eq!(outcome.verified(), "yes");
    }
    let without_user = json!({"provider": {"providerId": 1, "name": "x"}});
    let with_unknown_account = || step(website_session(vec![Behaviour::json(200, &without_user)]));
    let warnings_without_verification = |step: Step| {
        let outcome = step.succeeds();
        assert_eq!(outcome.verified(), "no");
        outcome.warnings().join("\n")
    };
    let rows = [
        ("kim's session", warnings_without_verification(with_session_of("kim@example.org"))),
        ("an unknown account", warnings_without_verification(with_unknown_account())),
        ("kim's session, strict", with_session_of("kim@example.org").set("verify", "strict").fails().error()),
        ("an unknown account, strict", with_unknown_account().set("verify", "strict").fails().error()),
    ];
    assert_messages("account/another_account", rows);
}
