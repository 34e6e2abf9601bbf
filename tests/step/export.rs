//! Writing the outputs to the envstore: all of them or none.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use test_support::snapshots::assert_messages;
use test_support::{
    CONNECTED_APP_PASSWORD, CONNECTED_APPLE_ID, CONNECTED_PASSWORD, Step, api_key, apple_id, envman,
    errors_of, mode, names_in, print_with_envman, set_mode,
};

const ENTRIES: &str = "envs:
- FIRST: plain $HOME
  opts:
    is_expand: true
# A comment.
- 'QUOTED':   \"a: $b \\\" c\"   # another
- opts: {is_sensitive: true}
  OPTS_FIRST: 'x'
";
const OLD_OUTPUT: &str = "- APPLE_AUTH_METHOD: old
  opts:
    is_sensitive: true
    unset: true
";
const MORE_ENTRIES: &str = "- MULTI: |-
    line 1
    - line 2
    envs:

    line 4
  opts:
    unset: true
    skip_if_empty: false
- NUMBER: 0123
- NO: no
- EMPTY:
- LAST: \"\\u00fc\"
";

#[test]
fn an_output_already_in_the_envstore_is_replaced_in_place() {
    let before = format!("{ENTRIES}{OLD_OUTPUT}{MORE_ENTRIES}");
    let outcome = Step::new().connected(&apple_id()).envstore(before).succeeds();
    let text = outcome.envstore_text.clone().unwrap();
    let rest = text.strip_prefix(ENTRIES).expect("the entries before");
    let rest = rest.strip_prefix("- APPLE_AUTH_METHOD: \"apple_id\"\n").expect("the new value");
    let (options, rest) = rest.split_once("- MULTI").expect("the entries after");
    assert_eq!(options.trim(), "opts:\n    is_expand: false", "the old options are gone");
    assert!(format!("- MULTI{rest}").starts_with(MORE_ENTRIES), "{text}");
    assert_eq!(outcome.output("APPLE_AUTH_METHOD"), "apple_id");
}

#[test]
fn every_form_of_an_empty_envstore_is_accepted() {
    for empty in
        ["", "envs: []\n", "envs:\n", "envs: []", "---\nenvs: []\n", "---\n", "\n", "{}", "envs: null\n"]
    {
        let outcome = Step::new().connected(&api_key()).envstore(empty).succeeds();
        assert_eq!(outcome.output("APPLE_AUTH_METHOD"), "api_key", "{empty:?}");
    }
}

#[test]
fn existing_entries_are_kept_byte_for_byte() {
    for before in [
        &format!("{ENTRIES}{MORE_ENTRIES}"),
        "envs:\r\n- A: x\r\n  opts:\r\n    is_expand: true\r\n- B: y\r\n",
        "envs:\n  - A: x\n    opts:\n      is_expand: true\n  - B: y\n",
        "envs:\n-   A: x\n-   B: y",
        "# made by hand\n---\nenvs:\n- A: x\n- B: y\n",
        "envs:\n- A: x\n- A: second\n- B: y\n",
    ] {
        let outcome = Step::new().connected(&api_key()).envstore(before).succeeds();
        let text = outcome.envstore_text.clone().unwrap();
        let added = text.strip_prefix(before).expect("the existing entries");
        assert!(added.trim_start().starts_with("- APPLE_AUTH_METHOD: "), "{text:?}");
        assert_eq!(outcome.output("APPLE_AUTH_METHOD"), "api_key", "{text:?}");
    }
}

#[test]
fn the_mode_of_the_envstore_is_kept() {
    for mode_before in [0o600, 0o640, 0o644, 0o666] {
        let step = Step::new().connected(&api_key()).envstore(ENTRIES).umask("077");
        set_mode(step.envstore_path(), mode_before);
        assert_eq!(mode(&step.succeeds().envstore), mode_before);
    }
}

#[test]
fn a_new_envstore_has_mode_0600() {
    for umask in ["000", "022"] {
        assert_eq!(mode(&Step::new().connected(&api_key()).umask(umask).succeeds().envstore), 0o600);
    }
}

#[test]
fn a_symlinked_envstore_stays_a_link() {
    let step = Step::new().connected(&api_key()).file("work/real.yml", ENTRIES);
    let (link, real) = (step.envstore_path(), step.path("work/real.yml"));
    symlink(&real, &link).unwrap();
    let outcome = step.succeeds();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().starts_with(ENTRIES));
    assert_eq!(outcome.output("APPLE_AUTH_METHOD"), "api_key");
    let work = names_in(real.parent().unwrap());
    assert_eq!(work.into_iter().collect::<Vec<_>>(), ["real.yml"], "nothing is left next to the file");
}

