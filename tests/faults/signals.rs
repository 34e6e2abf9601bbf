//! Signals at every stage: the envstore is complete or unchanged, and no credential is left behind, except in
//! private files after SIGKILL.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stand_in::Behaviour;

use test_support::snapshots::assert_messages;
use test_support::{
    INPUT_ISSUER, Outcome, SERVER, Step, account, api_key, in_parallel, make_fifo, mode, names_in, pem,
    status, wait_until,
};

const STALL: Behaviour = Behaviour::StallBeforeHeader(Duration::from_secs(60));

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process ID is not 0");
    kill_process(pid, signal).unwrap();
}

/// Waits until the stand-in has received this many requests of the scenario.
fn wait_for_request(scenario: &str, count: usize) {
    wait_until(|| SERVER.requests_for(scenario).len() >= count);
}

fn run_and_interrupt(step: Step, requests: usize, signal: Signal) -> Outcome {
    let scenario = step.scenario().to_owned();
    step.run_while(|child| {
        wait_for_request(&scenario, requests);
        // Gives the run time to start waiting for the response.
        thread::sleep(Duration::from_millis(50));
        send(child, signal);
    })
}

/// The stages that wait for a server, each with the number of requests that a run sends to reach it.
fn stages() -> Vec<(&'static str, Step, usize)> {
    let reading = Step::new().connected_with(&api_key(), vec![STALL]);
    let pausing = Step::new().connected_with(&api_key(), vec![status(503, &[("Retry-After", "25")])]);
    let downloading = Step::off_bitrise();
    let url = SERVER.file(downloading.scenario(), "AuthKey_FROMINPUT1.p8", pem(), vec![STALL]);
    let downloading = downloading.set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
    let asking = Step::new().connected(&api_key()).verified_by(account(vec![STALL]));
    vec![
        ("reading the connection", reading, 1),
        ("pausing before another try", pausing, 1),
        ("downloading the key", downloading, 1),
        ("asking Apple", asking, 2),
    ]
}

#[test]
fn a_signal_at_any_stage_fails_the_run_without_outputs_or_files() {
    let mut messages = Vec::new();
    let signals = [
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::HUP, "SIGHUP"),
        (Signal::QUIT, "SIGQUIT"),
    ];
    for (signal, name) in signals {
        for (stage, step, requests) in stages() {
            let outcome = run_and_interrupt(step, requests, signal);
            outcome.assert_failure();
            assert!(outcome.took < Duration::from_secs(20), "{stage} took {:?}", outcome.took);
            messages.push((format!("{name} while {stage}"), outcome.error()));
        }
    }
    assert_messages("faults/signals", messages);
}

#[test]
fn an_interrupted_run_gives_up_on_the_build_page_sooner() {
    let step = Step::new().connected_with(&api_key(), vec![STALL]).with_page(vec![STALL]);
    let outcome = run_and_interrupt(step, 1, Signal::TERM);
    // Without a signal, the run would wait for the page for 5 seconds.
    assert!(outcome.took < Duration::from_secs(5), "{:?}", outcome.took);
    outcome.assert_failure();
    assert_eq!(outcome.page_requests.len(), 1, "the requests to the page");
}

#[test]
fn a_second_signal_right_after_the_first_changes_nothing() {
    // `timeout` signals the process and then its process group, so the process gets two signals.
    let step = with_endless_envman();
    let written = step.path("home/added");
    let outcome = step.run_while(|child| {
        wait_until(|| written.exists());
        send(child, Signal::TERM);
        send(child, Signal::TERM);
    });
    outcome.assert_failure();
}

/// A run that sends no requests before it exports.
fn from_inputs() -> Step {
    Step::off_bitrise().with_key_inputs().set("connection", "off")
}

/// Creates a FIFO and fills it. It stays full as long as the returned file is open.
fn full_pipe(path: &Path) -> std::fs::File {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    make_fifo(path);
    let non_blocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = std::fs::OpenOptions::new();
    let mut pipe = options.read(true).write(true).custom_flags(non_blocking).open(path).unwrap();
    while pipe.write(&[0; 512]).is_ok() {}
    pipe
}

