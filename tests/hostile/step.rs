//! The binary on inputs that are small and stand for something huge: it ends soon, with one
//! plain sentence or with success, and within 64 MiB.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use stand_in::keys;

/// Starts the Step with 64 MiB of address space, where the system limits that: with less than
/// it wants, it aborts.
const LIMITED: &str =
    if cfg!(target_os = "linux") { "ulimit -v 65536 && exec \"$0\"" } else { "exec \"$0\"" };
/// Of a build without optimisation, on a machine that does other things too.
const MAX_TIME: Duration = Duration::from_secs(20);

/// Linux takes no longer text as the value of a variable.
const MAX_VARIABLE: usize = 128 * 1024 - 64;
const MAX_CONNECTION: usize = 4 * 1024 * 1024;

static PEM: LazyLock<String> = LazyLock::new(|| keys::P256::generate().expect("a random source").private_pem);

/// One run of the Step, with everything but the hostile part in order.
struct Run {
    inputs: Vec<(&'static str, String)>,
    envstore: Vec<u8>,
    connection: Option<Vec<u8>>,
}

impl Run {
    fn with_envstore(envstore: Vec<u8>) -> Self {
        let inputs = [
            ("connection", "off"),
            ("api_key_path", &PEM),
            ("api_key_id", "2X9R4HXF34"),
            ("api_issuer", "57246542-96fe-1a63-e053-0824d011072a"),
        ];
        let inputs = inputs.map(|(name, value)| (name, value.to_owned())).into();
        Self { inputs, envstore, connection: None }
    }

    fn with_key(key: &str) -> Self {
        let mut run = Self::with_envstore(b"envs: []\n".to_vec());
        run.inputs.push(("api_key_path", key.to_owned()));
        run
    }

    fn with_session(session: &str) -> Self {
        let inputs = [("connection", "off"), ("apple_id", "jane@example.com"), ("fastlane_session", session)];
        let inputs = inputs.map(|(name, value)| (name, value.to_owned())).into();
        Self { inputs, envstore: b"envs: []\n".to_vec(), connection: None }
    }

    fn with_connection(connection: String) -> Self {
        Self {
            inputs: Vec::new(),
            envstore: b"envs: []\n".to_vec(),
            connection: Some(connection.into_bytes()),
        }
    }

    fn run(&self, name: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("envstore.yml"), &self.envstore).expect("an envstore");
        let mut command = Command::new("sh");
        command
            .args(["-c", LIMITED, env!("CARGO_BIN_EXE_apple-services-connection")])
            .env_clear()
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("ENVMAN_ENVSTORE_PATH", path("envstore.yml"))
            .env("verify", "no")
            .envs(self.inputs.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null());
        if let Some(connection) = &self.connection {
            fs::write(path("connection.json"), connection).expect("a connection");
            command.env("build_url", format!("file://{}", path("connection.json").display()));
            command.env("build_api_token", "token");
        }
        let start = Instant::now();
        let output = command.output().expect("the Step starts");
        let time = start.elapsed();

        let log = String::from_utf8_lossy(&output.stdout);
        let last = log.lines().next_back().unwrap_or_default();
        assert!(time <= MAX_TIME, "{name}: {time:?}; {last}");
        let expected = match output.status.code() {
            Some(0) => "\u{1b}[32;1m",
            Some(1) => "\u{1b}[31;1m",
            None => panic!("{name}: {}; {last}; {}", output.status, String::from_utf8_lossy(&output.stderr)),
            Some(other) => panic!("{name}: exit status {other}; {last}"),
        };
        assert!(last.starts_with(expected), "{name}: {last}");
        assert!(!log.contains("The Step has a defect"), "{name}: {last}");
        if output.status.code() == Some(1) {
            assert_eq!(fs::read(path("envstore.yml")).expect("the envstore"), self.envstore, "{name}");
        }
    }
}

/// As often as it takes to come to this length.
fn fill(piece: &str, length: usize) -> String {
    piece.repeat(length / piece.len())
}

