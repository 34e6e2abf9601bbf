//! The summary on the build's page.

use std::time::Duration;

use serde_json::{Value, json};
use stand_in::{Behaviour, Style, Team};
use test_support::snapshots::assert_messages;
use test_support::{BUILD_SLUG, Outcome, PAGE_TOKEN, Step, account, api_key, in_parallel, merge, status};

const CONTEXT: &str = "apple-services-connection";
const TOKEN_VARIABLE: &str = "BITRISEIO_BITRISE_SERVICES_ACCESS_TOKEN";

fn succeeding_step() -> Step {
    Step::new().connected(&api_key()).verified_by(account(vec![]))
}

fn warning_step() -> Step {
    let team = Team { agreement_missing: true, ..Team::default() };
    Step::new().connected(&api_key()).verified_by_team(account(vec![]), team)
}

fn failing_step() -> Step {
    succeeding_step().set("bundle_id", "com.example.app")
}

fn style(outcome: &Outcome) -> Option<Style> {
    outcome.page.last().map(|annotation| annotation.style)
}

#[test]
fn build_annotation_decides_when_the_summary_is_written_and_the_result_decides_its_style() {
    let rows = [
        ("problems", [None, Some(Style::Warning), Some(Style::Error)]),
        ("always", [Some(Style::Info), Some(Style::Warning), Some(Style::Error)]),
        ("never", [None, None, None]),
    ];
    for (choice, expected) in rows {
        let styles = [succeeding_step(), warning_step(), failing_step()].map(|step| {
            let outcome = step.set("build_annotation", choice).run();
            assert_eq!(outcome.page_requests.len(), outcome.page.len(), "each request writes the summary");
            style(&outcome)
        });
        assert_eq!(styles, expected, "{choice}");
    }
    assert_eq!(style(&succeeding_step().unset("build_annotation").run()), None, "`problems` is the default");
    assert_eq!(style(&warning_step().unset("build_annotation").run()), Some(Style::Warning));
}

/// Source: `service` in `bitrise-plugins-annotations`, encoded by Go's `net/http` and `encoding/json`.
#[test]
fn the_request_is_the_one_that_bitrises_own_client_sends() {
    let outcome = warning_step().run();
    let [request] = outcome.page_requests.as_slice() else { panic!("{:?}", outcome.page_requests) };
    assert!(request.verdict.is_ok() && request.violations.is_empty(), "{request:?}");
    assert_eq!(request.method, "PUT");
    assert!(request.target.ends_with(&format!("/v1/builds/{BUILD_SLUG}/annotations/")), "{}", request.target);
    assert_eq!(request.header("Authorization"), Some(format!("Bearer {PAGE_TOKEN}").as_str()));
    assert_eq!(request.header("Content-Type"), Some("application/json"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let markdown = outcome.summary().unwrap();
    assert_eq!(body, json!({"context": CONTEXT, "markdown": markdown, "style": "warning"}));
}

#[test]
fn an_input_error_is_in_the_summary_unless_build_annotation_is_never() {
    let outcome = Step::new().set("team_id", "?").set("build_annotation", "sometimes").fails();
    assert_eq!(style(&outcome), Some(Style::Error), "an unknown value counts as the default");
    let never = Step::new().set("team_id", "?").set("build_annotation", "never").run();
    assert_eq!(style(&never), None);
}

#[test]
fn markup_in_the_name_of_a_device_is_escaped() {
    let device = json!({"test_devices": [{
        "device_identifier": "", "device_type": "ios",
        "title": "<img src=x> [a](https://example.com) `b` www.example.com",
    }]});
    let outcome = Step::new().connected(&merge([api_key(), device])).succeeds();
    let summary = outcome.summary().unwrap();
    assert!(
        outcome.stdout.contains("<img src=x> [a](https://example.com) `b` www.example.com"),
        "{}",
        outcome.stdout
    );
    assert!(summary.contains(r"\<img src=x\> \[a\](https"), "{summary}");
    for markup in [" <img", " [a](", " `b`", "https://", "www."] {
        assert!(!summary.contains(markup), "{markup} in {summary}");
    }
}

#[test]
fn without_a_build_page_nothing_is_sent_and_there_is_no_warning() {
    for variable in [TOKEN_VARIABLE, "BITRISE_BUILD_SLUG"] {
        for step in [succeeding_step().unset(variable), succeeding_step().set(variable, "")] {
            let outcome = step.succeeds();
            assert!(outcome.page_requests.is_empty());
            assert_eq!(outcome.warnings(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_summary_that_cannot_be_written_causes_a_warning_within_5_seconds() {
    let margin = Duration::from_secs(3);
    let retry_at_once = [("Retry-After", "0")];
    let closed_address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let redirect = Behaviour::Redirect { code: 307, to: "http://127.0.0.1:1/".into() };
    let with_service = |url: &str| succeeding_step().set("BITRISEIO_BUILD_ANNOTATIONS_SERVICE_URL", url);
    let rows = [
        ("500", succeeding_step().with_page(vec![status(500, &retry_at_once)])),
        ("401", succeeding_step().with_page(vec![status(401, &[])])),
        ("a redirect", succeeding_step().with_page(vec![redirect])),
        ("a reset", succeeding_step().with_page(vec![Behaviour::ResetBeforeAnswer])),
        ("a stall", succeeding_step().with_page(vec![Behaviour::StallBeforeHeader(Duration::from_secs(60))])),
        ("no server", with_service(&format!("http://{closed_address}"))),
        ("plain http to another machine", with_service("http://annotations.invalid")),
        ("not a URL", with_service("annotations")),
        ("a token with a newline", succeeding_step().set(TOKEN_VARIABLE, "to\nken")),
    ];
    let messages = in_parallel(rows, |(what, step)| {
        let outcome = step.set("build_annotation", "always").succeeds();
        assert!(outcome.page_requests.len() <= 1, "no retry");
        assert!(outcome.took < Duration::from_secs(5) + margin, "{what}: {:?}", outcome.took);
        (what, outcome.warnings().join("\n"))
    });
    assert_messages("annotation/not_written", messages);
}

#[test]
fn a_run_that_fails_still_ends_with_its_error_when_the_page_cannot_be_written() {
    let outcome = failing_step().with_page(vec![status(500, &[])]).fails();
    assert!(outcome.error().contains("has no app"), "{}", outcome.error());
}
