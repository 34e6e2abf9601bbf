//! Canaries in every secret, and a search for them everywhere but where they belong.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stand_in::Behaviour;

use test_support::{Outcome, Step, TOKEN, all, api_key, apple_id, busy, cookie, in_days, spaceauth};

const COOKIE: &str = "canaryCookie+with/odd=\"chars\" & more~éü";
const PASSWORD: &str = "canary pass:wörd \"quoted\" \\n 100%";
const APP_PASSWORD: &str = "cana-ryaa-ppas-swrd";
const SESSION: &str = "canarySessionValue0123456789";

/// A private key's base64 body is its own canary.
fn canaries() -> Vec<String> {
    let key = |pem: &str| pem.lines().filter(|line| line.len() == 64).map(str::to_owned).collect::<Vec<_>>();
    let mut all = vec![TOKEN, COOKIE, PASSWORD, APP_PASSWORD, SESSION]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    all.extend(key(&test_support::CONNECTED_KEY.private_pem));
    all.extend(key(test_support::pem()));
    all
}

/// The shapes in which a secret can slip out: as it is, base64 at any offset, percent-encoded,
/// escaped as JSON, `Debug`ged, or a part of it on a line of its own.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), format!("{secret:?}").trim_matches('"').to_owned()];
    forms.push(Value::from(secret).to_string().trim_matches('"').to_owned());
    forms.push(percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string());
    for offset in 0..3 {
        let encoded = STANDARD.encode(format!("{}{secret}", " ".repeat(offset)));
        // Without the letters that its neighbours change.
        forms.push(encoded.chars().skip(4).take(encoded.len().saturating_sub(12)).collect());
    }
    let characters: Vec<_> = secret.chars().collect();
    forms.extend(characters.chunks(16).filter(|chunk| chunk.len() == 16).map(|chunk| chunk.iter().collect()));
    forms.retain(|form| form.len() >= 12);
    forms
}

fn assert_none_in(place: &str, text: &str) {
    for secret in canaries() {
        for form in forms(&secret) {
            assert!(!text.contains(&form), "{form:?} in {place}:\n{text}");
        }
    }
}

/// Everything in every secret field of the connection.
fn connected() -> Value {
    let cookies = json!([cookie("myacinfo", COOKIE), cookie("DES1", COOKIE)]);
    all([
        api_key(),
        apple_id(),
        json!({"password": PASSWORD, "app_specific_password": APP_PASSWORD, "session_cookies": {"https://idmsa.apple.com": cookies}}),
    ])
}

fn with_inputs(step: Step) -> Step {
    let session = spaceauth(&[("myacinfo", SESSION), ("DES1", SESSION)]);
    step.set("apple_id", "jane.canary@example.com")
        .set("password", PASSWORD)
        .set("app_password", APP_PASSWORD)
        .set("fastlane_session", session)
}

fn scenarios() -> Vec<(&'static str, Step)> {
    let on = |body: &Value, behaviours: Vec<Behaviour>| Step::new().connected_with(body, behaviours);
    let damaged = |field: &str, value: Value| on(&all([connected(), json!({ field: value })]), vec![]);
    let every_tool = "bitrise fastlane xcode connection spaceship asc codemagic expo tauri";
    let expired = json!({"connection_expiry_date": "2024-02-29T12:00:00Z"});
    vec![
        ("connected key", on(&connected(), vec![]).set("export_for", every_tool).set("export_token", "yes")),
        (
            "connected Apple ID",
            on(&connected(), vec![]).set("connection", "apple_id").set("export_for", every_tool),
        ),
        ("Apple ID in the inputs", with_inputs(Step::new())),
        ("key in the inputs", Step::new().with_key_inputs()),
        ("inputs ignored", with_inputs(on(&connected(), vec![]).set("connection", "api_key"))),
        ("conflict", with_inputs(Step::new().with_key_inputs())),
        ("server error", with_inputs(on(&connected(), vec![busy(500).forever()]))),
        ("401", on(&connected(), vec![]).set("build_api_token", "another-token")),
        ("answer cut short", on(&connected(), vec![Behaviour::ResetMidBody, Behaviour::Ok])),
        ("key in the wrong field", damaged("key_id", json!(test_support::CONNECTED_KEY.private_pem))),
        (
            "damaged key",
            damaged("private_key", json!(test_support::CONNECTED_KEY.private_pem.replace("MIGH", "MIGX"))),
        ),
        ("wrong type", damaged("is_enterprise_account", json!(PASSWORD))),
        (
            "damaged cookie",
            damaged("session_cookies", json!({"https://idmsa.apple.com": [cookie("a;b", COOKIE)]}))
                .set("connection", "apple_id"),
        ),
        ("expired session", on(&all([connected(), expired]), vec![]).set("connection", "apple_id")),
        (
            "session ends soon",
            on(&all([connected(), json!({"connection_expiry_date": in_days(2)})]), vec![])
                .set("connection", "apple_id"),
        ),
        ("no envstore", on(&connected(), vec![]).set("ENVMAN_ENVSTORE_PATH", "/nowhere/envstore.yml")),
        (
            "no session",
            Step::new()
                .set("apple_id", "jane@example.com")
                .set("fastlane_session", format!("{SESSION} {PASSWORD}")),
        ),
        (
            "secrets in every wrong field",
            Step::new()
                .set("connection", PASSWORD)
                .set("api_key_id", test_support::pem())
                .set("api_issuer", test_support::pem())
                .set("verify", SESSION),
        ),
    ]
}