#[test]
fn no_session_takes_much() {
    let all = MAX_VARIABLE;
    let laugh = |n: usize| format!("  x{n}: &x{n} [{}]\n", fill(&format!("*x{},", n - 1), 60));
    let laughs = (1..30).map(laugh).collect::<Vec<_>>().concat();
    let sessions = [
        ("lists in lists", fill("[", all)),
        ("maps in maps", fill("{", all)),
        ("block lists in block lists", fill("- ", all)),
        ("keys in keys", fill("? ", all)),
        ("nothing, often", fill("-\n", all)),
        ("words", format!("[{}]", fill("a,", all - 2))),
        ("empty cookies", format!("[{}]", fill("{},", all - 2))),
        (
            "one value, often",
            format!("- {{name: DES1, value: &a {}, domain: a.b}}\n", fill("x", all / 2))
                + &fill("- {name: b, value: *a, domain: a.b}\n", all / 3),
        ),
        ("one cookie, often", format!("- &a {{{}}}\n", fill("k: ,", all / 2)) + &fill("- *a\n", all / 3)),
        (
            "one list, often",
            format!("- {{name: DES1, x: &a [{}], y: [{}]}}\n", fill("a,", all / 3), fill("*a,", all / 3)),
        ),
        ("a billion laughs", format!("- x0: &x0 [a,a,a,a,a,a,a,a,a,a]\n{laughs}")),
        ("itself", "&a [*a]".to_owned()),
        ("anchors", format!("[{}]", fill("&a b,", all - 2))),
        ("tags", fill("- !", all)),
        ("tag directives", fill("%TAG !a! b\n", all)),
        ("an open quote", format!("\"{}", fill("\\x41", all - 1))),
        ("documents", fill("---\n", all)),
        ("a long key", format!("? {}\n: y", fill("x", all - 10))),
        ("many variables", fill("FASTLANE_SESSION='", all)),
    ];
    for (name, session) in sessions {
        Run::with_session(&session).run(name);
    }
}

#[test]
fn no_envstore_takes_much() {
    let mib = 1024 * 1024;
    let envstores = [
        ("entries", format!("envs:\n{}", fill("- A: b\n", mib - 100))),
        ("empty entries", format!("envs:\n{}", fill("- A:\n", mib - 100))),
        ("more than is merged", format!("envs:\n{}", fill("- A: b\n", 2 * mib))),
        ("an entry of many parts", format!("envs:\n- A: b\n  opts: [{}]\n", fill("[],", 63 * 1024))),
        (
            "entries of many parts",
            format!("envs:\n{}", fill(&format!("- A: b\n  opts: [{}]\n", fill("a,", 60 * 1024)), mib - 100)),
        ),
        ("lists in lists", fill("[", mib)),
        ("lists in an entry", format!("envs:\n- A: {}\n", fill("[", 63 * 1024))),
        ("maps in an entry", format!("envs:\n- A: {}\n", fill("{a: ", 63 * 1024))),
        ("block lists in an entry", format!("envs:\n- A:\n  {}\n", fill("- ", 63 * 1024))),
        ("keys in an entry", format!("envs:\n- {}\n", fill("? ", 63 * 1024))),
        ("flat lists in an entry", format!("envs:\n- A: [{}]\n", fill("[[[[[]]]]],", 63 * 1024))),
        ("empty lists in entries", format!("envs:\n{}", fill("- A: [[],[[]]]\n", mib - 100))),
        ("words", format!("envs: [{}]\n", fill("a,", 63 * 1024))),
        ("comments", fill("#\n", 2 * mib)),
        ("a long value", format!("envs:\n- A: {}\n", fill("x", 30 * mib))),
        ("one value, often", format!("envs:\n- A: &a {}\n{}", fill("x", mib), fill("- B: *a\n", mib / 2))),
        (
            "one value, often, in one entry",
            format!("envs:\n- A: &a {}\n  opts: [{}]\n", fill("x", 30_000), fill("*a,", 30_000)),
        ),
        (
            "one entry, often",
            format!("envs:\n- &a {{A: b, opts: {{{}}}}}\n{}", fill("k: ,", 60_000), fill("- *a\n", mib)),
        ),
        ("zeros", fill("\0", 31 * mib)),
    ];
    for (name, envstore) in envstores {
        Run::with_envstore(envstore.into_bytes()).run(name);
    }
}