#[test]
fn a_relative_envstore_path_is_relative_to_the_working_folder() {
    let outcome = Step::new().connected(&api_key()).set("ENVMAN_ENVSTORE_PATH", "store.yml").run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    let text = fs::read_to_string(outcome.root.path().join("work/store.yml")).unwrap();
    assert!(text.starts_with("envs:\n- APPLE_AUTH_METHOD: \"api_key\"\n"), "{text}");
}

#[test]
fn a_writable_envstore_in_a_read_only_folder_is_written_in_place() {
    // The new content is shorter than the old, whose end must be cut off.
    let before = format!("{ENTRIES}- FASTLANE_PASSWORD: {}\n{MORE_ENTRIES}", "x".repeat(10_000));
    let step = Step::new().connected(&apple_id()).envstore(before).not_as_root();
    set_mode(step.envstore_path(), 0o666);
    let store = step.path("store");
    set_mode(&store, 0o555);
    let outcome = step.run();
    set_mode(&store, 0o755);
    outcome.assert_success();
    let text = outcome.envstore_text.clone().unwrap();
    assert!(text.starts_with(ENTRIES) && text.len() < 10_000, "{text}");
    assert_eq!(outcome.output("FASTLANE_PASSWORD"), CONNECTED_PASSWORD);
    assert_eq!(mode(&outcome.envstore), 0o666);
}

#[test]
fn an_envstore_that_cannot_be_written_is_an_error() {
    let step = || Step::new().connected(&api_key());
    let error_at = |path: &str| step().set("ENVMAN_ENVSTORE_PATH", path).fails().error();
    let below_a_file = step().envstore("envs: []\n");
    let path = below_a_file.envstore_path().join("x");
    let below_a_file = below_a_file.set("ENVMAN_ENVSTORE_PATH", path).fails().error();
    let new_file = step().not_as_root();
    set_mode(new_file.path("store"), 0o500);
    let read_only = step().envstore(ENTRIES).not_as_root();
    set_mode(read_only.envstore_path(), 0o444);
    let store = read_only.path("store");
    set_mode(&store, 0o555);
    let outcome = read_only.run();
    set_mode(&store, 0o755);
    outcome.assert_failure();
    let unreadable = step().envstore(ENTRIES).not_as_root();
    set_mode(unreadable.envstore_path(), 0o200);
    let large = step().envstore("#".repeat((8 << 20) + 1));
    let messages = [
        ("in a folder that is not there", error_at("nowhere/store.yml")),
        ("a folder", error_at(".")),
        ("below a file", below_a_file),
        ("a new one in a read-only folder", new_file.fails().error()),
        ("a read-only one in a read-only folder", outcome.error()),
        ("one that may not be read", unreadable.fails().error()),
        ("one of more than 8 MiB", large.fails().error()),
    ];
    assert_messages("export/not_written", messages);
}

#[test]
fn without_envstore_and_envman_the_error_says_how_to_try_the_step() {
    let rows = [
        ("not set", Step::new().unset("ENVMAN_ENVSTORE_PATH")),
        ("empty", Step::new().set("ENVMAN_ENVSTORE_PATH", "")),
        ("not set, PATH without envman", Step::new().unset("ENVMAN_ENVSTORE_PATH").set("PATH", "/nowhere")),
    ];
    let messages = rows.map(|(what, step)| (what, step.connected(&api_key()).fails().error()));
    assert_messages("export/no_envstore", messages);
}

/// YAML that envman can read, but never writes.
const UNKNOWN_FORMS: [&str; 5] = [
    "{\"envs\": [{\"A\": \"x\"}]}\n",
    "envs: [{A: x}]\n",
    "envs:\n- A: &anchor x\n- B: *anchor\n",
    "envs:\n- A: x\nother: 1\n",
    "envs:\n- A: x\n  B: y\n",
];

#[test]
fn without_envman_an_envstore_of_an_unknown_form_is_an_error_and_is_left_unchanged() {
    let step = |form: &[u8]| Step::new().connected(&api_key()).envstore(form);
    let forms = UNKNOWN_FORMS.into_iter().chain(["not: [yaml", "envs: [", "- list\n", "text", "envs: 1\n"]);
    let mut rows: Vec<_> = forms.map(|form| (format!("{form:?}"), step(form.as_bytes()))).collect();
    rows.push(("not UTF-8".to_owned(), step(&[0xff, 0xfe, 0])));
    assert_messages("export/unknown_form", errors_of(rows));
}

