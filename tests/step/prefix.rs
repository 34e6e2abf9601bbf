//! Input `output_prefix`: several credentials in one workflow.

use std::path::Path;

use test_support::snapshots::assert_messages;
use test_support::{Entry, Outcome, Step, api_key, apple_id, errors_of};

const PREFIX: &str = "CUSTOMER_";

fn with_prefix() -> Step {
    Step::new().set("output_prefix", PREFIX)
}

#[test]
fn a_prefix_changes_only_the_names_of_the_outputs() {
    for (connected, prefix) in [(api_key(), PREFIX), (apple_id(), "TEAM2_"), (apple_id(), "APPLE_SERVICES_")]
    {
        let plain = Step::new().connected(&connected).succeeds();
        let prefixed = Step::new().set("output_prefix", prefix).connected(&connected).run();
        assert_eq!(prefixed.code, Some(0), "{}", prefixed.stdout);
        let entries = |outcome: &Outcome, prefix: &str| -> Vec<Entry> {
            let folder = outcome.get_output(&format!("{prefix}APPLE_CREDENTIALS_DIR"));
            let without_prefix = |entry: Entry| Entry {
                key: entry.key.strip_prefix(prefix).expect("the prefix").to_owned(),
                // The path of the folder is left out: each run with an API key has its own, and an Apple ID has none.
                value: entry.value.replace(folder.as_deref().unwrap_or("(no folder)"), ""),
                ..entry
            };
            outcome.entries().into_iter().map(without_prefix).collect()
        };
        assert_eq!(entries(&prefixed, prefix), entries(&plain, ""));
    }
}

#[test]
fn the_outputs_of_a_run_without_the_prefix_stay_as_they_are() {
    let first = Step::new().connected(&apple_id()).succeeds();
    let text = first.envstore_text.clone().unwrap();
    let second = with_prefix().connected(&api_key()).after(&first).envstore(&text).succeeds();
    assert!(second.envstore_text.clone().unwrap().starts_with(&text));
    assert_eq!(second.warnings(), Vec::<String>::new(), "no credential replaces the other");
}

#[test]
fn remove_with_a_prefix_removes_the_files_and_the_outputs_with_that_prefix_only() {
    let tmp = tempfile::tempdir().unwrap();
    let run = |step: Step| step.connected(&api_key()).set("TMPDIR", tmp.path()).succeeds();
    let (plain, prefixed) = (run(Step::new()), run(with_prefix()));
    let remove = |step: Step| {
        // The default of `credentials_dir` is `$APPLE_CREDENTIALS_DIR`, without a prefix.
        let folder = plain.output("APPLE_CREDENTIALS_DIR");
        let step = step.after(&plain).after(&prefixed).set("credentials_dir", folder);
        let outcome = step.set("action", "remove").set("TMPDIR", tmp.path()).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
        outcome.unset_names()
    };
    let names = |outcome: &Outcome| outcome.outputs().into_keys().collect();
    assert_eq!(remove(with_prefix()), names(&prefixed));
    assert!(!Path::new(&prefixed.output("CUSTOMER_APPLE_CREDENTIALS_DIR")).exists());
    assert!(Path::new(&plain.output("APPLE_CREDENTIALS_DIR")).is_dir());
    assert_eq!(remove(Step::new()), names(&plain));
    assert!(!Path::new(&plain.output("APPLE_CREDENTIALS_DIR")).exists());
}

#[test]
fn remove_with_a_wrong_prefix_removes_nothing() {
    let first = Step::new().connected(&api_key()).succeeds();
    Step::new().after(&first).set("action", "remove").set("output_prefix", "customer").fails();
    assert!(Path::new(&first.output("APPLE_CREDENTIALS_DIR")).is_dir());
}

#[test]
fn a_malformed_prefix_or_one_that_turns_one_output_into_another_is_an_error() {
    let too_long = "A_".repeat(21);
    let rows = [
        "customer_",
        "CUSTOMER",
        "2_",
        "A B_",
        "A-B_",
        "TEÄM_",
        &too_long,
        "EXPO_",
        "CUSTOMER_EXPO_",
        "canary-secret",
        "$CUSTOMER_PREFIX",
    ];
    let rows = rows.map(|prefix| {
        (prefix, Step::new().connected(&api_key()).set("output_prefix", prefix).secret("canary"))
    });
    assert_messages("prefix/wrong", errors_of(rows));
}
