//! Compares the cost of a run of the Step with the cost of doing the same work without it.
//!
//! Runs the release binary against a server on loopback, over TLS, alternating with one `curl` of the same URL and
//! with a shell script that does the same work. Reports medians of wall time, CPU time and peak memory, and
//! counts system calls with `strace`. `curl` and the Step with a connected API key run with the system's
//! certificate bundle and with a trust store of one certificate, to show the cost of the trust store. Also times
//! the hot paths: parsing `step.yml`, keys and sessions, and writing sessions and envstores.
//!
//! Prints the results as tables, and writes them to `bench.json` in cargo's target folder. `BENCH_ROUNDS` sets
//! the number of rounds. Needs `curl`, `jq`, `envman`, and on Linux `strace`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark ends with a panic if it can't measure"
)]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use apple_services_connection::apple::cookie::CookieRecord;
use apple_services_connection::apple::private_key::PrivateKey;
use apple_services_connection::apple::session::Session;
use apple_services_connection::bitrise::entry::Entry;
use apple_services_connection::bitrise::envstore;
use apple_services_connection::bitrise::limits::Limits;
use apple_services_connection::bitrise::step_yml::StepYml;
use apple_services_connection::formats::fastlane_session::{from_pasted, to_variable};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stand_in::keys::P256;
use stand_in::{Account, Certificate, Connection, PublicKey, StandIn, Team};
use tempfile::TempDir;

const STEP: &str = env!("CARGO_BIN_EXE_apple-services-connection");
const BY_HAND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/by_hand.sh");

const BUILD_API_TOKEN: &str = "build-api-token";
const KEY_ID: &str = "2X9R4HXF34";
const ISSUER_ID: &str = "57246542-96fe-1a63-e053-0824d011072a";

/// A program whose runs are measured.
struct Candidate {
    name: String,
    program: String,
    arguments: Vec<String>,
    env: Vec<(&'static str, String)>,
}

/// The cost of one run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Cost {
    wall_us: i64,
    cpu_us: i64,
    peak_kib: i64,
}

/// A row of the table: medians of all rounds, and counts from one run under strace.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    cost: Cost,
    system_calls: Option<u64>,
    /// The number of threads and processes that the run starts.
    starts: Option<u64>,
}

#[derive(Debug, Serialize)]
struct HotPath {
    name: String,
    /// The median time of a call.
    ns: u128,
    /// The minimum, to compare two paths: other load on the machine can only make a call slower.
    min_ns: u128,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // A small process starts each run, because a child's peak memory is at least that of its parent.
    if let [flag, program, arguments @ ..] = arguments.as_slice()
        && flag == "--measure"
    {
        println!("{}", serde_json::to_string(&measure(program, arguments)).expect("numbers"));
        return ExitCode::SUCCESS;
    }
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(100);
    let server = StandIn::start_tls(Certificate::Good).expect("a port of loopback");
    let folder = tempfile::tempdir().expect("a folder");
    let candidates = candidates(&server, folder.path());
    let rows = measure_all(&candidates, rounds);
    let hot_paths = hot_paths(Duration::from_millis(if rounds < 20 { 50 } else { 500 }));
    let report = report(rounds, &rows, &hot_paths);
    print_table(&rows, &hot_paths, &report);

    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let path = target.join("bench.json");
    fs::write(&path, serde_json::to_string_pretty(&report).expect("numbers")).expect("the target folder");
    println!("\n{}", path.display());
    ExitCode::SUCCESS
}

// --- Whole runs ---------------------------------------------------------------------

/// A file of trusted certificates, for the Step and for `curl`.
struct TrustStore {
    name: &'static str,
    path: String,
}

