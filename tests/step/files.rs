//! The files of a run: their modes and contents.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use test_support::snapshots::assert_messages;
use test_support::{
    CONNECTED_ISSUER, CONNECTED_KEY, CONNECTED_KEY_ID, INPUT_ISSUER, INPUT_KEY_ID, Step, api_key, apple_id,
    errors_of, merge, mode, names_in, pem, pem_body, set_mode,
};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_credentials_folder_has_mode_0700_and_its_files_0600_with_any_umask() {
    for umask in ["000", "022", "077"] {
        let outcome = Step::new().connected(&api_key()).umask(umask).succeeds();
        assert_eq!(outcome.leftovers.len(), 1, "one folder per run");
        let folder = PathBuf::from(outcome.output("API_PRIVATE_KEYS_DIR"));
        assert_eq!(mode(&folder), 0o700, "umask {umask}");
        let files: Vec<_> = names_in(&folder).into_iter().collect();
        let key = format!("AuthKey_{CONNECTED_KEY_ID}.p8");
        assert_eq!(files, [".apple-services-connection", &key, "fastlane_api_key.json"]);
        for file in files {
            assert_eq!(mode(folder.join(&file)), 0o600, "{file}, umask {umask}");
        }
    }
}

#[test]
fn fastlanes_json_has_the_fields_that_fastlane_reads() {
    let enterprise = merge([api_key(), json!({"is_enterprise_account": true})]);
    let key = &CONNECTED_KEY.private_pem;
    let rows = [
        (Step::new().connected(&api_key()), CONNECTED_KEY_ID, CONNECTED_ISSUER, key.as_str(), false),
        (Step::new().connected(&enterprise), CONNECTED_KEY_ID, CONNECTED_ISSUER, key.as_str(), true),
        (Step::new().with_key_inputs(), INPUT_KEY_ID, INPUT_ISSUER, pem(), false),
    ];
    for (step, id, issuer, key, in_house) in rows {
        let outcome = step.succeeds();
        let json: Value =
            serde_json::from_str(&read(outcome.output("APP_STORE_CONNECT_API_KEY_PATH"))).unwrap();
        assert_eq!(json, json!({"key_id": id, "issuer_id": issuer, "key": key, "in_house": in_house}));
    }
}

/// `rcodesign encode-app-store-connect-api-key` writes the same fields.
#[test]
fn rcodesigns_json_has_the_fields_that_rcodesign_reads() {
    let outcome = Step::new().connected(&api_key()).set("export_for", "rcodesign").succeeds();
    let path = outcome.output("APPLE_RCODESIGN_API_KEY_PATH");
    let json: Value = serde_json::from_str(&read(&path)).unwrap();
    let der = pem_body(&CONNECTED_KEY.private_pem);
    let expected = json!({"issuer_id": CONNECTED_ISSUER, "key_id": CONNECTED_KEY_ID, "private_key": der});
    assert_eq!(json, expected);
    assert_eq!(mode(&path), 0o600);
    assert!(path.starts_with(&outcome.output("APPLE_CREDENTIALS_DIR")));
}

#[test]
fn a_key_id_cannot_escape_the_credentials_folder() {
    let mut rows = Vec::new();
    for id in ["../x", "..", "/etc/x", "a/../../b", "x\\y", "."] {
        let connected = Step::new().connected(&merge([api_key(), json!({"key_id": id})]));
        rows.push((format!("{id} in the connection"), connected));
        rows.push((format!("{id} in the inputs"), Step::new().with_key_inputs().set("api_key_id", id)));
    }
    assert_messages("files/key_id_escapes", errors_of(rows));
}

#[test]
fn the_error_names_a_temporary_folder_that_cannot_be_written_to() {
    let error_in = |folder: &str| {
        let step = Step::new().connected(&api_key()).file("work/file", "");
        let folder = step.path(folder);
        step.set("TMPDIR", &folder).fails().error()
    };
    let read_only = Step::new().connected(&api_key()).not_as_root();
    set_mode(read_only.path("tmp"), 0o500);
    let messages = [
        ("a folder that is not there", error_in("tmp/missing")),
        ("a file", error_in("work/file")),
        ("a folder that is read-only", read_only.fails().error()),
    ];
    assert_messages("files/temporary_folder", messages);
}

#[test]
fn a_temporary_folder_can_be_a_link() {
    let step = Step::new().connected(&api_key());
    let link = step.path("home/tmp");
    std::os::unix::fs::symlink(step.path("tmp"), &link).unwrap();
    let outcome = step.set("TMPDIR", link).succeeds();
    assert!(Path::new(&outcome.output("APPLE_API_KEY_PATH")).is_file());
}

#[test]
fn an_apple_id_needs_no_temporary_folder() {
    let outcome = Step::new().connected(&apple_id()).set("TMPDIR", "/nowhere").succeeds();
    assert_eq!(outcome.method_and_source().0, "apple_id");
}
