//! Compares what users read with the files in `tests/snapshots`.
//!
//! `SNAPSHOTS=overwrite cargo test` rewrites them. Values that differ between runs are replaced by
//! placeholders such as `[ROOT]` or `[PORT]`; everything else is compared exactly.

use std::fmt::Display;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use snapbox::{Assert, Data, IntoData as _, Redactions};
use time::{Duration, OffsetDateTime};

use crate::Outcome;

/// Compares the whole log, with its colors, with `runs/<name>.term.svg`, and the summary on the
/// build's page with `runs/<name>.md`.
#[track_caller]
pub fn assert_run(name: &str, outcome: &Outcome) {
    assert_same(&format!("runs/{name}.term.svg"), &outcome.stdout);
    let summary = outcome.summary().expect("the run writes a summary");
    assert_same(&format!("runs/{name}.md"), &summary);
}

/// Compares the messages of several cases with `messages/<name>.txt`. Consecutive cases with the same message
/// share it: their names come first, and the message follows, indented.
#[track_caller]
pub fn assert_messages(name: &str, rows: impl IntoIterator<Item = (impl Display, impl Into<String>)>) {
    let mut text = String::new();
    let mut rows = rows.into_iter().map(|(case, messages)| (case.to_string(), messages.into())).peekable();
    while let Some((case, messages)) = rows.next() {
        text.push_str(&case);
        text.push('\n');
        if rows.peek().is_none_or(|(_, next)| with_placeholders(next) != with_placeholders(&messages)) {
            for line in messages.lines() {
                text.push_str("    ");
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    assert_same(&format!("messages/{name}.txt"), &text);
}

/// Compares the text with a file. `path` is relative to the root of the repository.
#[track_caller]
pub fn assert_document(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let expected = Data::read_from(&path, None).raw();
    Assert::new().action_env("SNAPSHOTS").eq(text.to_owned().into_data(), expected);
}

#[track_caller]
fn assert_same(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshots").join(file);
    let expected = Data::read_from(&path, None).raw();
    Assert::new().action_env("SNAPSHOTS").eq(with_placeholders(text).into_data(), expected);
}

/// Replaces the values that differ between runs by placeholders.
fn with_placeholders(text: &str) -> String {
    static PLACEHOLDERS: LazyLock<Redactions> = LazyLock::new(|| {
        let temporary = regex::escape(std::env::temp_dir().to_str().unwrap().trim_end_matches('/'));
        // The computed dates in messages are less than 100 days from today.
        let today = OffsetDateTime::now_utc().date();
        let dates: Vec<_> = (-100..=100).map(|days| (today + Duration::days(days)).to_string()).collect();
        let placeholders = [
            ("[ROOT]", format!("(/private)?{temporary}/step-[A-Za-z0-9]{{6}}")),
            ("[RANDOM]", "(apple-services-connection|\\.envstore)-(?<redacted>[A-Za-z0-9]{6})\\b".to_owned()),
            ("[PORT]", "(127\\.0\\.0\\.1|localhost):(?<redacted>[0-9]+)".to_owned()),
            ("[RUN]", "\\brun(%20| )[0-9]+".to_owned()),
            ("[DATE]", format!("({})([ T][0-9:]+( UTC|Z))?", dates.join("|"))),
            ("[DAYS]", "(?<redacted>[0-9]{3,}) days".to_owned()),
            ("[SECONDS]", "(?<redacted>[0-9]+) seconds (ahead|behind|ago)".to_owned()),
            ("[TIME]", "in (?<redacted>[0-9]+\\.[0-9]+ s)\\b".to_owned()),
            ("[TIME]", "verification time (?<redacted>[0-9]+)".to_owned()),
            ("[TIME]", "took (?<redacted>[0-9.]+ ms)\\b".to_owned()),
            ("[TIME]", "Done in (?<redacted>[0-9.]+ s)\\b".to_owned()),
            ("[NUMBER]", "os error (?<redacted>[0-9]+)".to_owned()),
        ];
        let mut redactions = Redactions::new();
        for (placeholder, pattern) in placeholders {
            redactions.insert(placeholder, Regex::new(&pattern).unwrap()).unwrap();
        }
        redactions
    });
    PLACEHOLDERS.redact(text)
}