/// The system's bundle plus the server's CA, and that CA alone.
fn trust_stores(server: &StandIn, folder: &Path) -> [TrustStore; 2] {
    let authority = server.ca_pem().expect("a server with TLS");
    let bundle = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"];
    let bundle = bundle.iter().find_map(|path| fs::read_to_string(path).ok());
    let bundle = bundle.expect("the system's bundle of certificates (ca-certificates)");
    let write = |name, text: String| {
        let path = folder.join(format!("{}.pem", text.len()));
        fs::write(&path, text).expect("a trust store");
        TrustStore { name, path: path.display().to_string() }
    };
    [
        write("system's bundle", format!("{bundle}\n{authority}")),
        write("one certificate", authority.to_owned()),
    ]
}

fn candidates(server: &StandIn, folder: &Path) -> Vec<Candidate> {
    let key = P256::generate().expect("a random source");
    let key_path = folder.join(format!("AuthKey_{KEY_ID}.p8"));
    fs::write(&key_path, &key.private_pem).expect("a key file");
    let key_path = key_path.display().to_string();
    let add_connection = |name, body: Value| {
        server.connection(
            name,
            Connection { token: BUILD_API_TOKEN.to_owned(), body: body.to_string(), behaviours: vec![] },
        )
    };
    let connection = add_connection(
        "api-key",
        json!({"key_id": KEY_ID, "issuer_id": ISSUER_ID, "private_key": key.private_pem, "test_devices": []}),
    );
    let cookies = Value::Array(cookies());
    let apple_id = add_connection(
        "apple-id",
        json!({
            "apple_id": "jane@example.com", "password": "p4ssw0rd", "app_specific_password": "abcd-efgh-ijkl-mnop",
            "connection_expiry_date": "2099-12-01T08:00:00Z", "session_cookies": {"https://idmsa.apple.com": cookies},
        }),
    );
    let account = Account {
        public_key: PublicKey::from_spki_pem(&key.public_pem).expect("a public key"),
        key_id: KEY_ID.to_owned(),
        issuer_id: Some(ISSUER_ID.to_owned()),
        enterprise: false,
        clock_skew_seconds: 0,
        behaviours: vec![],
    };
    let account = server.app_store_connect_team(
        "account",
        account,
        Team::with_apps([BUNDLE_ID]).with_distribution_certificates(["2099-12-01T08:00:00.000+0000"]),
    );
    let url = format!("{connection}/apple_developer_portal_data.json");
    let output = folder.join("response.json").display().to_string();
    let header = format!("BUILD_API_TOKEN: {BUILD_API_TOKEN}");
    let token = ("build_api_token", BUILD_API_TOKEN);
    let stores = trust_stores(server, folder);
    let mut candidates = Vec::new();
    for TrustStore { name, path } in &stores {
        let trust = ("SSL_CERT_FILE", path.as_str());
        let connected = [trust, token, ("build_url", connection.as_str())];
        let api = ("app_store_connect_url", account.as_str());
        let label = |run: &str| format!("{run} ({name})");
        candidates.extend([
            tool(label(CURL), "curl", &["-fsS", "--cacert", path, "-H", &header, "-o", &output, &url], &[]),
            step(label(UNVERIFIED), &[&connected[..], &[("verify", "no")]].concat()),
            step(label(DEFAULT), &[&connected[..], &[api]].concat()),
            step(
                label(ALL_CHECKS),
                &[
                    &connected[..],
                    &[api, ("bundle_id", BUNDLE_ID), ("required_access", "provisioning, admin")],
                ]
                .concat(),
            ),
        ]);
    }
    let [TrustStore { path: bundle, .. }, _] = &stores;
    let by_hand_env = [
        ("CURL_CA_BUNDLE", bundle.as_str()),
        ("BITRISE_BUILD_URL", &connection),
        ("BITRISE_BUILD_API_TOKEN", BUILD_API_TOKEN),
    ];
    let trust = ("SSL_CERT_FILE", bundle.as_str());
    candidates.extend([
        tool(BY_HAND_ROW.to_owned(), "bash", &[BY_HAND], &by_hand_env),
        step(
            "Step: Apple ID, without verification (system's bundle)".to_owned(),
            &[trust, token, ("verify", "no"), ("build_url", &apple_id)],
        ),
        step(
            "Step: inputs only, without verification".to_owned(),
            &[
                ("verify", "no"),
                ("connection", "off"),
                ("api_key_path", &key_path),
                ("api_issuer", ISSUER_ID),
            ],
        ),
        tool("a process that does nothing".to_owned(), "true", &[], &[]),
    ]);
    candidates
}

