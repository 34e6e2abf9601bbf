//! A run ends in time, whatever the network does.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use apple_services_connection::env::{Env, Vars};
use stand_in::Behaviour;

use test_support::snapshots::assert_messages;
use test_support::{
    BUILD_API_TOKEN, INPUT_ISSUER, SERVER, Step, account, api_key, busy, in_parallel, pem, redirect, status,
    unique_name,
};

const LONG: Duration = Duration::from_secs(600);
const STALL: Behaviour = Behaviour::StallBeforeHeader(LONG);
/// The network time limit of these runs.
const LIMIT: Duration = Duration::from_secs(3);

/// Runs inside this process with a shorter time limit. Returns how long it took and the error.
fn run_with_limit(env: &[(&str, String)]) -> (Duration, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("envstore.yml");
    let fixed = [
        ("ENVMAN_ENVSTORE_PATH", store.to_str().unwrap().to_owned()),
        ("app_store_connect_url", SERVER.origin().to_owned()),
        ("verify", "no".to_owned()),
    ];
    let vars: Vars =
        fixed.iter().chain(env).map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let result = runtime.block_on(async {
        let temp_dir = folder.path().to_owned();
        let host =
            Env { vars, non_utf8_vars: Vec::new(), temp_dir, network_time_limit: LIMIT, ..Env::system() };
        apple_services_connection::run(&host, std::future::pending()).await
    });
    (began.elapsed(), result.err().map(|failed| failed.text.to_string()))
}

fn connection_env(behaviours: Vec<Behaviour>) -> Vec<(&'static str, String)> {
    connection_env_with_body(api_key().to_string(), behaviours)
}

fn connection_env_with_body(body: String, behaviours: Vec<Behaviour>) -> Vec<(&'static str, String)> {
    let build_url = SERVER.connection(
        &unique_name(),
        stand_in::Connection { token: BUILD_API_TOKEN.to_owned(), body, behaviours },
    );
    vec![("build_url", build_url), ("build_api_token", BUILD_API_TOKEN.to_owned())]
}

fn key_at(url: String) -> Vec<(&'static str, String)> {
    let key_id = ("api_key_id", "FROMINPUT1".to_owned());
    vec![("api_key_path", url), key_id, ("api_issuer", INPUT_ISSUER.to_owned())]
}

fn key(behaviours: Vec<Behaviour>) -> Vec<(&'static str, String)> {
    key_at(SERVER.file(&unique_name(), "AuthKey_FROMINPUT1.p8", pem(), behaviours))
}

#[test]
fn a_run_ends_at_its_network_time_limit_and_the_error_says_what_it_waited_for() {
    // Accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let drip = Behaviour::Drip { bytes: 1, every: Duration::from_millis(100) };
    let slow = Behaviour::StallBeforeHeader(Duration::from_secs(2));
    let stalled = SERVER.file(&unique_name(), "AuthKey_FROMINPUT1.p8", pem(), vec![STALL.forever()]);
    let rows = [
        ("a stall before the header", connection_env(vec![STALL.forever()])),
        ("a stall in the body", connection_env(vec![Behaviour::StallInBody(LONG).forever()])),
        ("a slow drip", connection_env(vec![drip.forever()])),
        ("no TLS handshake", key_at(format!("https://127.0.0.1:{silent}/AuthKey_FROMINPUT1.p8"))),
        ("an error, then a stall", connection_env(vec![busy(503), STALL.forever()])),
        ("pauses of an hour", connection_env(vec![status(503, &[("Retry-After", "3600")]).forever()])),
        ("a redirect to a stall", key(vec![redirect(stalled).forever()])),
        (
            "a slow connection without a credential, then a stalled key",
            [connection_env_with_body("{}".to_owned(), vec![slow.clone()]), key(vec![STALL.forever()])]
                .concat(),
        ),
    ];
    let messages = in_parallel(rows, |(what, env)| {
        let (took, error) = run_with_limit(&env);
        println!("{what}: {:.1} s", took.as_secs_f64());
        assert!(took < LIMIT + Duration::from_secs(3), "{what} took {took:?}");
        (what, error.expect("a run without a credential fails"))
    });
    assert_messages("faults/time_limit", messages);
}

#[test]
fn verification_gets_only_the_rest_of_the_network_time_limit() {
    let scenario = unique_name();
    let url = SERVER.app_store_connect(&scenario, account(vec![STALL.forever()]));
    let slow = Behaviour::StallBeforeHeader(Duration::from_secs(2));
    let mut env = connection_env(vec![slow]);
    env.extend([("verify", "yes".to_owned()), ("app_store_connect_url", url)]);
    let (took, error) = run_with_limit(&env);
    assert_eq!(error, None, "a check without a response fails no build");
    assert!(took < LIMIT + Duration::from_secs(3), "{took:?}");
    assert_eq!(SERVER.requests_for(&scenario).len(), 1, "Apple was asked");
}

#[test]
#[ignore = "waits for the real time limit, 70 seconds"]
fn every_run_ends_within_90_seconds() {
    let long_pauses = || {
        // Well over the limit of one request: the kernel can end a 30-second wait some seconds late.
        let silence = Behaviour::StallBeforeHeader(Duration::from_secs(40));
        let busy = status(503, &[("Retry-After", "3600")]);
        [silence, busy.clone(), busy.clone(), busy.clone(), STALL.forever()].to_vec()
    };
    let with_key = |step: Step| {
        key(vec![STALL.forever()]).into_iter().fold(step, |step, (name, value)| step.set(name, value))
    };
    let endless = "#!/bin/sh\nwhile :; do sleep 1; done\n";
    let endless_envman =
        Step::new().connected(&api_key()).envstore("{envs: [{OLD: kept}]}\n").with_envman(endless);
    let rows = [
        ("a stall", Step::new().connected_with(&api_key(), vec![STALL.forever()])),
        ("silence, and pauses of an hour", Step::new().connected_with(&api_key(), long_pauses())),
        (
            "a stalled connection, then a stalled key",
            with_key(Step::new().connected_with(&api_key(), long_pauses())),
        ),
        ("Apple stalls, then envman hangs", endless_envman.verified_by(account(vec![STALL.forever()]))),
    ];
    let messages = in_parallel(rows, |(what, step)| {
        let outcome = step.fails();
        println!("{what}: {:.1} s", outcome.took.as_secs_f64());
        assert!(outcome.took < Duration::from_secs(90), "{what} took {:?}", outcome.took);
        (what, outcome.error())
    });
    assert_messages("faults/90_seconds", messages);
}
