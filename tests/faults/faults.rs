//! One fault a row: what goes wrong, how the run must end, by when, and what it says.
//!
//! What must hold for every run is in [`test_support`]: exit status, one whole last red line,
//! the envstore as before or complete, no file left behind, no secret shown.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use stand_in::{Behaviour, Certificate, Connection, StandIn};

use test_support::{
    SERVER, Step, TOKEN, all, api_key, apple_id, busy, redirect, set_mode, status, unique_name,
};

/// How a run must end.
enum End {
    /// With everything exported.
    Passes,
    /// With this in the last red line.
    Fails(&'static str),
}
use End::{Fails, Passes};

struct Fault {
    what: String,
    step: Step,
    end: End,
    within: Duration,
}

/// No pause is needed.
const AT_ONCE: Duration = Duration::from_secs(15);
/// Three pauses of at most 1, 2 and 4 seconds, on a busy machine.
const AFTER_PAUSES: Duration = Duration::from_secs(25);

fn fault(what: impl Into<String>, step: Step, end: End, within: Duration) -> Fault {
    Fault { what: what.into(), step, end, within }
}

fn answered(what: &str, behaviours: Vec<Behaviour>, end: End, within: Duration) -> Fault {
    fault(what, Step::new().connected_with(&api_key(), behaviours), end, within)
}

/// Runs all rows at once: most of their time is waiting.
fn check(faults: Vec<Fault>) {
    thread::scope(|scope| {
        let runs: Vec<_> = faults.into_iter().map(|fault| scope.spawn(move || check_one(fault))).collect();
        let failed = runs.into_iter().filter_map(|run| run.join().err()).count();
        assert_eq!(failed, 0, "rows that did not end as they must");
    });
}

fn check_one(Fault { what, step, end, within }: Fault) {
    let outcome = step.run();
    println!("{what}: {:?} after {:.1} s", outcome.code, outcome.took.as_secs_f64());
    match end {
        Passes => outcome.check_success(),
        Fails(part) => {
            outcome.check_failure();
            assert!(outcome.error().contains(part), "{what}: {part:?} in {}", outcome.error());
        }
    }
    assert!(outcome.took < within, "{what} took {:?}", outcome.took);
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn served_by(server: &StandIn) -> String {
    let connection = Connection { token: TOKEN.to_owned(), body: api_key().to_string(), behaviours: vec![] };
    server.connection(&unique_name(), connection)
}

#[test]
fn faults_of_the_connection_to_bitrise() {
    use Behaviour::{ChunkedCut, CloseBeforeAnswer, EmptyBody, Gzip, Html, InvalidUtf8, Ok, Oversize};
    use Behaviour::{ResetBeforeAnswer, ResetMidBody, WrongContentLength};
    const UNREAD: &str = "The connection cannot be read: ";
    let refused = Step::new().set("build_url", format!("http://127.0.0.1:{}/build/x", closed_port()));
    let mut rows = vec![
        fault("connection refused", refused, Fails("could not be reached"), AFTER_PAUSES),
        answered("reset, then good", vec![ResetBeforeAnswer, Ok], Passes, AFTER_PAUSES),
        answered("reset in the middle, then good", vec![ResetMidBody, Ok], Passes, AFTER_PAUSES),
        answered("reset for ever", vec![ResetBeforeAnswer.forever()], Fails(UNREAD), AFTER_PAUSES),
        answered("reset in the middle for ever", vec![ResetMidBody.forever()], Fails(UNREAD), AFTER_PAUSES),
        answered("closed for ever", vec![CloseBeforeAnswer.forever()], Fails(UNREAD), AFTER_PAUSES),
        answered("wrong content length, then good", vec![WrongContentLength, Ok], Passes, AFTER_PAUSES),
        answered(
            "wrong content length for ever",
            vec![WrongContentLength.forever()],
            Fails(UNREAD),
            AFTER_PAUSES,
        ),
        answered("chunked answer cut, then good", vec![ChunkedCut, Ok], Passes, AFTER_PAUSES),
        answered("chunked answer cut for ever", vec![ChunkedCut.forever()], Fails(UNREAD), AFTER_PAUSES),
        answered("429 without Retry-After, then good", vec![status(429, &[]), Ok], Passes, AFTER_PAUSES),
        answered("429 with Retry-After, then good", vec![busy(429), Ok], Passes, AT_ONCE),
        answered("429 for ever", vec![busy(429).forever()], Fails("HTTP 429"), AT_ONCE),
        answered(
            "a body over the limit",
            vec![Oversize(5 << 20)],
            Fails("answered more than 4096 KiB"),
            AT_ONCE,
        ),
        answered("gzip that nobody asked for", vec![Gzip], Fails("no JSON"), AT_ONCE),
        answered("HTML", vec![Html], Fails("no JSON"), AT_ONCE),
        answered("an empty body", vec![EmptyBody], Fails("no JSON"), AT_ONCE),
        answered("invalid UTF-8", vec![InvalidUtf8], Fails(UNREAD), AT_ONCE),
        answered(
            "no HTTP at all",
            vec![Behaviour::Raw(b"hello".to_vec()).forever()],
            Fails(UNREAD),
            AFTER_PAUSES,
        ),
    ];
    for times in 1..=3 {
        rows.push(answered(
            &format!("500 {times} times, then good"),
            vec![busy(500); times],
            Passes,
            AT_ONCE,
        ));
    }
    rows.push(answered("500 four times", vec![busy(500); 4], Fails("HTTP 500"), AT_ONCE));
    check(rows);
}

#[test]
fn a_redirect_to_another_origin_does_not_get_the_token() {
    let other = StandIn::start().unwrap();
    let rows = [301, 302, 303, 307, 308].map(|code| {
        let to = served_by(&other) + "/apple_developer_portal_data.json";
        let behaviour = Behaviour::Redirect { code, to };
        answered(
            &format!("redirect {code}"),
            vec![behaviour],
            Fails("a redirect that is not followed"),
            AT_ONCE,
        )
    });
    check(rows.into());
    let here = answered(
        "redirect to itself",
        vec![redirect("/")],
        Fails("a redirect that is not followed"),
        AT_ONCE,
    );
    check(vec![here]);
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn json_of_the_wrong_shape_in_every_field() {
    let scalars = [
        "key_id",
        "issuer_id",
        "private_key",
        "apple_id",
        "password",
        "app_specific_password",
        "connection_expiry_date",
    ];
    let wrong = [json!(71), json!(true), json!(["canary-list"]), json!({"canary-key": 1})];
    let shape = |field: &str, value: &Value| {
        let connected = all([api_key(), apple_id(), json!({ field: value })]);
        let step = Step::new().connected_as_text(connected.to_string(), vec![]).secret("canary-");
        fault(format!("{field}: {value}"), step, Fails("JSON of an unexpected form in the field"), AT_ONCE)
    };
    let mut rows: Vec<_> =
        scalars.iter().flat_map(|field| wrong.iter().map(|value| shape(field, value))).collect();
    for value in [json!("canary-yes"), json!(1), json!([])] {
        rows.push(shape("is_enterprise_account", &value));
    }
    for value in [
        json!("canary-x"),
        json!([]),
        json!({"https://idmsa.apple.com": 1}),
        json!({"https://idmsa.apple.com": [1]}),
        json!({"https://idmsa.apple.com": [{"name": 1}]}),
        json!({"https://idmsa.apple.com": [{"secure": "canary-x"}]}),
    ] {
        rows.push(shape("session_cookies", &value));
    }
    for value in [json!("canary-x"), json!({}), json!([1]), json!([{"title": 1}])] {
        rows.push(shape("test_devices", &value));
    }
    let nested = format!("{{\"session_cookies\": {}", "[".repeat(10_000));
    for text in [nested, "[".repeat(10_000), "{\"a\":".repeat(10_000)] {
        let step = Step::new().connected_as_text(text, vec![]);
        rows.push(fault("nested ten thousand deep", step, Fails("The connection cannot be read"), AT_ONCE));
    }
    check(rows);
}

#[test]
fn certificates_that_must_not_be_trusted() {
    static SERVERS: LazyLock<[StandIn; 3]> = LazyLock::new(|| {
        [Certificate::SelfSigned, Certificate::Expired, Certificate::WrongHost]
            .map(|kind| StandIn::start_tls(kind).unwrap())
    });
    let rows = SERVERS.iter().map(|server| {
        let step = Step::new().set("build_url", served_by(server));
        // The CA that made them is trusted: what is wrong is each certificate itself.
        let step = match server.ca_pem() {
            Some(ca) => step.file("home/ca.pem", ca),
            None => step,
        };
        let ca = step.path("home/ca.pem");
        fault(
            server.origin(),
            step.set("SSL_CERT_FILE", ca),
            Fails("no certificate that this machine trusts"),
            AT_ONCE,
        )
    });
    check(rows.collect());
    for server in SERVERS.iter() {
        assert!(server.requests().is_empty(), "the token was not sent");
    }
}

#[test]
fn a_proxy_that_is_not_there() {
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    let step = Step::new().set("build_url", "https://bitrise.invalid/build/x").set("HTTPS_PROXY", proxy);
    check(vec![fault("unreachable proxy", step, Fails("could not be reached"), AFTER_PAUSES)]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_host_name_that_cannot_be_looked_up() {
    // With no attempts allowed, glibc's resolver gives up before it sends anything.
    let step =
        Step::new().set("build_url", "https://bitrise.invalid/build/x").set("RES_OPTIONS", "attempts:0");
    check(vec![fault("DNS failure", step, Fails("could not be reached"), AFTER_PAUSES)]);
}

#[test]
fn faults_of_the_envstore_and_the_temporary_folder() {
    let step = || Step::new().connected(&api_key());
    let read_only = |folder: &str| {
        let step = step().not_as_root();
        set_mode(step.path(folder), 0o500);
        step
    };
    let no_folder = step();
    let no_folder = {
        let path = no_folder.path("store/missing/envstore.yml");
        no_folder.set("ENVMAN_ENVSTORE_PATH", path)
    };
    let full = format!("envs:\n- BIG: {}\n", "x".repeat(255 * 1024 + 900));
    let linked = step();
    std::os::unix::fs::symlink(linked.path("tmp"), linked.path("home/tmp")).unwrap();
    let link = linked.path("home/tmp");
    let missing_tmp = step();
    let nowhere = missing_tmp.path("nowhere");
    check(vec![
        fault("an envstore that is not there yet", step(), Passes, AT_ONCE),
        fault("an empty envstore", step().envstore(""), Passes, AT_ONCE),
        fault("an envstore in a folder that is not there", no_folder, Fails("ENVMAN_ENVSTORE_PATH"), AT_ONCE),
        fault(
            "a damaged envstore, no envman",
            step().envstore("envs: ["),
            Fails("not in the form that envman writes"),
            AT_ONCE,
        ),
        fault("an envstore that is nearly full", step().envstore(full), Fails("at most 256 KiB"), AT_ONCE),
        fault(
            "a read-only folder for a new envstore",
            read_only("store"),
            Fails("cannot be exported"),
            AT_ONCE,
        ),
        fault("a read-only temporary folder", read_only("tmp"), Fails("set TMPDIR to a folder"), AT_ONCE),
        fault(
            "a temporary folder that is not there",
            missing_tmp.set("TMPDIR", nowhere),
            Fails("set TMPDIR to a folder"),
            AT_ONCE,
        ),
        fault("a temporary folder that is a link", linked.set("TMPDIR", link), Passes, AT_ONCE),
    ]);
}

#[test]
#[ignore = "waits for the real time limits, two minutes"]
fn stalls_end_at_the_time_limits() {
    use Behaviour::{Drip, Ok, StallBeforeHeader, StallInBody};
    const LONG: Duration = Duration::from_secs(600);
    let drip = || Drip { bytes: 1, every: Duration::from_secs(1) };
    let one_limit = Duration::from_secs(45);
    let four_limits = Duration::from_secs(150);
    check(vec![
        answered(
            "a stall before the header, then good",
            vec![StallBeforeHeader(LONG), Ok],
            Passes,
            one_limit,
        ),
        answered("a stall in the body, then good", vec![StallInBody(LONG), Ok], Passes, one_limit),
        answered("a slow drip, then good", vec![drip(), Ok], Passes, one_limit),
        answered(
            "a stall for ever",
            vec![StallBeforeHeader(LONG).forever()],
            Fails("did not answer within 30 seconds"),
            four_limits,
        ),
    ]);
}

/// A tmpfs of 64 KiB, mounted for the run and gone with it.
#[cfg(target_os = "linux")]
fn on_a_full_disk(step: Step, folder: &str) -> Step {
    let folder = step.path(folder);
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=0777 tmpfs '{0}' && \
         {{ cp \"$SEED\" '{0}/envstore.yml' 2>/dev/null; head -c 1000000 /dev/zero > '{0}/filler' 2>/dev/null; \"$0\"; status=$?; \
         rm -f '{0}/filler'; cp -a '{0}/.' \"$AFTER/\"; exit $status; }}",
        folder.display()
    );
    let (seed, after) = (step.path("home/seed"), step.path("after"));
    std::fs::create_dir(&after).unwrap();
    std::fs::write(&seed, "envs:\n- OLD: kept\n").unwrap();
    step.set("SEED", seed)
        .set("AFTER", after)
        .set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .under("unshare", &["--mount", "--map-root-user", "sh", "-c", &script])
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "mounts a small tmpfs in a namespace of its own"]
fn a_full_disk_leaves_the_envstore_as_it_was_and_no_file() {
    for folder in ["tmp", "store"] {
        let step = on_a_full_disk(Step::new().connected(&api_key()), folder);
        let outcome = step.run();
        assert_eq!(outcome.code, Some(1), "{folder}: {}", outcome.stdout);
        assert!(outcome.error().contains("No space left on device"), "{folder}: {}", outcome.error());
        let after = outcome.root.path().join("after");
        let names = test_support::names_in(&after);
        assert_eq!(
            names.into_iter().collect::<Vec<_>>(),
            ["envstore.yml"],
            "{folder}: nothing is left on that disk"
        );
        let text = std::fs::read_to_string(after.join("envstore.yml")).unwrap();
        assert_eq!(text, "envs:\n- OLD: kept\n", "{folder}");
        assert_eq!(outcome.leftovers.len(), 0, "{folder}: {:?}", outcome.leftovers);
    }
}

#[test]
fn one_server_served_all_of_it() {
    // Guards the helper above: rows that never reached the stand-in would prove nothing.
    let before = SERVER.requests().len();
    check(vec![answered("good", vec![], Passes, AT_ONCE)]);
    assert!(SERVER.requests().len() > before);
}
