//! The binary, driven as a script drives it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use stand_in::{Request, Verdict};

use crate::client::{End, get, head, send};

const TOKEN: (&str, &str) = ("BUILD_API_TOKEN", "t0ken");

struct Running {
    root: PathBuf,
    child: Child,
    origin: String,
}

impl Running {
    fn start(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_stand-in"))
            .arg("--root")
            .arg(&root)
            .args(["--token", "t0ken"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let origin = loop {
            match fs::read_to_string(root.join("origin")) {
                Ok(origin) => break origin.trim_end().to_owned(),
                Err(_) => assert!(began.elapsed() < Duration::from_secs(5)),
            }
            thread::sleep(Duration::from_millis(2));
        };
        Self { root, child, origin }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn requests(&self) -> Vec<Request> {
        fs::read_to_string(self.root.join("requests.jsonl"))
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn files_that_appear_while_it_runs_are_served() {
    let running = Running::start("appear");
    let url = running.url("/build/b/apple_developer_portal_data.json");
    assert_eq!(get(&url, &[TOKEN]).status(), 404);

    running.write("connections/b.json", "{}");
    assert_eq!(get(&url, &[TOKEN]).body(), b"{}");
    assert_eq!(get(&url, &[]).status(), 401);
    running.write("connections/b.json", "not JSON");
    assert_eq!(get(&url, &[TOKEN]).body(), b"not JSON");

    running.write("files/f/AuthKey_X (1).p8", "key");
    let url = running.url("/files/f/AuthKey_X%20(1).p8?sig=1");
    assert_eq!(get(&url, &[]).body(), b"key");

    let requests = running.requests();
    assert_eq!(requests.len(), 5);
    assert_eq!(requests[1].verdict, Verdict::Ok);
    assert!(matches!(&requests[2].verdict, Verdict::Refused(why) if why.contains("absent")));
    assert_eq!(requests[3].header("BUILD_API_TOKEN"), Some("t0ken"));
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let running = Running::start("outside");
    running.write("secret.json", "{}");
    running.write("files/f/x", "x");
    for path in [
        "/files/f/..%2f..%2fsecret.json",
        "/files/f/../../secret.json",
        "/files/../secret.json",
        "/files/..%2f/secret.json",
        "/build/..%2Fsecret/apple_developer_portal_data.json",
        "/files/f/",
    ] {
        assert_eq!(get(&running.url(path), &[]).status(), 404, "{path}");
    }
}

#[test]
fn behaviours_are_used_up_and_begin_anew_when_they_change() {
    let running = Running::start("behaviours");
    let url = running.url("/build/b/apple_developer_portal_data.json");
    running.write("connections/b.json", "{}");
    let list = "connections/b.json.behaviours.json";

    running.write(list, r#"["empty_body", "reset_before_answer"]"#);
    assert_eq!(get(&url, &[TOKEN]).body(), b"");
    assert_eq!(get(&url, &[TOKEN]).end, End::Reset);
    assert_eq!(get(&url, &[TOKEN]).body(), b"{}");

    running.write(list, r#"[{"forever": {"status": {"code": 503}}}]"#);
    assert_eq!(get(&url, &[TOKEN]).status(), 503);
    assert_eq!(get(&url, &[TOKEN]).status(), 503);

    fs::remove_file(running.root.join(list)).unwrap();
    assert_eq!(get(&url, &[TOKEN]).status(), 200);

    running.write(list, r#"["no such thing"]"#);
    let received = get(&url, &[TOKEN]);
    assert_eq!(received.status(), 500);
    assert!(received.text().contains("no such thing"));
    assert!(!running.requests().pop().unwrap().verdict.is_ok());
}

#[test]
fn accounts_and_sessions_come_from_files() {
    let running = Running::start("accounts");
    let made = Command::new(env!("CARGO_BIN_EXE_stand-in"))
        .arg("new-key")
        .args([running.root.join("private.pem"), running.root.join("public.pem")])
        .status()
        .unwrap();
    assert!(made.success());
    running.write(
        "apple/a.json",
        r#"{"public_key_path": "public.pem", "key_id": "ABCDE12345", "issuer_id": null}"#,
    );
    running.write(
        "sessions/s.json",
        r#"{"cookies": {"a": "b"}, "provider": null, "available_providers": [{"provider_id": 1, "name": "One"}]}"#,
    );

    let received = get(&running.url("/asc/a/v1/apps?limit=1"), &[("Authorization", "Bearer a.b.c")]);
    assert_eq!(received.status(), 401);
    assert_eq!(received.json()["errors"][0]["code"], "NOT_AUTHORIZED");

    let received = get(&running.url("/olympus/s/olympus/v1/session"), &[("Cookie", "a=b")]);
    assert_eq!(received.status(), 200);
    assert_eq!(received.json()["availableProviders"][0]["name"], "One");
    assert_eq!(received.json().get("provider"), None);

    running.write("annotations/p.json", r#"{"token": "t", "build_slug": "5lug"}"#);
    let url = running.url("/annotations/p/v1/builds/5lug/annotations/");
    let body = r#"{"context":"c","markdown":"m","style":"info"}"#;
    let length = body.len().to_string();
    let headers = [
        ("Authorization", "Bearer t"),
        ("Content-Type", "application/json"),
        ("Content-Length", &length),
        ("Connection", "close"),
    ];
    let received = send(&url, (head("PUT", &url, &headers) + body).as_bytes(), Duration::from_secs(5));
    assert_eq!(received.status(), 200);
    assert_eq!(running.requests().pop().unwrap().body, body);

    let team = r#"{"role": "developer", "apps": [{"id": "1", "bundle_id": "a.b", "name": "A"}]}"#;
    let account = r#"{"public_key_path": "public.pem", "key_id": "K", "issuer_id": null, "team": "#;
    running.write("apple/b.json", &format!("{account}{team}}}"));
    assert_eq!(get(&running.url("/asc/b/v1/apps"), &[]).status(), 401);
    running.write("apple/b.json", &format!("{account}{}}}", team.replace("role", "rolle")));
    assert_eq!(get(&running.url("/asc/b/v1/apps"), &[]).status(), 500);

    running.write("apple/a.json", r#"{"public_key": "typo"}"#);
    assert_eq!(get(&running.url("/asc/a/v1/apps"), &[]).status(), 500);
}

#[test]
fn it_ends_with_its_standard_input() {
    let mut running = Running::start("stdin");
    drop(running.child.stdin.take());
    let status = running.child.wait().unwrap();
    assert!(status.success());
}

#[test]
fn wrong_arguments_fail_and_say_why() {
    for (arguments, why) in [
        (&["--root", "x"][..], "--token is missing"),
        (&["--token", "x"], "--root is missing"),
        (&["--root"], "a value is missing"),
        (&["--rot", "x"], "unknown argument --rot"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stand-in")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(why), "{stderr}");
    }
}