#[test]
fn no_canary_shows_anywhere_but_where_it_belongs() {
    for (what, step) in scenarios() {
        let step = step.set("verbose_log", "yes").set("RUST_BACKTRACE", "full").set("RUST_LOG", "trace");
        let report = step.path("home/report.md");
        let outcome = step.set("BITRISE_STEP_FORMATTED_OUTPUT_FILE_PATH", &report).run();
        // A wrong choice is shown, shortened, as the user typed it; these are too long for that.
        assert_none_in(&format!("the log of {what}"), &outcome.stdout);
        assert_none_in(&format!("the errors of {what}"), &outcome.stderr);
        assert_none_in(&format!("the report of {what}"), &fs::read_to_string(&report).unwrap());
        for entry in outcome.entries().iter().filter(|entry| entry.is_sensitive != Some(true)) {
            assert_none_in(&format!("{} of {what}", entry.key), &entry.value);
        }
        let mut places = Vec::new();
        collect_files(outcome.root.path(), &mut places);
        for place in places.iter().filter(|place| !is_expected(place, &outcome)) {
            let text = String::from_utf8_lossy(&fs::read(place).unwrap()).into_owned();
            assert_none_in(&place.display().to_string(), &text);
        }
    }
}

/// The run's own folder, and the envstore.
fn is_expected(place: &Path, outcome: &Outcome) -> bool {
    place.starts_with(outcome.root.path().join("tmp")) || place == outcome.envstore
}

fn collect_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect_files(&path, files) } else { files.push(path) }
    }
}

#[test]
fn the_search_finds_each_form_when_it_is_there() {
    for secret in canaries() {
        for leak in [
            secret.clone(),
            format!("{secret:?}"),
            Value::from(secret.as_str()).to_string(),
            STANDARD.encode(format!("x{secret}yz")),
            percent_encoding::utf8_percent_encode(&secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
        ] {
            assert!(forms(&secret).iter().any(|form| leak.contains(form)), "{leak}");
        }
    }
}

/// What is in this process's memory at an address, where the system lets itself be asked.
#[cfg(target_os = "linux")]
fn memory_at(address: usize, length: usize) -> Vec<u8> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut memory = fs::File::open("/proc/self/mem").unwrap();
    memory.seek(SeekFrom::Start(address as u64)).unwrap();
    let mut bytes = vec![0; length];
    memory.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
#[cfg(target_os = "linux")]
fn the_memory_of_a_private_key_is_wiped_on_drop() {
    use apple_services_connection::apple::private_key::PrivateKey;
    let text = test_support::pem().to_owned();
    // In the middle, where an allocator's own notes do not reach.
    let middle = text.len() / 2;
    let key = PrivateKey::from_bytes(text.as_bytes()).unwrap();
    let address = key.expose_pem().as_ptr() as usize + middle;
    assert_eq!(
        memory_at(address, 40),
        text.as_bytes()[middle..middle + 40],
        "the key is there while it lives"
    );
    drop(key);
    let after = memory_at(address, 40);
    assert_ne!(after, text.as_bytes()[middle..middle + 40]);

    // The same look at a plain copy shows that it would have found one.
    let copy = text.clone();
    let address = copy.as_ptr() as usize + middle;
    drop(copy);
    assert_eq!(memory_at(address, 40), text.as_bytes()[middle..middle + 40], "a plain string is not wiped");
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs strace"]
fn files_and_folders_are_private_from_the_first_moment() {
    for umask in ["000", "022"] {
        let step = Step::new()
            .connected(&connected())
            .set("export_for", "bitrise fastlane xcode connection")
            .set("PATH", "/usr/bin:/bin");
        let trace = step.path("home/trace");
        let script = format!(
            "umask {umask}; exec strace -f -e trace=open,openat,creat,mkdir,mkdirat,chmod,fchmod,fchmodat -o '{}' \"$0\"",
            trace.display()
        );
        let outcome = step.under("sh", &["-c", &script]).run();
        outcome.check_success();
        let root = outcome.root.path().to_str().unwrap().to_owned();
        let trace = fs::read_to_string(trace).unwrap();
        let made: Vec<_> = trace
            .lines()
            .filter(|line| line.contains(&root) && (line.contains("O_CREAT") || line.contains("mkdir")))
            .collect();
        assert!(made.len() >= 6, "a folder, its files and the envstore:\n{trace}");
        for line in made {
            let expected = if line.contains("mkdir") { ", 0700)" } else { ", 0600)" };
            assert!(line.contains(expected), "umask {umask}: {line}");
        }
        let widened = trace
            .lines()
            .filter(|line| line.contains("chmod") && !line.contains("0600") && !line.contains("0700"));
        assert_eq!(widened.collect::<Vec<_>>(), Vec::<&str>::new(), "umask {umask}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_secret_is_on_the_command_line_of_any_process() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let step = with_inputs(Step::new()).unset("ENVMAN_ENVSTORE_PATH");
    let bin = step.path("home/bin");
    let step = step.file("home/bin/envman", "#!/bin/sh\ncat > /dev/null\nsleep 0.3\n");
    test_support::set_mode(bin.join("envman"), 0o755);
    let step = step.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    let Ok(line) = fs::read(process.path().join("cmdline")) else { continue };
                    let line = String::from_utf8_lossy(&line).replace('\0', " ");
                    if line.contains("envman add --key") {
                        seen += 1;
                    }
                    if line.contains("envman") || line.contains("apple-services-connection") {
                        assert_none_in("a command line", &line);
                    }
                }
            }
            seen
        });
        let outcome = step.run();
        done.store(true, Ordering::Relaxed);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
        assert!(watch.join().unwrap() > 0, "envman was seen at work");
    });
}
