//! Makes every secret a canary, which is easy to recognize, and searches for the canaries wherever they must
//! not be. `tests/properties/secrets.rs` tries every form of secret in every input and field.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stand_in::{Behaviour, Certificate, StandIn};

use test_support::{
    BUILD_API_TOKEN, CONNECTED_KEY, INPUT_ISSUER, SERVER, Step, account, all_tools_except, always_busy,
    api_key, apple_id, cookie, files_below, find_leak, hex, in_days, in_parallel, merge, pem, redirect,
    spaceauth, status, unique_name,
};

const COOKIE: &str = "canaryCookie+with/odd=\"chars\" & more~éü";
const PASSWORD: &str = "canary pass:wörd \"quoted\" \\n 100%";
const APP_PASSWORD: &str = "cana-ryaa-ppas-swrd";
const SESSION: &str = "canarySessionValue0123456789";

/// The secrets that these tests search for, including each full line of the private keys.
fn canaries() -> Vec<String> {
    let key_lines = CONNECTED_KEY.private_pem.lines().chain(pem().lines()).filter(|line| line.len() == 64);
    let secrets = [BUILD_API_TOKEN, COOKIE, PASSWORD, APP_PASSWORD, SESSION].into_iter();
    secrets.chain(key_lines).map(str::to_owned).collect()
}

#[track_caller]
fn assert_no_canary_in(place: &str, text: &str) {
    for secret in canaries() {
        assert_eq!(find_leak(text, &secret), None, "in {place}:\n{text}");
    }
}

/// A connection with a canary in every secret field.
fn connection_of_canaries() -> Value {
    let cookies = json!([cookie("myacinfo", COOKIE), cookie("DES1", COOKIE)]);
    merge([
        api_key(),
        apple_id(),
        json!({"password": PASSWORD, "app_specific_password": APP_PASSWORD, "session_cookies": {"https://idmsa.apple.com": cookies}}),
    ])
}

fn with_canaries_in_the_inputs(step: Step) -> Step {
    let session = spaceauth(&[("myacinfo", SESSION), ("DES1", SESSION)]);
    step.set("apple_id", "jane.canary@example.com")
        .set("password", PASSWORD)
        .set("app_password", APP_PASSWORD)
        .set("fastlane_session", session)
}

fn scenarios() -> Vec<(&'static str, Step)> {
    let connected_with = |behaviours| Step::new().connected_with(&connection_of_canaries(), behaviours);
    let connected = || connected_with(vec![]);
    let connected_apple_id = || connected().set("connection", "apple_id");
    let with_field = |field: &str, value: Value| {
        Step::new().connected(&merge([connection_of_canaries(), json!({ field: value })]))
    };
    let with_expiry =
        |date: &str| with_field("connection_expiry_date", json!(date)).set("connection", "apple_id");
    let damaged_key = CONNECTED_KEY.private_pem.replace("MIGH", "MIGX");
    let damaged_cookie = json!({"https://idmsa.apple.com": [cookie("a;b", COOKIE)]});
    // electron and tauri need different values in APPLE_API_KEY, so a run can export for only one of them.
    let every_tool = &all_tools_except("electron");
    vec![
        ("connected key", connected().set("export_for", every_tool).set("export_token", "yes")),
        ("connected Apple ID", connected_apple_id().set("export_for", every_tool)),
        ("Apple ID in the inputs", with_canaries_in_the_inputs(Step::new())),
        ("key in the inputs", Step::new().with_key_inputs()),
        ("inputs ignored", with_canaries_in_the_inputs(connected().set("connection", "api_key"))),
        ("conflict", with_canaries_in_the_inputs(Step::new().with_key_inputs())),
        ("server error", with_canaries_in_the_inputs(connected_with(always_busy(500)))),
        ("401", connected().set("build_api_token", "another-token")),
        ("response cut short", connected_with(vec![Behaviour::ResetMidBody, Behaviour::Ok])),
        ("response that is not UTF-8", connected_with(vec![Behaviour::InvalidUtf8])),
        ("compressed response", connected_with(vec![Behaviour::Gzip])),
        ("key in the wrong field", with_field("key_id", json!(CONNECTED_KEY.private_pem))),
        ("damaged key", with_field("private_key", json!(damaged_key))),
        ("wrong type", with_field("is_enterprise_account", json!(PASSWORD))),
        ("damaged cookie", with_field("session_cookies", damaged_cookie).set("connection", "apple_id")),
        ("expired session", with_expiry("2024-02-29T12:00:00Z")),
        ("session ends soon", with_expiry(&in_days(2))),
        ("no envstore", connected().set("ENVMAN_ENVSTORE_PATH", "/nowhere/envstore.yml")),
        ("not a session", {
            let step = Step::new().set("apple_id", "jane@example.com");
            step.set("fastlane_session", format!("{SESSION} {PASSWORD}"))
        }),
        ("secrets in the wrong inputs", {
            let step = Step::new().set("api_key_id", pem()).set("api_issuer", pem());
            step.set("connection", PASSWORD).set("verify", SESSION)
        }),
    ]
}