#[test]
fn an_envstore_of_any_length_is_not_read_beyond_its_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("huge.yml");
    fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a file with nothing in it");
    let mut run = Run::with_envstore(Vec::new());
    run.inputs.push(("ENVMAN_ENVSTORE_PATH", path.display().to_string()));
    run.run("a terabyte of nothing");
}

#[test]
fn no_connection_takes_much() {
    let all = MAX_CONNECTION - 200;
    let key = format!(
        r#""key_id":"2X9R4HXF34","issuer_id":"57246542-96fe-1a63-e053-0824d011072a","private_key":{:?}"#,
        PEM.as_str()
    );
    let apple_id = r#""apple_id":"jane@example.com","password":"x""#;
    let idmsa = "https://idmsa.apple.com";
    let device = r#"{"device_identifier":"a"},"#;
    let connections = [
        ("lists in lists", format!("{{\"x\":{}", fill("[", all))),
        ("objects in objects", fill("{\"x\":", all)),
        ("cookies", format!("{{\"session_cookies\":{{\"{idmsa}\":[{}{{}}]}}}}", fill("{},", all))),
        ("cookies elsewhere", format!("{{\"session_cookies\":{{\"a\":[{}{{}}]}}}}", fill("{},", all))),
        ("origins", format!("{{\"session_cookies\":{{{}\"a\":0}}}}", fill("\"a\":[{}],", all))),
        ("devices", format!("{{\"test_devices\":[{}{{}}]}}", fill("{},", all))),
        (
            "one device, often",
            format!("{{{key},\"test_devices\":[{}{{}}]}}", fill(device, 9_999 * device.len())),
        ),
        (
            "one device of a long name, often",
            format!(
                "{{{key},\"test_devices\":[{{\"device_identifier\":\"a\",\"title\":\"{}\"}},{}{{}}]}}",
                fill("\u{200b}", all - 400 * 1024),
                fill(device, 9_990 * device.len())
            ),
        ),
        ("a long Apple ID", format!("{{\"password\":\"x\",\"apple_id\":\"{}\"}}", fill("\u{e9}", all))),
        ("a long password", format!("{{{apple_id},\"app_specific_password\":\"{}\"}}", fill("\\u0001", all))),
        (
            "a long key",
            format!("{{\"key_id\":\"a\",\"issuer_id\":\"a\",\"private_key\":\"{}\"}}", fill("A", all)),
        ),
        (
            "a long key ID",
            format!("{{\"issuer_id\":\"a\",\"private_key\":\"a\",\"key_id\":\"{}\"}}", fill("A", all)),
        ),
        ("a long date", format!("{{{apple_id},\"connection_expiry_date\":\"{}\"}}", fill("2", all))),
        ("a long field", format!("{{\"{}\":1}}", fill("x", all))),
        (
            "a long cookie",
            format!(
                "{{{apple_id},\"session_cookies\":{{\"{idmsa}\":[{{\"name\":\"DES1\",\"value\":\"{}\"}}]}}}}",
                fill("\u{e9}", 250 * 1024)
            ),
        ),
        ("numbers", format!("{{\"x\":[{}1]}}", fill("1,", all))),
    ];
    for (name, connection) in connections {
        assert!(connection.len() <= MAX_CONNECTION, "{name}");
        Run::with_connection(connection).run(name);
    }
}

#[test]
fn no_key_takes_much() {
    let all = MAX_VARIABLE;
    let keys = [
        ("long", fill("A", all)),
        ("headers", fill("-----BEGIN PRIVATE KEY-----", all)),
        ("keys", fill(&PEM, 60 * 1024)),
        ("escapes", fill("\\n", 60 * 1024)),
        ("elements in elements", fill("MIIDMIIDMIID", 60 * 1024)),
        ("labels", fill("-----BEGIN -----END ", 60 * 1024)),
    ];
    for (name, key) in keys {
        Run::with_key(&key).run(name);
    }
}
