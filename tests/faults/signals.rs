//! Signals at every stage: what is written is complete, and what is not leaves nothing.

use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stand_in::Behaviour;

use test_support::snapshots::assert_sentences;
use test_support::{
    INPUT_ISSUER, INPUT_KEY_ID, Outcome, SERVER, Step, account, api_key, mode, names_in, pem, status,
};

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

#[test]
fn a_page_that_does_not_answer_holds_a_stopped_run_up_for_two_seconds() {
    let step = Step::new().connected_with(&api_key(), vec![STALL]).with_page(vec![STALL]);
    let scenario = step.scenario().to_owned();
    let mut signalled = Instant::now();
    let outcome = step.run_while(|child| {
        wait_for_request(&scenario, 1);
        thread::sleep(Duration::from_millis(50));
        send(child, Signal::TERM);
        signalled = Instant::now();
    });
    assert!(signalled.elapsed() < Duration::from_secs(4), "{:?}", signalled.elapsed());
    outcome.check_failure();
    assert_eq!(outcome.page_requests.len(), 1, "it was tried");
}

#[test]
fn every_signal_that_would_end_the_process_ends_the_run_as_sigterm_does() {
    let signals = [
        ("SIGQUIT", Signal::QUIT),
        ("SIGABRT", Signal::ABORT),
        ("SIGUSR1", Signal::USR1),
        ("SIGUSR2", Signal::USR2),
        ("SIGALRM", Signal::ALARM),
        ("SIGVTALRM", Signal::VTALARM),
        ("SIGPROF", Signal::PROF),
        ("SIGXCPU", Signal::XCPU),
        ("SIGXFSZ", Signal::XFSZ),
    ];
    let said = signals.map(|(name, signal)| {
        let outcome = stopped_at(Step::new().connected_with(&api_key(), vec![STALL]), 1, signal);
        outcome.check_failure();
        (name, outcome.error())
    });
    assert_sentences("faults/more_signals", said);
    // Twice at once, as `timeout` does it: the second must not cut short what the first began.
    let step = with_slow_envman();
    let written = step.path("home/added");
    let outcome = step.run_while(|child| {
        wait_for(&written);
        send(child, Signal::TERM);
        send(child, Signal::TERM);
    });
    outcome.check_failure();
}

fn wait_for(file: &Path) {
    let began = Instant::now();
    while !file.exists() && began.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_reader_that_stalls_does_not_hold_back_a_signal() {
    // The pipe of standard output is full before the run begins.
    let script = "mkfifo pipe; exec 3<>pipe; (head -c 1000000 /dev/zero >&3) & filler=$!; sleep 0.5; kill $filler; \
        wait $filler 2>/dev/null; \"$0\" >&3 & step=$!; echo $step > pid; wait $step; status=$?; \
        echo $status > status; exit $status";
    let connected = || Step::new().connected(&api_key());
    // Nothing is awaited on the way of this one.
    let from_inputs = Step::off_bitrise()
        .set("connection", "off")
        .set("api_key_path", pem())
        .set("api_key_id", INPUT_KEY_ID)
        .set("api_issuer", INPUT_ISSUER);
    for (second, step) in [(false, connected()), (true, connected()), (false, from_inputs)] {
        let step = step.set("PATH", "/usr/bin:/bin").under("sh", &["-c", script]);
        let (pid_file, status) = (step.path("work/pid"), step.path("work/status"));
        let mut took = Duration::ZERO;
        let outcome = step.run_while(|_| {
            wait_for(&pid_file);
            thread::sleep(Duration::from_millis(500));
            let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
            let pid = Pid::from_raw(pid).unwrap();
            assert!(!status.exists(), "it waits for its reader");
            let began = Instant::now();
            kill_process(pid, Signal::TERM).unwrap();
            if second {
                thread::sleep(Duration::from_secs(1));
                kill_process(pid, Signal::TERM).unwrap();
            }
            wait_for(&status);
            took = began.elapsed();
        });
        assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
        assert!(outcome.leftovers.is_empty(), "{:?}", outcome.leftovers);
        assert_eq!(outcome.envstore_text, None, "nothing is exported");
        let limit = if second { 3 } else { 9 };
        assert!(took < Duration::from_secs(limit), "{took:?}, second signal: {second}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_core_is_dumped_whatever_the_limit_was() {
    let step = Step::new().connected_with(&api_key(), vec![STALL]);
    let scenario = step.scenario().to_owned();
    let step = step.under(
        "sh",
        &["-c", "ulimit -S -c unlimited 2>/dev/null || ulimit -S -c $(ulimit -H -c); exec \"$0\""],
    );
    let outcome = step.run_while(|child| {
        wait_for_request(&scenario, 1);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let words: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
        assert_eq!(words, ["0", "0"], "{core}");
        send(child, Signal::QUIT);
    });
    outcome.check_failure();
}

/// A run that waits for nothing before envman does, which does not end.
fn with_slow_envman() -> Step {
    let step = Step::new().with_key_inputs().set("connection", "off").envstore("{envs: [{OLD: kept}]}\n");
    // It writes without an end, and by itself: what it starts would outlive it.
    let script = "#!/bin/sh\necho broken > \"$ENVMAN_ENVSTORE_PATH\"\necho \"$3\" >> \"$HOME/added\"\n\
                  while :; do echo broken > \"$ENVMAN_ENVSTORE_PATH\"; done\n";
    let step = step.file("home/bin/envman", script);
    let bin = step.path("home/bin");
    test_support::set_mode(bin.join("envman"), 0o755);
    step.set("PATH", format!("{}:/usr/bin:/bin", bin.display()))
}

#[test]
fn a_signal_while_envman_works_ends_it_and_puts_the_store_back() {
    let signals = [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGHUP", Signal::HUP)];
    let said = signals.map(|(name, signal)| {
        let step = with_slow_envman();
        let added = step.path("home/added");
        let outcome = step.run_while(|child| {
            wait_for(&added);
            send(child, signal);
        });
        outcome.check_failure();
        assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
        (name, outcome.error())
    });
    assert_sentences("faults/signals_during_envman", said);
}

#[test]
#[ignore = "waits for the real time limit of envman, 12 seconds"]
fn an_envman_that_hangs_is_ended_and_named() {
    let outcome = with_slow_envman().run();
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