/// Records its arguments and its input, and adds a line to the envstore. Fails for the key in `FAIL_ON`.
const FAKE_ENVMAN: &str = "#!/bin/sh
echo \"$*\" >> \"$HOME/argv\"
cat > \"$HOME/stdin-$3\"
echo \"# $3\" >> \"${ENVMAN_ENVSTORE_PATH:-.envstore.yml}\"
echo noise; echo noise >&2
[ \"$3\" != \"$FAIL_ON\" ]
";

#[test]
fn envman_gets_the_values_on_standard_input_and_never_as_arguments() {
    let with_unknown_form = UNKNOWN_FORMS.map(|form| Step::new().envstore(form));
    let no_path = [Step::new().unset("ENVMAN_ENVSTORE_PATH"), Step::new().set("ENVMAN_ENVSTORE_PATH", "")];
    for step in with_unknown_form.into_iter().chain(no_path) {
        let outcome = step.connected(&apple_id()).with_envman(FAKE_ENVMAN).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
        let home = outcome.root.path().join("home");
        let argv = fs::read_to_string(home.join("argv")).unwrap();
        for line in argv.lines() {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!(&words[..2], ["add", "--key"], "{line}");
            assert!(words.contains(&"--no-expand"), "{line}");
            let is_secret = words[2] == "FASTLANE_SESSION" || words[2].contains("PASSWORD");
            assert_eq!(words.contains(&"--sensitive"), is_secret, "{line}");
            assert_eq!(words.len(), 4 + usize::from(is_secret), "no value in the arguments: {line}");
        }
        assert_eq!(argv.lines().count(), 9, "each output once: {argv}");
        for (key, value) in [
            ("APPLE_AUTH_METHOD", "apple_id"),
            ("FASTLANE_USER", CONNECTED_APPLE_ID),
            ("FASTLANE_PASSWORD", CONNECTED_PASSWORD),
            ("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD", CONNECTED_APP_PASSWORD),
        ] {
            assert_eq!(fs::read_to_string(home.join(format!("stdin-{key}"))).unwrap(), value, "{key}");
        }
    }
}

#[test]
fn when_envman_fails_halfway_nothing_is_exported_and_no_file_is_left() {
    let before = UNKNOWN_FORMS[0];
    let step = Step::new().connected(&api_key()).envstore(before).with_envman(FAKE_ENVMAN);
    let error = step.set("FAIL_ON", "APPLE_API_KEY_ID").fails().error();
    assert_messages("export/envman_fails", [("envman fails on APPLE_API_KEY_ID", error)]);

    let step = Step::new().connected(&api_key()).unset("ENVMAN_ENVSTORE_PATH").with_envman(FAKE_ENVMAN);
    let outcome = step.set("FAIL_ON", "APPLE_API_KEY_ID").fails();
    assert!(!outcome.root.path().join("work/.envstore.yml").exists(), "the file was not there before");
}

#[test]
fn an_envman_that_is_not_needed_is_not_run() {
    let outcome = Step::new().connected(&api_key()).envstore(ENTRIES).with_envman(FAKE_ENVMAN).succeeds();
    assert!(!outcome.root.path().join("home/argv").exists());
}

#[test]
fn the_real_envman_accepts_the_outputs() {
    let Some(envman) = envman() else { return };
    let special = "no $HOME\n: \"'\\n ü";
    let connected = json!({"apple_id": CONNECTED_APPLE_ID, "password": special});
    for step in [
        Step::new().envstore(UNKNOWN_FORMS[0]),
        Step::new().unset("ENVMAN_ENVSTORE_PATH").file("work/.envstore.yml", "envs: []\n"),
    ] {
        let outcome = step.connected(&connected).set("PATH", envman.parent().unwrap()).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
        let in_work = outcome.root.path().join("work/.envstore.yml");
        let values =
            print_with_envman(if in_work.exists() { &in_work } else { &outcome.envstore }, &[]).unwrap();
        assert_eq!(values["FASTLANE_USER"], CONNECTED_APPLE_ID);
        assert_eq!(values["FASTLANE_PASSWORD"], special);
    }
}

fn with_password(bytes: usize) -> Step {
    Step::new().connected(&json!({"apple_id": CONNECTED_APPLE_ID, "password": "p".repeat(bytes)}))
}

#[test]
fn the_error_for_values_over_envmans_limits_names_the_output() {
    let before = format!("envs:\n- BIG: {}\n", "x".repeat(200 * 1024));
    with_password(50 * 1024).envstore(&before).succeeds();
    let only_value_limit = r#"{"env_bytes_limit_in_kb": 400}"#;
    let small_value_limit = r#"{"env_bytes_limit_in_kb": 1, "env_list_bytes_limit_in_kb": 400}"#;
    let error_with =
        |bytes, settings| with_password(bytes).file("home/.envman/configs.json", settings).fails().error();
    let for_envman = with_password(256 * 1024 + 1).envstore(UNKNOWN_FORMS[0]).with_envman(FAKE_ENVMAN);
    let messages = [
        ("one of more than 256 KiB", with_password(256 * 1024 + 1).fails().error()),
        ("one of more than 256 KiB, for envman add", for_envman.fails().error()),
        ("60 KiB and 200 KiB", with_password(60 * 1024).envstore(&before).fails().error()),
        ("300 KiB, with only one limit raised", error_with(300 * 1024, only_value_limit)),
        ("2000 bytes, with a limit of 1 KiB", error_with(2000, small_value_limit)),
    ];
    assert_messages("export/limits", messages);
}

#[test]
fn envmans_settings_can_raise_the_limits_and_replaced_values_do_not_count() {
    let step = |bytes, settings| with_password(bytes).file("home/.envman/configs.json", settings);
    step(300 * 1024, r#"{"env_bytes_limit_in_kb": 400, "env_list_bytes_limit_in_kb": 400}"#).succeeds();
    // Zero or less means no limit.
    step(300 * 1024, r#"{"env_bytes_limit_in_kb": 0, "env_list_bytes_limit_in_kb": 0}"#).succeeds();
    step(300 * 1024, r#"{"env_bytes_limit_in_kb": -1, "env_list_bytes_limit_in_kb": -1}"#).succeeds();
    // Without a setting, the default of 256 KiB applies.
    for settings in ["null", "{}", r#"{"env_bytes_limit_in_kb": null}"#] {
        step(255 * 1024, settings).succeeds();
        step(256 * 1024 + 1, settings).fails();
    }
    let only_total_limit = r#"{"env_bytes_limit_in_kb": null, "env_list_bytes_limit_in_kb": 30}"#;
    step(29 * 1024, only_total_limit).succeeds();
    step(30 * 1024 + 1, only_total_limit).fails();
    // Without HOME, there are no settings.
    with_password(1000).unset("HOME").succeeds();
    let before = format!("envs:\n- FASTLANE_PASSWORD: {}\n", "x".repeat(200 * 1024));
    with_password(200 * 1024).envstore(before).succeeds();
}

#[test]
fn the_error_for_unreadable_envman_settings_names_the_file() {
    let step = || Step::new().connected(&api_key()).secret("canary");
    let wrong_type = r#"{"env_bytes_limit_in_kb": "canary"}"#;
    let rows = [
        ("not JSON", step().file("home/.envman/configs.json", "{")),
        ("a limit of the wrong type", step().file("home/.envman/configs.json", wrong_type)),
        ("a folder", step().file("home/.envman/configs.json/x", "")),
    ];
    assert_messages("export/settings", rows.map(|(what, step)| (what, step.fails().error())));
}

#[test]
fn export_and_remove_delete_only_the_unfinished_envstore_of_a_killed_run() {
    for action in ["export", "remove"] {
        let step = Step::new().connected(&api_key()).set("action", action).envstore("envs: []\n");
        let step = step
            .file("store/.envstore-apple-services-connection-aB3dE6", "outputs")
            .file("store/.envstore-backup", "another program's")
            .file("tmp/apple-services-connection-x7Yz01/AuthKey_X.p8", "key");
        let lookalikes = ["folder", "link"].map(|what| format!(".envstore-apple-services-connection-{what}"));
        let [folder, link] = lookalikes.each_ref().map(|name| step.path(&format!("store/{name}")));
        fs::create_dir(folder).unwrap();
        symlink(step.envstore_path(), link).unwrap();
        let outcome = step.run_in_process();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
        let store = names_in(outcome.envstore.parent().unwrap());
        let [folder, link] = &lookalikes;
        let kept = [folder, link, ".envstore-backup", "envstore.yml"];
        assert_eq!(store.into_iter().collect::<Vec<_>>(), kept, "{action}");
        assert!(outcome.leftovers.contains("apple-services-connection-x7Yz01"), "{action}");
    }
}
