//! Signals at every stage: what is written is complete, and what is not leaves nothing.

use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stand_in::Behaviour;

use test_support::snapshots::assert_sentences;
use test_support::{INPUT_ISSUER, Outcome, SERVER, Step, account, api_key, mode, names_in, pem, status};

const STALL: Behaviour = Behaviour::StallBeforeHeader(Duration::from_secs(60));

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process has a number");
    kill_process(pid, signal).unwrap();
}

/// Waits until the stand-in has seen this many requests of the scenario.
fn wait_for_request(scenario: &str, count: usize) {
    let began = Instant::now();
    while SERVER.requests_for(scenario).len() < count {
        assert!(began.elapsed() < Duration::from_secs(30), "no request came");
        thread::sleep(Duration::from_millis(5));
    }
}

fn stopped_at(step: Step, requests: usize, signal: Signal) -> Outcome {
    let scenario = step.scenario().to_owned();
    step.run_while(|child| {
        wait_for_request(&scenario, requests);
        // Long enough to be back in the wait for the answer.
        thread::sleep(Duration::from_millis(50));
        send(child, signal);
    })
}

fn stages() -> Vec<(&'static str, Step, usize)> {
    let reading = Step::new().connected_with(&api_key(), vec![STALL]);
    let pausing = Step::new().connected_with(&api_key(), vec![status(503, &[("Retry-After", "25")])]);
    let downloading = Step::off_bitrise();
    let url = SERVER.file(downloading.scenario(), "AuthKey_FROMINPUT1.p8", pem(), vec![STALL]);
    let downloading = downloading.set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
    let asking = Step::new().connected(&api_key());
    let asking = asking.verified_by(account(vec![STALL]));
    vec![
        ("reading the connection", reading, 1),
        ("pausing before another try", pausing, 1),
        ("downloading the key", downloading, 1),
        ("asking Apple", asking, 2),
    ]
}

#[test]
fn a_signal_at_any_stage_exports_nothing_leaves_nothing_and_is_named() {
    let mut said = Vec::new();
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::HUP, "SIGHUP")] {
        for (stage, step, requests) in stages() {
            let outcome = stopped_at(step, requests, signal);
            outcome.check_failure();
            assert!(outcome.took < Duration::from_secs(20), "{stage} took {:?}", outcome.took);
            said.push((format!("{name} while {stage}"), outcome.error()));
        }
    }
    assert_sentences("faults/signals", said);
}

/// A run that waits for nothing before envman does, which takes its time.
fn with_slow_envman(seconds: &str) -> Step {
    let step = Step::new().with_key_inputs().set("connection", "off").envstore("{envs: [{OLD: kept}]}\n");
    let script = format!(
        "#!/bin/sh\necho \"$3\" >> \"$HOME/added\"\ncat > \"$ENVMAN_ENVSTORE_PATH\"\nsleep {seconds}\n"
    );
    let step = step.file("home/bin/envman", script);
    let bin = step.path("home/bin");
    test_support::set_mode(bin.join("envman"), 0o755);
    step.set("PATH", format!("{}:/usr/bin:/bin", bin.display()))
}

#[test]
fn a_signal_while_envman_works_ends_it_and_puts_the_store_back() {
    let signals = [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGHUP", Signal::HUP)];
    let said = signals.map(|(name, signal)| {
        let step = with_slow_envman("60");
        let added = step.path("home/added");
        let outcome = step.run_while(|child| {
            let began = Instant::now();
            while !added.exists() && began.elapsed() < Duration::from_secs(30) {
                thread::sleep(Duration::from_millis(2));
            }
            thread::sleep(Duration::from_millis(100));
            send(child, signal);
        });
        outcome.check_failure();
        assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
        (name, outcome.error())
    });
    assert_sentences("faults/signals_during_envman", said);
}

#[test]
#[ignore = "waits for the real time limit of envman, half a minute"]
fn an_envman_that_hangs_is_ended_and_named() {
    let outcome = with_slow_envman("600").run();
    outcome.check_failure();
    assert_sentences("faults/envman_hangs", [("envman hangs", outcome.error())]);
}

#[test]
fn after_sigkill_at_random_points_the_envstore_is_as_before_or_complete() {
    const RUNS: u64 = 200;
    const BEFORE: &str = "envs:\n- OLD: kept\n";
    let whole = Step::new().connected(&api_key()).envstore(BEFORE).passes();
    let complete: Vec<_> = whole.entries().into_iter().map(|entry| entry.key).collect();
    // Spread over the time that a whole run takes, and a little more.
    let span = whole.took.as_micros().min(300_000) as u64 * 5 / 4;
    let (mut untouched, mut completed) = (0, 0);
    for run in 0..RUNS {
        let pause = Duration::from_micros(span * ((run * 7919) % RUNS) / RUNS);
        let outcome = Step::new().connected(&api_key()).envstore(BEFORE).run_while(|child| {
            thread::sleep(pause);
            // It may have ended by now.
            let _ = kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::KILL);
        });
        let keys: Vec<_> = outcome.entries().into_iter().map(|entry| entry.key).collect();
        if outcome.envstore_text.as_deref() == Some(BEFORE) {
            untouched += 1;
        } else {
            assert_eq!(keys, complete, "killed after {pause:?}");
            completed += 1;
        }
        let root = outcome.root.path();
        for name in &outcome.leftovers {
            assert_eq!(mode(root.join("tmp").join(name)), 0o700, "{name}");
        }
        // The new envstore, on its way: private, and beside the old one so that a rename suffices.
        for name in names_in(&root.join("store")).iter().filter(|name| *name != "envstore.yml") {
            assert!(name.starts_with(".envstore-"), "{name}");
            assert_eq!(mode(root.join("store").join(name)), 0o600, "{name}");
        }
    }
    println!("{RUNS} runs killed: {untouched} with the envstore as before, {completed} with it complete");
    assert!(untouched > 0 && completed > 0, "the points were not spread: {untouched} and {completed}");
}