#[test]
fn secrets_are_only_in_secret_outputs_the_private_folder_and_the_envstore() {
    in_parallel(scenarios(), |(what, step)| {
        // `run` checks the log and the summary.
        let outcome = canaries().into_iter().fold(with_maximum_logging(step), Step::secret).run();
        for entry in outcome.entries().iter().filter(|entry| entry.is_sensitive != Some(true)) {
            assert_no_canary_in(&format!("{} of {what}", entry.key), &entry.value);
        }
        let tmp = outcome.root.path().join("tmp");
        let files = files_below(outcome.root.path()).into_iter();
        for file in files.filter(|file| !file.starts_with(&tmp) && *file != outcome.envstore) {
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            assert_no_canary_in(&file.display().to_string(), &text);
        }
    });
}

#[test]
fn find_leak_finds_every_encoding_of_a_secret() {
    for secret in canaries() {
        for leak in [
            secret.clone(),
            format!("{secret:?}"),
            hex(&secret),
            hex(&secret).to_uppercase(),
            Value::from(secret.as_str()).to_string(),
            STANDARD.encode(format!("x{secret}yz")),
            percent_encoding::utf8_percent_encode(&secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
        ] {
            assert!(find_leak(&leak, &secret).is_some(), "{leak}");
        }
    }
}

/// A run with all settings that make a Rust program log more.
fn with_maximum_logging(step: Step) -> Step {
    step.set_all([
        ("verbose_log", "yes"),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
        ("RUST_LIB_BACKTRACE", "1"),
    ])
}

#[test]
fn the_log_does_not_show_the_body_of_an_error_response() {
    let echo = Behaviour::Status { code: 403, headers: vec![], body: "canary-echo of the token".to_owned() };
    let step = Step::new().connected_with(&connection_of_canaries(), vec![echo]).secret("canary-echo");
    with_maximum_logging(step).fails();
}

#[test]
fn the_log_does_not_show_the_query_of_a_pre_signed_url() {
    const NAME: &str = "AuthKey_FROMINPUT1.p8";
    const QUERY: &str = "X-Amz-Credential=canary-1&X-Amz-Signature=canary-2#canary-3";
    let with_key_at = |url: String| {
        let step = Step::off_bitrise().set("api_key_path", url).set("api_issuer", INPUT_ISSUER);
        with_maximum_logging(step).secret("canary")
    };
    let key_url = |behaviours| format!("{}?{QUERY}", SERVER.file(&unique_name(), NAME, pem(), behaviours));
    with_key_at(key_url(vec![])).succeeds();
    for behaviours in [
        vec![status(403, &[])],
        always_busy(500),
        vec![Behaviour::Html],
        vec![redirect("/elsewhere?canary-4").forever()],
        vec![redirect("http://elsewhere.invalid/?canary-4")],
        vec![redirect("ftp://elsewhere.invalid/?canary-4")],
        vec![redirect("http://[canary-4")],
        vec![redirect("::canary-4")],
    ] {
        with_key_at(key_url(behaviours)).fails();
    }
    with_key_at(format!("https://localhost:1/key.p8?{QUERY}")).fails();
    let untrusted = StandIn::start_tls(Certificate::Good).unwrap();
    with_key_at(format!("{}?{QUERY}", untrusted.file("x", NAME, pem(), vec![]))).fails();
    let with_password = SERVER.file(&unique_name(), NAME, pem(), vec![status(404, &[])]);
    with_key_at(with_password.replace("http://", "http://user:canary-password@")).fails();
}

/// Stops a process just before it exits, and reads its writable memory, except the environment, which the kernel put
/// there.
#[cfg(target_os = "linux")]
fn memory_at_exit(child: &std::process::Child) -> Vec<u8> {
    use std::io::{Read as _, Seek as _, SeekFrom};

    use nix::libc::PTRACE_EVENT_EXIT;
    use nix::sys::ptrace;
    use nix::sys::wait::{WaitStatus, waitpid};

    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT).unwrap();
    loop {
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceEvent(_, _, PTRACE_EVENT_EXIT) => break,
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal).unwrap(),
            status => panic!("{status:?}"),
        }
    }
    let proc_file = |name: &str| format!("/proc/{pid}/{name}");
    // The last fields are env_start, env_end and exit_code (proc_pid_stat(5)).
    let fields = fs::read_to_string(proc_file("stat")).unwrap();
    let fields: Vec<u64> = fields.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let environment = fields[fields.len() - 3]..fields[fields.len() - 2];
    let mut memory = fs::File::open(proc_file("mem")).unwrap();
    let mut contents = Vec::new();
    for line in fs::read_to_string(proc_file("maps")).unwrap().lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory.seek(SeekFrom::Start(start)).unwrap();
        memory.read_exact(&mut bytes).unwrap();
        let without_environment = (start..).zip(bytes).filter(|(address, _)| !environment.contains(address));
        contents.extend(without_environment.map(|(_, byte)| byte));
    }
    ptrace::detach(pid, None).unwrap();
    contents
}

