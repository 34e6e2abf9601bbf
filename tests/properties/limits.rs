//! Inputs that are huge or expand to something huge: the binary succeeds or fails with an error, and needs at
//! most 64 MiB and 10 seconds of CPU time.

use std::fs;

use test_support::{INPUT_ISSUER, INPUT_KEY_ID, Step, in_parallel, pem};

/// Limits the memory and CPU time of the Step, which aborts if it needs more. Only Linux limits the address
/// space. An optimized build needs far less CPU time.
const LIMITED: &str = if cfg!(target_os = "linux") {
    "ulimit -v 65536 && ulimit -t 10 && exec \"$0\""
} else {
    "ulimit -t 10 && exec \"$0\""
};

/// Just under the longest value of a variable that Linux accepts.
const MAX_VARIABLE: usize = 128 * 1024 - 64;
const MAX_CONNECTION: usize = 4 * 1024 * 1024;

fn with_envstore(envstore: &str) -> Step {
    Step::off_bitrise().with_key_inputs().set("connection", "off").envstore(envstore)
}

fn with_key(key: &str) -> Step {
    with_envstore("envs: []\n").set("api_key_path", key)
}

fn with_session(session: &str) -> Step {
    let step = Step::off_bitrise().set("connection", "off").set("apple_id", "jane@example.com");
    step.set("fastlane_session", session).envstore("envs: []\n")
}

fn with_connection(connection: &str) -> Step {
    let step = Step::off_bitrise().file("work/connection.json", connection).envstore("envs: []\n");
    let url = format!("file://{}", step.path("work/connection.json").display());
    step.set("build_url", url).set("build_api_token", "canary-token")
}

/// Runs all rows at the same time, because a failed run pauses before it ends.
fn check_all(rows: Vec<(&str, String)>, step: fn(&str) -> Step) {
    in_parallel(rows, |(name, text)| check(name, step(&text)));
}

fn check(name: &str, step: Step) {
    let outcome = step.under("sh", &["-c", LIMITED]).run();
    assert!(!outcome.stdout.contains("Please report this"), "{name}: {}", outcome.stdout);
    if outcome.code != Some(0) {
        outcome.assert_failure();
    }
}

/// Repeats the piece up to this length. The lengths below are arbitrary, unless they are a limit.
fn fill(piece: &str, length: usize) -> String {
    piece.repeat(length / piece.len())
}

#[test]
fn sessions_of_any_size_stay_within_the_limits() {
    let max = MAX_VARIABLE;
    let laugh = |n: usize| format!("  x{n}: &x{n} [{}]\n", fill(&format!("*x{},", n - 1), 60));
    let laughs = (1..30).map(laugh).collect::<Vec<_>>().concat();
    let sessions = vec![
        ("lists in lists", fill("[", max)),
        ("block lists in block lists", fill("- ", max)),
        ("keys in keys", fill("? ", max)),
        ("many empty entries", fill("-\n", max)),
        ("words", format!("[{}]", fill("a,", max - 2))),
        ("empty cookies", format!("[{}]", fill("{},", max - 2))),
        ("a billion laughs", format!("- x0: &x0 [a,a,a,a,a,a,a,a,a,a]\n{laughs}")),
        ("a list that contains itself", "&a [*a]".to_owned()),
        ("anchors", format!("[{}]", fill("&a b,", max - 2))),
        ("tags", fill("- !", max)),
        ("tag directives", fill("%TAG !a! b\n", max)),
        ("an open quote", format!("\"{}", fill("\\x41", max - 1))),
        ("documents", fill("---\n", max)),
        ("a long key", format!("? {}\n: y", fill("x", max - 10))),
        ("many variables", fill("FASTLANE_SESSION='", max)),
    ];
    check_all(sessions, with_session);
}

#[test]
fn envstores_of_any_size_stay_within_the_limits() {
    let mib = 1024 * 1024;
    let envstores = vec![
        ("entries", format!("envs:\n{}", fill("- A: b\n", mib - 100))),
        ("empty entries", format!("envs:\n{}", fill("- A:\n", mib - 100))),
        ("more entries than are merged", format!("envs:\n{}", fill("- A: b\n", 2 * mib))),
        ("an entry of many parts", format!("envs:\n- A: b\n  opts: [{}]\n", fill("[],", 63 * 1024))),
        (
            "entries of many parts",
            format!("envs:\n{}", fill(&format!("- A: b\n  opts: [{}]\n", fill("a,", 60 * 1024)), mib - 100)),
        ),
        ("lists in lists", fill("[", mib)),
        ("lists in lists in an entry", format!("envs:\n- A: {}\n", fill("[", mib))),
        ("lists in lists, with quoted closing brackets", format!("envs:\n- A: [{}\n", fill("\"]\",[", mib))),
        ("mappings in mappings", format!("envs:\n- A: b\n  opts: {}\n", fill("{? ", mib))),
        ("many shallow lists in an entry", format!("envs:\n- A: [{}]\n", fill("[[[[[]]]]],", 63 * 1024))),
        ("empty lists in entries", format!("envs:\n{}", fill("- A: [[],[[]]]\n", mib - 100))),
        ("words", format!("envs: [{}]\n", fill("a,", 63 * 1024))),
        ("comments", fill("#\n", 2 * mib)),
        ("a long value", format!("envs:\n- A: {}\n", fill("x", 6 * mib))),
        (
            "many aliases in one entry",
            format!("envs:\n- A: &a {}\n  opts: [{}]\n", fill("x", 30_000), fill("*a,", 30_000)),
        ),
        ("zeros", fill("\0", 20 * mib)),
    ];
    check_all(envstores, with_envstore);
}

