//! A run ends in time, whatever the network does.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;
use stand_in::Behaviour;

use test_support::snapshots::assert_messages;
use test_support::{
    INPUT_ISSUER, INPUT_KEY_ID, SERVER, Step, account, api_key, busy, in_parallel, pem, redirect, status,
    unique_name,
};

const LONG: Duration = Duration::from_secs(600);
const STALL: Behaviour = Behaviour::StallBeforeHeader(LONG);
/// The network time limit of these runs.
const LIMIT: Duration = Duration::from_secs(3);

fn connected(behaviours: Vec<Behaviour>) -> Step {
    Step::new().connected_with(&api_key(), behaviours)
}

fn with_key(step: Step, url: String) -> Step {
    step.set("api_key_path", url).set("api_key_id", INPUT_KEY_ID).set("api_issuer", INPUT_ISSUER)
}

fn key_url(behaviours: Vec<Behaviour>) -> String {
    SERVER.file(&unique_name(), "AuthKey_FROMINPUT1.p8", pem(), behaviours)
}

#[test]
fn a_run_ends_at_its_network_time_limit_and_the_error_says_what_it_waited_for() {
    // Accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let drip = Behaviour::Drip { bytes: 1, every: Duration::from_millis(100) };
    let slow = Behaviour::StallBeforeHeader(Duration::from_secs(2));
    let redirected = key_url(vec![redirect(key_url(vec![STALL.forever()])).forever()]);
    let without_credential = Step::new().connected_with(&json!({}), vec![slow]);
    let silent_url = format!("https://127.0.0.1:{silent_port}/AuthKey_FROMINPUT1.p8");
    let rows = [
        ("a stall before the header", connected(vec![STALL.forever()])),
        ("a stall in the body", connected(vec![Behaviour::StallInBody(LONG).forever()])),
        ("a slow drip", connected(vec![drip.forever()])),
        ("no TLS handshake", with_key(Step::off_bitrise(), silent_url)),
        ("an error, then a stall", connected(vec![busy(503), STALL.forever()])),
        ("pauses of an hour", connected(vec![status(503, &[("Retry-After", "3600")]).forever()])),
        ("a redirect to a stall", with_key(Step::off_bitrise(), redirected)),
        (
            "a slow connection without a credential, then a stalled key",
            with_key(without_credential, key_url(vec![STALL.forever()])),
        ),
    ];
    let messages = in_parallel(rows, |(what, step)| {
        let outcome = step.run_in_process_within(Some(LIMIT));
        assert!(outcome.took < LIMIT + Duration::from_secs(3), "{what} took {:?}", outcome.took);
        outcome.assert_failure();
        (what, outcome.error())
    });
    assert_messages("faults/time_limit", messages);
}

#[test]
fn verification_gets_only_the_rest_of_the_network_time_limit() {
    let slow = Behaviour::StallBeforeHeader(Duration::from_secs(2));
    let step = connected(vec![slow]).verified_by(account(vec![STALL.forever()]));
    let outcome = step.run_in_process_within(Some(LIMIT));
    // A check without a response does not fail the build.
    outcome.assert_success();
    assert!(outcome.took < LIMIT + Duration::from_secs(3), "{:?}", outcome.took);
    assert_eq!(outcome.requests_to_apple().len(), 1);
}

#[test]
#[ignore = "waits for the real time limit, 70 seconds"]
fn every_run_ends_within_90_seconds() {
    let long_pauses = || {
        // Well over the 30-second limit of a request, because the kernel can end a wait some seconds late.
        let silence = Behaviour::StallBeforeHeader(Duration::from_secs(40));
        let busy = status(503, &[("Retry-After", "3600")]);
        [silence, busy.clone(), busy.clone(), busy.clone(), STALL.forever()].to_vec()
    };
    let stalled_key = key_url(vec![STALL.forever()]);
    let endless = "#!/bin/sh\nwhile :; do sleep 1; done\n";
    let endless_envman =
        Step::new().connected(&api_key()).envstore("{envs: [{OLD: kept}]}\n").with_envman(endless);
    let rows = [
        ("a stall", connected(vec![STALL.forever()])),
        ("silence, and pauses of an hour", connected(long_pauses())),
        ("a stalled connection, then a stalled key", with_key(connected(long_pauses()), stalled_key)),
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
