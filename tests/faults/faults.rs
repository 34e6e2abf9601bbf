//! Faults of networks, name resolution and disks: how a run ends, how soon, and with which error.

use std::net::TcpListener;
use std::time::Duration;

use stand_in::Behaviour;
use test_support::snapshots::assert_messages;

use test_support::{INPUT_ISSUER, SERVER, Step, account, api_key, in_parallel, status, unique_name};

/// A fault and its effect.
struct Fault {
    what: &'static str,
    step: Step,
    succeeds: bool,
    /// The number of requests that the stand-in receives.
    requests: usize,
    max_duration: Duration,
}

/// Enough for the three pauses between tries, which take at most 7 seconds, on a busy machine.
const FOUR_TRIES: Duration = Duration::from_secs(25);

fn failing(what: &'static str, step: Step, requests: usize) -> Fault {
    Fault { what, step, succeeds: false, requests, max_duration: FOUR_TRIES }
}

/// The connection can be read on the second try.
fn succeeds_on_retry(what: &'static str, behaviour: Behaviour) -> Fault {
    let step = Step::new().connected_with(&api_key(), vec![behaviour, Behaviour::Ok]);
    Fault { what, step, succeeds: true, requests: 2, max_duration: FOUR_TRIES }
}

/// The connection cannot be read on any try.
fn fails_on_every_try(what: &'static str, behaviour: Behaviour) -> Fault {
    failing(what, Step::new().connected_with(&api_key(), vec![behaviour.forever()]), 4)
}

/// Runs the Step once for each fault, in parallel, and compares the errors with the snapshot of this name.
fn check(name: &str, faults: Vec<Fault>) {
    let messages = in_parallel(faults, |Fault { what, step, succeeds, requests, max_duration }| {
        let scenario = step.scenario().to_owned();
        let outcome = step.run();
        assert!(outcome.took < max_duration, "{what} took {:?}", outcome.took);
        assert_eq!(SERVER.requests_for(&scenario).len(), requests, "{what}");
        if succeeds {
            outcome.assert_success();
            return None;
        }
        outcome.assert_failure();
        Some((what, outcome.error()))
    });
    assert_messages(name, messages.into_iter().flatten());
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_failed_request_is_tried_up_to_four_times() {
    use Behaviour::{ChunkedCut, CloseBeforeAnswer, ResetBeforeAnswer, ResetMidBody, WrongContentLength};
    let not_http = Behaviour::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec());
    let refused = Step::new().set("build_url", format!("http://127.0.0.1:{}/build/x", closed_port()));
    let with_key_at = |url: String| {
        let step = Step::off_bitrise().set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
        step.secret("canary-signature")
    };
    let key_refused = format!("http://127.0.0.1:{}/AuthKey_FROMINPUT1.p8?canary-signature", closed_port());
    let reset = vec![ResetBeforeAnswer.forever()];
    let key_reset = SERVER.file(&unique_name(), "AuthKey_FROMINPUT1.p8", "", reset) + "?canary-signature";
    let closed_proxy = format!("http://127.0.0.1:{}", closed_port());
    let missing_proxy =
        Step::new().set("build_url", "https://bitrise.invalid/build/x").set("HTTPS_PROXY", closed_proxy);
    let rows = vec![
        succeeds_on_retry("reset, then a good response", ResetBeforeAnswer),
        succeeds_on_retry("reset in the middle, then a good response", ResetMidBody),
        succeeds_on_retry("wrong content length, then a good response", WrongContentLength),
        succeeds_on_retry("chunked response cut, then a good response", ChunkedCut),
        succeeds_on_retry("429 without Retry-After, then a good response", status(429, &[])),
        fails_on_every_try("reset", ResetBeforeAnswer),
        fails_on_every_try("reset in the middle", ResetMidBody),
        fails_on_every_try("closed", CloseBeforeAnswer),
        fails_on_every_try("wrong content length", WrongContentLength),
        fails_on_every_try("chunked response cut", ChunkedCut),
        fails_on_every_try("no HTTP at all", not_http),
        failing("refused", refused, 0),
        failing("a proxy that is not there", missing_proxy, 0),
        failing("the key: refused", with_key_at(key_refused), 0),
        failing("the key: reset", with_key_at(key_reset), 0),
    ];
    check("faults/network", rows);
}

#[test]
#[cfg(target_os = "linux")]
fn a_host_name_that_cannot_be_resolved_fails_the_run() {
    // With no attempts allowed, glibc's resolver gives up before it sends anything.
    let step = Step::new().set("build_url", "https://bitrise.invalid/build/x");
    check("faults/no_dns", vec![failing("no DNS", step.set("RES_OPTIONS", "attempts:0"), 0)]);
}