const CURL: &str = "one curl of the same URL";
const UNVERIFIED: &str = "Step: API key, without verification";
const DEFAULT: &str = "Step: API key, default run";
const ALL_CHECKS: &str = "Step: API key, bundle_id and required_access";
const BY_HAND_ROW: &str = "script: API key by hand (system's bundle)";
const BUNDLE_ID: &str = "com.example.app";

fn step(name: String, env: &[(&'static str, &str)]) -> Candidate {
    Candidate {
        name,
        program: STEP.to_owned(),
        arguments: Vec::new(),
        env: env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    }
}

fn tool(name: String, program: &str, arguments: &[&str], env: &[(&'static str, &str)]) -> Candidate {
    Candidate {
        program: program.to_owned(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        ..step(name, env)
    }
}

/// Cookies that are as long as those of a real session.
fn cookies() -> Vec<Value> {
    let cookie = |name: &str, domain: &str, repeats| {
        json!({
            "name": name, "value": "HSARMTKNSRVXWFla".repeat(repeats), "domain": domain, "path": "/", "secure": true,
            "httponly": true, "expires": "2099-12-01T08:00:00Z",
        })
    };
    let mut cookies = vec![
        cookie("myacinfo", "apple.com", 50),
        cookie("DES5c148586daa451e55afb017aa62418f91", "idmsa.apple.com", 30),
    ];
    cookies.extend((0..10).map(|number| cookie(&format!("cookie{number}"), "idmsa.apple.com", 4)));
    cookies
}

/// Runs every candidate once per round, so that other load on the machine affects all of them equally.
fn measure_all(candidates: &[Candidate], rounds: usize) -> Vec<Row> {
    let mut costs: Vec<Vec<Cost>> = candidates.iter().map(|_| Vec::with_capacity(rounds)).collect();
    // The first round only fills caches.
    for round in 0..=rounds {
        for (candidate, costs) in candidates.iter().zip(&mut costs) {
            let cost = candidate.run();
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let rows = candidates.iter().zip(costs).map(|(candidate, costs)| {
        let median_of = |part: fn(&Cost) -> i64| median(costs.iter().map(part).collect());
        let cost = Cost {
            wall_us: median_of(|cost| cost.wall_us),
            cpu_us: median_of(|cost| cost.cpu_us),
            peak_kib: median_of(|cost| cost.peak_kib),
        };
        let calls = candidate.system_calls();
        Row {
            name: candidate.name.clone(),
            cost,
            system_calls: calls.as_ref().map(|calls| calls.iter().map(|(_, count)| count).sum()),
            starts: calls.map(|calls| {
                let forks = ["clone", "clone3", "fork", "vfork"];
                calls.iter().filter(|(name, _)| forks.contains(&name.as_str())).map(|(_, count)| count).sum()
            }),
        }
    });
    rows.collect()
}

impl Candidate {
    /// Prepares a command that runs the candidate through `program`, with a new home folder and an empty envstore.
    fn command(&self, program: &str, arguments: &[&str]) -> (Command, TempDir) {
        let home = tempfile::tempdir().expect("a folder");
        let envstore = home.path().join("envstore.yml");
        fs::write(&envstore, "envs: []\n").expect("an envstore");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .env("ENVMAN_ENVSTORE_PATH", envstore)
            .envs(self.env.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null());
        (command, home)
    }

    fn run(&self) -> Cost {
        let benchmark = std::env::current_exe().expect("the path of this program");
        let (mut command, home) = self.command(&benchmark.display().to_string(), &["--measure"]);
        let output = command.output().expect("this program runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", self.name);
        if self.name.starts_with("Step") || self.name.starts_with("script") {
            let envstore = fs::read_to_string(home.path().join("envstore.yml")).expect("an envstore");
            assert!(envstore.contains("APPLE_AUTH_METHOD"), "{} exported nothing", self.name);
        }
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// The number of calls of each system call, child processes included. `None` except on Linux, which has strace.
    fn system_calls(&self) -> Option<Vec<(String, u64)>> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let counts = tempfile::NamedTempFile::new().expect("a file");
        let file = counts.path().display().to_string();
        let (mut command, _home) =
            self.command("strace", &["-f", "-c", "-U", "name,calls", "-o", &file, "--"]);
        let status = command.stdout(Stdio::null()).status().expect("strace is installed");
        assert!(status.success(), "{} under strace", self.name);
        let table = fs::read_to_string(counts.path()).expect("the counts from strace");
        let rows = table.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, calls) = (words.next()?, words.next()?.parse().ok()?);
            (name != "total").then(|| (name.to_owned(), calls))
        });
        Some(rows.collect())
    }
}

/// Runs a program once and measures it.
fn measure(program: &str, arguments: &[String]) -> Cost {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let wall_us = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
    assert!(status.success(), "{program}: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the usage of children");
    // macOS reports bytes, other systems KiB.
    let units_per_kib = if cfg!(target_os = "macos") { 1024 } else { 1 };
    let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Cost { wall_us, cpu_us, peak_kib: usage.max_rss() / units_per_kib }
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    *values.get(values.len() / 2).expect("at least one round")
}

// --- Hot paths ----------------------------------------------------------------------

fn hot_paths(span: Duration) -> Vec<HotPath> {
    let pem = P256::generate().expect("a random source").private_pem;
    let one_line = format!("\"{}\"", pem.replace('\n', "\\n"));
    let records: Vec<CookieRecord> = serde_json::from_value(Value::Array(cookies())).expect("records");
    let session = Session::from_connection(records, None).expect("a session");
    let pasted = to_variable(&session);
    let mut paths = vec![
        time("step.yml, parsed in every run", span, || StepYml::embedded().is_ok()),
        time("key, as downloaded", span, || {
            black_box(PrivateKey::from_bytes(black_box(pem.as_bytes()))).is_ok()
        }),
        time("key, on one line in quotes", span, || {
            black_box(PrivateKey::from_bytes(black_box(one_line.as_bytes()))).is_ok()
        }),
        time("session of 12 cookies, rendered", span, || {
            !black_box(to_variable(&session)).expose_secret().is_empty()
        }),
        time("session of 12 cookies, pasted", span, || from_pasted(black_box(&pasted)).is_ok()),
    ];
    for entries in [10, 100, 1000] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("envstore.yml");
        fs::write(&path, envstore_of(entries)).expect("an envstore");
        let name = format!("16 outputs added to an envstore of {entries}");
        paths.push(time(&name, span, || envstore::write(&path, &outputs(), NO_LIMITS).is_ok()));
    }
    paths
}

const NO_LIMITS: Limits = Limits { env_bytes_limit_in_kb: Some(0), env_list_bytes_limit_in_kb: Some(0) };

/// An envstore in the format that envman writes.
fn envstore_of(entries: usize) -> String {
    let entry = |number| {
        format!("- VARIABLE_{number}: some value of number {number}\n  opts:\n    is_expand: false\n")
    };
    let entries: Vec<String> = (0..entries).map(entry).collect();
    format!("envs:\n{}", entries.concat())
}

fn outputs() -> Vec<Entry> {
    let names = apple_services_connection::tools::output_names().into_iter().take(16);
    names.map(|key| Entry { key: key.into(), value: Some("a value".into()), is_sensitive: false }).collect()
}

/// Times a function, which it calls repeatedly for this long and at least ten times.
fn time(name: &str, span: Duration, mut call: impl FnMut() -> bool) -> HotPath {
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < span || times.len() < 10 {
        let start = Instant::now();
        assert!(call(), "{name} failed");
        times.push(start.elapsed().as_nanos());
    }
    let min_ns = times.iter().copied().min().unwrap_or_default();
    HotPath { name: name.to_owned(), ns: median(times), min_ns }
}

// --- The report ---------------------------------------------------------------------

/// The run, the trust store, and the target for the ratio of the run's wall or CPU time to that of one `curl`.
const TARGETS: [(&str, &str, f64); 6] = [
    (UNVERIFIED, "system's bundle", 0.18),
    (DEFAULT, "system's bundle", 0.22),
    (ALL_CHECKS, "system's bundle", 0.3),
    (UNVERIFIED, "one certificate", 0.5),
    (DEFAULT, "one certificate", 0.65),
    (ALL_CHECKS, "one certificate", 0.75),
];

fn report(rounds: usize, rows: &[Row], hot_paths: &[HotPath]) -> Value {
    let cost = |name: &str| rows.iter().find(|row| row.name == name).expect("the row").cost;
    let ratios = TARGETS.map(|(run, store, target)| {
        let (run_cost, curl) = (cost(&format!("{run} ({store})")), cost(&format!("{CURL} ({store})")));
        json!({
            "run": run,
            "trust_store": store,
            "target": target,
            "wall_to_curl": run_cost.wall_us as f64 / curl.wall_us as f64,
            "cpu_to_curl": run_cost.cpu_us as f64 / curl.cpu_us as f64,
        })
    });
    let min_ns =
        |name: &str| hot_paths.iter().find(|path| path.name.ends_with(name)).expect("the path").min_ns as f64;
    let steps = || rows.iter().filter(|row| row.name.starts_with("Step"));
    let unverified = cost(&format!("{UNVERIFIED} (system's bundle)"));
    json!({
        "rounds": rounds,
        "runs": rows,
        "hot_paths": hot_paths,
        "ratios": ratios,
        "wall_to_script": unverified.wall_us as f64 / cost(BY_HAND_ROW).wall_us as f64,
        // 10 if the cost grows linearly with the number of entries.
        "envstore_1000_to_100": min_ns("envstore of 1000") / min_ns("envstore of 100"),
        "peak_kib": steps().map(|row| row.cost.peak_kib).max(),
        "starts": steps().filter_map(|row| row.starts).max(),
    })
}

fn print_table(rows: &[Row], hot_paths: &[HotPath], report: &Value) {
    println!("| run (median) | wall | CPU | peak memory | system calls | threads and processes started |");
    println!("|---|--:|--:|--:|--:|--:|");
    let or_unknown = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    for Row { name, cost, system_calls, starts } in rows {
        let ms = |us: i64| us as f64 / 1000.0;
        println!(
            "| {name} | {:.1} ms | {:.1} ms | {:.1} MiB | {} | {} |",
            ms(cost.wall_us),
            ms(cost.cpu_us),
            cost.peak_kib as f64 / 1024.0,
            or_unknown(*system_calls),
            or_unknown(*starts)
        );
    }
    println!("\n| hot path (median) | time |\n|---|--:|");
    for HotPath { name, ns, min_ns: _ } in hot_paths {
        println!("| {name} | {:.1} µs |", *ns as f64 / 1000.0);
    }
    println!("\n| ratio to one `curl` | target | wall | CPU |\n|---|--:|--:|--:|");
    let number = |object: &Value, name: &str| object.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    for ratio in report.get("ratios").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| ratio.get(name).and_then(Value::as_str).unwrap_or_default();
        println!(
            "| {} ({}) | {:.2} | {:.2} | {:.2} |",
            text("run"),
            text("trust_store"),
            number(ratio, "target"),
            number(ratio, "wall_to_curl"),
            number(ratio, "cpu_to_curl"),
        );
    }
    println!("\n| | target | |\n|---|--:|--:|");
    println!(
        "| ratio to the script, without verification | 0.05 | {:.2} |",
        number(report, "wall_to_script")
    );
    println!(
        "| ratio of an envstore of 1,000 to one of 100 | 10 | {:.1} |",
        number(report, "envstore_1000_to_100")
    );
    println!("| peak memory, MiB | 8 | {:.1} |", number(report, "peak_kib") / 1024.0);
}