#[test]
#[cfg(target_os = "linux")]
fn no_secret_is_left_in_memory_when_a_run_ends() {
    let with_key = || Step::new().connected(&connection_of_canaries()).set("export_token", "yes");
    let tools = "bitrise fastlane fastlane_api_key_path xcode connection";
    let steps = [
        ("a connected key", with_key().set("export_for", tools).verified_by(account(vec![]))),
        (
            "a connected Apple ID",
            Step::new().connected(&connection_of_canaries()).set("connection", "apple_id"),
        ),
        ("a key in the inputs", Step::new().with_key_inputs()),
        ("an Apple ID in the inputs", with_canaries_in_the_inputs(Step::new())),
    ];
    for (what, step) in steps {
        let mut memory = Vec::new();
        let outcome = step.run_while(|child| memory = memory_at_exit(child));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
        let is_in_memory = |text: &str| memory.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(is_in_memory("apple-services-connection"), "the search misses a text that is in memory");
        let leaked: Vec<_> = canaries().into_iter().filter(|secret| is_in_memory(secret)).collect();
        assert_eq!(leaked, [""; 0], "{what}");
    }
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs strace"]
fn files_and_folders_are_private_from_the_start() {
    for umask in ["000", "022"] {
        let step = Step::new()
            .connected(&connection_of_canaries())
            .set("export_for", "bitrise fastlane fastlane_api_key_path xcode connection")
            .set("PATH", "/usr/bin:/bin");
        let trace = step.path("home/trace");
        let script = format!(
            "umask {umask}; exec strace -f -e trace=open,openat,creat,mkdir,mkdirat,chmod,fchmod,fchmodat -o '{}' \"$0\"",
            trace.display()
        );
        let outcome = step.under("sh", &["-c", &script]).succeeds();
        let root = outcome.root.path().to_str().unwrap().to_owned();
        let trace = fs::read_to_string(trace).unwrap();
        let created: Vec<_> = trace
            .lines()
            .filter(|line| line.contains(&root) && (line.contains("O_CREAT") || line.contains("mkdir")))
            .collect();
        assert!(created.len() >= 6, "expected the folder, its files and the envstore:\n{trace}");
        for line in created {
            let expected = if line.contains("mkdir") { ", 0700)" } else { ", 0600)" };
            assert!(line.contains(expected), "umask {umask}: {line}");
        }
        let widened = trace
            .lines()
            .filter(|line| line.contains("chmod") && !line.contains("0600") && !line.contains("0700"));
        assert_eq!(widened.collect::<Vec<_>>(), Vec::<&str>::new(), "umask {umask}");
    }
}