#[test]
fn a_huge_envstore_is_not_read_beyond_the_size_limit() {
    const LENGTH: u64 = 1 << 40;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("huge.yml");
    let file = fs::File::create(&path).expect("a file");
    file.set_len(LENGTH).expect("a sparse file");
    check("a terabyte of nothing", with_envstore("").set("ENVMAN_ENVSTORE_PATH", &path));
    assert_eq!(file.metadata().expect("it is still there").len(), LENGTH);
}

#[test]
fn connections_of_any_size_stay_within_the_limits() {
    let max = MAX_CONNECTION - 200;
    let key = format!(r#""key_id":"{INPUT_KEY_ID}","issuer_id":"{INPUT_ISSUER}","private_key":{:?}"#, pem());
    let apple_id = r#""apple_id":"jane@example.com","password":"x""#;
    let idmsa = "https://idmsa.apple.com";
    let device = r#"{"device_identifier":"a"},"#;
    let connections = vec![
        ("lists in lists", format!("{{\"x\":{}", fill("[", max))),
        ("objects in objects", fill("{\"x\":", max)),
        ("cookies", format!("{{\"session_cookies\":{{\"{idmsa}\":[{}{{}}]}}}}", fill("{},", max))),
        ("origins", format!("{{\"session_cookies\":{{{}\"a\":0}}}}", fill("\"a\":[{}],", max))),
        ("devices", format!("{{\"test_devices\":[{}{{}}]}}", fill("{},", max))),
        (
            "objects in a device",
            format!("{{\"test_devices\":[{{\"title\":[{}0]}}]}}", fill("{\"\":0},", max)),
        ),
        (
            "one device with a long name many times",
            format!(
                "{{{key},\"test_devices\":[{{\"device_identifier\":\"a\",\"title\":\"{}\"}},{}{{}}]}}",
                fill("\u{200b}", max - 400 * 1024),
                fill(device, 9_990 * device.len())
            ),
        ),
        ("a long Apple ID", format!("{{\"password\":\"x\",\"apple_id\":\"{}\"}}", fill("\u{e9}", max))),
        ("a long password", format!("{{{apple_id},\"app_specific_password\":\"{}\"}}", fill("\\u0001", max))),
        (
            "a long key",
            format!("{{\"key_id\":\"a\",\"issuer_id\":\"a\",\"private_key\":\"{}\"}}", fill("A", max)),
        ),
        (
            "a long key ID",
            format!("{{\"issuer_id\":\"a\",\"private_key\":\"a\",\"key_id\":\"{}\"}}", fill("A", max)),
        ),
        ("a long date", format!("{{{apple_id},\"connection_expiry_date\":\"{}\"}}", fill("2", max))),
        ("a long field", format!("{{\"{}\":1}}", fill("x", max))),
        (
            "a long cookie",
            format!(
                "{{{apple_id},\"session_cookies\":{{\"{idmsa}\":[{{\"name\":\"DES1\",\"value\":\"{}\"}}]}}}}",
                fill("\u{e9}", 250 * 1024)
            ),
        ),
        ("numbers", format!("{{\"x\":[{}1]}}", fill("1,", max))),
    ];
    assert!(connections.iter().all(|(_, connection)| connection.len() <= MAX_CONNECTION));
    check_all(connections, with_connection);
}

#[test]
fn keys_of_any_size_stay_within_the_limits() {
    let max = MAX_VARIABLE;
    let keys = vec![
        ("long", fill("A", max)),
        ("headers", fill("-----BEGIN PRIVATE KEY-----", max)),
        ("keys", fill(pem(), 60 * 1024)),
        ("escapes", fill("\\n", 60 * 1024)),
        ("elements in elements", fill("MIIDMIIDMIID", 60 * 1024)),
        ("labels", fill("-----BEGIN -----END ", 60 * 1024)),
    ];
    check_all(keys, with_key);
}