#[test]
fn requests_go_through_the_proxy_in_the_environment() {
    let proxy = SERVER.origin();
    let environments: [&[(&str, &str)]; 4] = [
        &[
            ("HTTPS_PROXY", proxy),
            ("HTTP_PROXY", "http://wrong:99999"),
            ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ],
        &[("HTTPS_PROXY", ""), ("https_proxy", proxy)],
        &[("ALL_PROXY", proxy), ("HTTPS_PROXY", "")],
        // REQUEST_METHOD usually makes the HTTP library assume a CGI script and bypass the proxy.
        &[("HTTPS_PROXY", proxy), ("REQUEST_METHOD", "GET")],
    ];
    in_parallel(environments, |environment| {
        // The proxy is the stand-in, which never connects to another server.
        let host = format!("{}.invalid", unique_name().replace(' ', "-"));
        let step = Step::new().set("build_url", format!("https://{host}/build/1"));
        step.set_all(environment.iter().copied()).fails();
        let requests: Vec<_> =
            SERVER.requests().into_iter().filter(|request| request.target.contains(&host)).collect();
        assert!(
            !requests.is_empty() && requests.iter().all(|request| request.method == "CONNECT"),
            "{environment:?}"
        );
        assert!(requests.iter().all(|request| request.header("BUILD_API_TOKEN").is_none()), "{requests:?}");
    });
}

#[test]
#[ignore = "waits for the real time limit, 20 seconds"]
fn all_requests_to_apple_together_end_within_20_seconds() {
    let slow = Behaviour::StallBeforeHeader(Duration::from_secs(9)).forever();
    let step = Step::new().connected(&api_key()).verified_by(account(vec![slow]));
    let outcome = step.set("required_access", "provisioning,admin").succeeds();
    assert!(outcome.took < Duration::from_secs(22), "{:?}", outcome.took);
    assert_eq!(outcome.verified(), "no");
}

#[test]
#[ignore = "waits for the real time limit, 20 seconds"]
fn a_stall_of_apple_ends_after_20_seconds_and_the_build_continues() {
    let stall = Behaviour::StallBeforeHeader(Duration::from_secs(60)).forever();
    let outcome = Step::new().connected(&api_key()).verified_by(account(vec![stall])).succeeds();
    assert!(outcome.took < Duration::from_secs(22), "{:?}", outcome.took);
    assert_eq!(outcome.verified(), "no");
    assert_messages("faults/stall_of_apple", [("a stall", outcome.warnings().join("\n"))]);
}

#[test]
#[ignore = "waits for the real time limits, more than a minute"]
fn stalls_end_at_the_time_limits() {
    use Behaviour::{Drip, StallBeforeHeader, StallInBody};
    const LONG: Duration = Duration::from_secs(600);
    let one_request = Duration::from_secs(45);
    let whole_run = Duration::from_secs(75);
    let drip = Drip { bytes: 1, every: Duration::from_secs(1) };
    let with_one_stall = |fault| Fault { max_duration: one_request, ..fault };
    let stalls = [
        with_one_stall(succeeds_on_retry(
            "a stall before the header, then a good response",
            StallBeforeHeader(LONG),
        )),
        with_one_stall(succeeds_on_retry("a stall in the body, then a good response", StallInBody(LONG))),
        with_one_stall(succeeds_on_retry("a slow drip, then a good response", drip)),
        // The whole run ends before a fourth try.
        Fault {
            max_duration: whole_run,
            requests: 3,
            ..fails_on_every_try("a stall", StallBeforeHeader(LONG))
        },
    ];
    check("faults/stalls", stalls.into());
}

/// Runs the Step with a full tmpfs of 64 KiB mounted on this folder.
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
#[ignore = "mounts a tmpfs in its own namespace"]
fn a_full_disk_leaves_the_envstore_unchanged_and_no_file_behind() {
    let messages = ["tmp", "store"].map(|folder| {
        let step = on_a_full_disk(Step::new().connected(&api_key()), folder);
        let outcome = step.run();
        assert_eq!(outcome.code, Some(1), "{folder}: {}", outcome.stdout);
        let after = outcome.root.path().join("after");
        let names = test_support::names_in(&after);
        assert_eq!(names, ["envstore.yml".to_owned()].into(), "{folder}: the files on the full disk");
        let text = std::fs::read_to_string(after.join("envstore.yml")).unwrap();
        assert_eq!(text, "envs:\n- OLD: kept\n", "{folder}");
        assert_eq!(outcome.leftovers.len(), 0, "{folder}: {:?}", outcome.leftovers);
        (folder, outcome.error())
    });
    assert_messages("faults/full_disk", messages);
}
