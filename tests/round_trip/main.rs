//! Passes what the Step writes to the programs that read it in a build: thousands of sessions to Ruby's loader,
//! called as fastlane calls it, and thousands of values to envman.
//!
//! `cargo test --test round_trip` needs `ruby` with its gem http-cookie, and `envman`; so
//! `cargo test` leaves it out, and `.ci/run` runs it. `PROPTEST_CASES` sets the number of cases;
//! every run generates different ones.

#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use apple_services_connection::bitrise::entry::Entry;
use apple_services_connection::bitrise::envstore;
use apple_services_connection::bitrise::limits::Limits;
use apple_services_connection::formats::fastlane_session::to_variable;
use apple_services_connection::tools;
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use test_support::strategies::{self, Cookie, session};

fn cases() -> usize {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

fn samples<T>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::default();
    let sample = |_| strategy.new_tree(&mut runner).expect("a strategy that rejects nothing").current();
    (0..count).map(sample).collect()
}

#[test]
fn any_session_comes_back_from_ruby_as_it_was() {
    let cases = cases();
    let sessions = samples(&strategies::cookies(), cases);
    let to_line = |cookies: &Vec<Cookie>| to_variable(&session(cookies)).expose_secret().to_owned();
    let lines: Vec<String> = sessions.iter().map(to_line).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/round_trip/load_sessions.rb");
    let read = run_piped(Command::new("ruby").args(["-W0", "-E", "UTF-8"]).arg(script), &lines.join("\n"));
    let read: Vec<&str> = read.lines().collect();
    assert_eq!(read.len(), sessions.len(), "Ruby reads every session");

    let mut lost = 0;
    for ((cookies, line), read) in sessions.iter().zip(&lines).zip(read) {
        let read: Value = serde_json::from_str(read).expect("Ruby prints JSON");
        let expected = Value::Array(sorted(cookies.iter().map(Cookie::record).collect()));
        let found = read.as_array().map(|cookies| Value::Array(sorted(cookies.clone())));
        if found.as_ref() != Some(&expected) {
            lost += 1;
            println!("Ruby read {read}\n  of {line}\n  expected {expected}");
        }
    }
    let cookies: usize = sessions.iter().map(Vec::len).sum();
    println!("{cases} sessions with {cookies} cookies through Ruby's http-cookie: {lost} lost");
    assert_eq!(lost, 0, "the values above differ");
}

/// Sorts cookies by name, because a cookie jar changes their order.
fn sorted(mut cookies: Vec<Value>) -> Vec<Value> {
    cookies.sort_by_key(|cookie| cookie.get("name").and_then(Value::as_str).map(str::to_owned));
    cookies
}

#[test]
fn any_value_comes_back_from_envman_as_it_was() {
    let cases = cases();
    let values = samples(&strategies::text(), cases);
    let keys = tools::output_names();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("envstore.yml");
    let envman = |arguments: &[&str], input: &str| {
        let mut command = Command::new("envman");
        run_piped(command.arg("--path").arg(&path).args(arguments).env("HOME", folder.path()), input)
    };
    let no_limits = Limits { env_bytes_limit_in_kb: Some(0), env_list_bytes_limit_in_kb: Some(0) };
    let mut lost = 0;
    for (batch, values) in values.chunks(keys.len()).enumerate() {
        fs::write(&path, "envs: []\n").expect("an envstore");
        // The output of an earlier Step stays as envman wrote it. Variables can't contain NUL. Skips text that looks
        // like a YAML tag, with which the Step would run envman instead: see its `has_tag_or_many_lists`.
        let earlier = values.first().map(|value| value.replace('\0', ""));
        let earlier =
            earlier.filter(|value| !value.is_empty() && !value.contains("!!") && !value.contains("!<"));
        if let Some(earlier) = &earlier {
            envman(&["add", "--key", "EARLIER", "--no-expand"], earlier);
        }
        let entry = |(key, value): (&'static str, &String)| Entry {
            key: key.into(),
            value: Some(value.as_str().into()),
            is_sensitive: batch % 2 == 0,
        };
        let entries: Vec<Entry> = keys.iter().copied().zip(values).map(entry).collect();
        envstore::write(&path, &entries, no_limits).expect("an envstore of envman");
        let mut expected: Map<String, Value> =
            keys.iter().zip(values).map(|(key, value)| ((*key).to_owned(), value.as_str().into())).collect();
        if let Some(earlier) = earlier {
            expected.insert("EARLIER".to_owned(), earlier.into());
        }
        let read: Value =
            serde_json::from_str(&envman(&["print", "--format", "json"], "")).expect("envman prints JSON");
        for (key, value) in &expected {
            if read.get(key) != Some(value) {
                lost += 1;
                println!("envman read {:?}\n  of {key}, expected {value:?}", read.get(key));
            }
        }
        // There must be no other variables.
        let count = read.as_object().map_or(0, Map::len);
        if count != expected.len() {
            lost += 1;
            println!("envman read {count} variables of {}", expected.len());
        }
    }
    println!("{cases} values through envman: {lost} lost");
    assert_eq!(lost, 0, "the values above differ");
}

fn run_piped(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ruby and envman are on the PATH");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // In another thread, because the child can write before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    writer.join().expect("no panic").expect("the program reads its input");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}