#[test]
fn a_run_whose_log_nobody_reads_ends_within_10_seconds() {
    let script = "\"$0\" > pipe & step=$!; echo $step > pid; wait $step; status=$?; echo $status > status; exit $status";
    let connected = || Step::new().connected(&api_key());
    let rows = [(true, connected()), (true, from_inputs()), (false, from_inputs())];
    in_parallel(rows, |(is_interrupted, step)| {
        let step = step.set("PATH", "/usr/bin:/bin").under("sh", &["-c", script]);
        let (pid_file, status_file) = (step.path("work/pid"), step.path("work/status"));
        let _pipe = full_pipe(&step.path("work/pipe"));
        let mut took = Duration::ZERO;
        let outcome = step.run_while(|_| {
            wait_until(|| pid_file.exists());
            let began = Instant::now();
            thread::sleep(Duration::from_millis(500));
            let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
            assert!(!status_file.exists(), "the run did not wait for its reader");
            if is_interrupted {
                kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
            }
            wait_until(|| status_file.exists());
            took = began.elapsed();
        });
        assert_eq!(outcome.code, Some(i32::from(is_interrupted)), "{}", outcome.stdout);
        assert_eq!(outcome.leftovers.is_empty(), is_interrupted, "{:?}", outcome.leftovers);
        assert_eq!(outcome.envstore_text.is_none(), is_interrupted, "{:?}", outcome.envstore_text);
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
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
    outcome.assert_failure();
}

/// A run that waits only for envman, which never ends.
fn with_endless_envman() -> Step {
    let step = from_inputs().envstore("{envs: [{OLD: kept}]}\n");
    // The script starts no other program, because that would outlive it.
    let script = "#!/bin/sh\necho broken > \"$ENVMAN_ENVSTORE_PATH\"\necho \"$3\" >> \"$HOME/added\"\n\
                  while :; do echo broken > \"$ENVMAN_ENVSTORE_PATH\"; done\n";
    step.with_envman(script)
}

#[test]
fn a_signal_while_envman_runs_kills_it_and_restores_the_envstore() {
    let signals = [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGHUP", Signal::HUP)];
    let messages = signals.map(|(name, signal)| {
        let step = with_endless_envman();
        let added = step.path("home/added");
        let outcome = step.run_while(|child| {
            wait_until(|| added.exists());
            send(child, signal);
        });
        outcome.assert_failure();
        assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
        (name, outcome.error())
    });
    assert_messages("faults/signals_during_envman", messages);
}

#[test]
#[ignore = "waits for the real time limit of envman, 12 seconds"]
fn a_hanging_envman_is_killed_and_the_error_names_it() {
    let outcome = with_endless_envman().fails();
    assert_messages("faults/envman_hangs", [("envman hangs", outcome.error())]);
}

#[test]
fn after_sigkill_at_any_point_the_envstore_is_unchanged_or_complete() {
    const RUNS: u64 = 200;
    const BEFORE: &str = "envs:\n- OLD: kept\n";
    let uninterrupted = Step::new().connected(&api_key()).envstore(BEFORE).succeeds();
    let all_names = uninterrupted.output_names();
    // Four runs share the machine, so each takes up to three times as long. A prime number shuffles the delays.
    let span = uninterrupted.took.as_micros().min(300_000) as u64 * 3;
    let kill_after = |run: u64| {
        let delay = Duration::from_micros(span * ((run * 7919) % RUNS) / RUNS);
        let outcome = Step::new().connected(&api_key()).envstore(BEFORE).run_while(|child| {
            thread::sleep(delay);
            // The run might already have ended.
            let _ = kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::KILL);
        });
        let names = outcome.output_names();
        let is_untouched = outcome.envstore_text.as_deref() == Some(BEFORE);
        assert!(is_untouched || names == all_names, "killed after {delay:?}: {names:?}");
        let root = outcome.root.path();
        for name in &outcome.leftovers {
            assert_eq!(mode(root.join("tmp").join(name)), 0o700, "{name}");
        }
        // The new envstore is a temporary file until it is renamed.
        for name in names_in(&root.join("store")).iter().filter(|name| *name != "envstore.yml") {
            assert!(name.starts_with(".envstore-"), "{name}");
            assert_eq!(mode(root.join("store").join(name)), 0o600, "{name}");
        }
        is_untouched
    };
    let four_at_a_time = (0..RUNS / 4).flat_map(|batch| in_parallel(batch * 4..batch * 4 + 4, kill_after));
    let untouched = four_at_a_time.filter(|is_untouched| *is_untouched).count() as u64;
    let completed = RUNS - untouched;
    println!("{RUNS} runs killed: {untouched} with the envstore as before, {completed} with it complete");
    assert!(untouched > 0 && completed > 0, "all runs were killed before the rename, or all after it");
}

#[test]
fn a_run_waits_for_another_run_on_the_same_envstore() {
    let step = from_inputs().envstore("envs: []\n");
    let store = step.envstore_path();
    let folder = std::fs::File::open(store.parent().unwrap()).unwrap();
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let outcome = step.run_while(|_| {
        // Another run would hold the lock from reading the envstore to writing it.
        thread::sleep(Duration::from_secs(1));
        std::fs::write(&store, "envs:\n- OTHER: kept\n").unwrap();
        drop(folder);
    });
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert_eq!(
        (outcome.output("OTHER"), outcome.output("APPLE_AUTH_METHOD")),
        ("kept".into(), "api_key".into())
    );
}

#[test]
fn the_error_of_an_interrupted_removal_does_not_say_that_nothing_was_done() {
    let first = Step::new().connected(&api_key()).succeeds();
    let credentials = first.output("APPLE_CREDENTIALS_DIR");
    let step = Step::new().after(&first).set("action", "remove").envstore("envs: []\n");
    let step = step.set("TMPDIR", Path::new(&credentials).parent().unwrap());
    let folder = std::fs::File::open(step.envstore_path().parent().unwrap()).unwrap();
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let outcome = step.run_while(|child| {
        wait_until(|| !Path::new(&credentials).exists());
        send(child, Signal::TERM);
    });
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    assert!(!Path::new(&credentials).exists() && outcome.unset_names().is_empty(), "{}", outcome.stdout);
    assert_messages("faults/signal_during_removal", [("waiting for the lock", outcome.error())]);
}

/// The system calls of the export: each name, and how often the process has made that call, as in strace's `when=`.
#[cfg(target_os = "linux")]
fn export_syscalls(step: Step) -> Vec<(String, usize)> {
    let trace = step.path("home/trace");
    let script = format!("exec strace -o '{}' \"$0\"", trace.display());
    let _outcome = step.under("sh", &["-c", &script]).succeeds();
    let mut counts = BTreeMap::<String, usize>::new();
    let calls = std::fs::read_to_string(&trace).unwrap();
    let calls = calls.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| {
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        (name.to_owned(), *count)
    });
    let mut calls = calls.skip_while(|(name, _)| name != "flock").collect::<Vec<_>>();
    let renamed = calls.iter().position(|(name, _)| name.starts_with("rename")).unwrap();
    // The last call sets the envstore's mode.
    assert_eq!(calls[renamed + 1].0, "fchmod", "{calls:?}");
    calls.truncate(renamed + 2);
    calls
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs strace"]
fn sigkill_during_export_leaves_only_private_files_which_the_next_run_deletes() {
    const BEFORE: &str = "envs:\n- OLD: kept\n";
    let step =
        || from_inputs().set("build_annotation", "never").set("PATH", "/usr/bin:/bin").envstore(BEFORE);
    let calls = export_syscalls(step());
    let mut leftovers = 0;
    for (call, number) in calls {
        let inject = format!("inject={call}:signal=KILL:when={number}");
        let killed = step().under("strace", &["-qq", "-o", "/dev/null", "-e", &inject]).run();
        assert_eq!(killed.code, None, "{call} {number}: {}", killed.stdout);
        if killed.envstore_text.as_deref() != Some(BEFORE) {
            assert_eq!(killed.output("APPLE_AUTH_METHOD"), "api_key", "{call} {number}");
        }
        let store = killed.envstore.parent().unwrap();
        for name in names_in(store).iter().filter(|name| *name != "envstore.yml") {
            assert_eq!(mode(store.join(name)), 0o600, "{name}, {call} {number}");
            leftovers += 1;
        }
        let remove = Step::new().set("action", "remove").set("ENVMAN_ENVSTORE_PATH", &killed.envstore);
        assert_eq!(remove.run().code, Some(0), "{call} {number}");
        assert_eq!(names_in(store).into_iter().collect::<Vec<_>>(), ["envstore.yml"], "{call} {number}");
    }
    assert!(leftovers > 0, "no run was killed before the rename");
}
