//! `action: remove` deletes what an earlier run left, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use test_support::snapshots::assert_messages;
use test_support::{Step, api_key, set_mode};

/// A run with `action: remove`, and a folder that an earlier run left in the temporary folder.
fn with_folder() -> (Step, PathBuf) {
    let step = Step::new().set("action", "remove");
    let folder = step.path("tmp/apple-services-connection-x7Yz01");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o700);
    fs::write(folder.join("AuthKey_X.p8"), "key").unwrap();
    fs::write(
        folder.join(".apple-services-connection"),
        "This folder was made by the Bitrise Step apple-services-connection.\n",
    )
    .unwrap();
    (step, folder)
}

#[test]
fn the_folder_of_an_earlier_run_is_deleted_and_its_outputs_are_unset() {
    let first = Step::new().connected(&api_key()).succeeds();
    let folder = PathBuf::from(first.output("APPLE_CREDENTIALS_DIR"));
    assert!(folder.is_dir());
    let remove = Step::new().after(&first).set("action", "remove").set("TMPDIR", folder.parent().unwrap());
    let outcome = remove.set("PATH", "/usr/bin").set("FASTLANE_OPT_OUT_USAGE", "1").run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert!(!folder.exists());
    let exported_names = first.outputs().into_keys().collect();
    assert_eq!(outcome.unset_names(), exported_names, "all outputs that were set, and nothing else");
}

#[test]
fn removing_works_if_the_values_of_other_steps_exceed_envmans_limits() {
    let before = format!("envs:\n- OTHER: {}\n", "x".repeat(300 * 1024));
    let (step, folder) = with_folder();
    let outcome = step.set("APPLE_CREDENTIALS_DIR", &folder).envstore(&before).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert!(!folder.exists());
    assert!(outcome.envstore_text.unwrap().starts_with(&before));
}

#[test]
fn removing_ignores_the_other_inputs() {
    let (step, folder) = with_folder();
    let step =
        step.set("credentials_dir", &folder).set("apple_id", "x@example.com").set("api_key_path", "/x.p8");
    let step = step.set("export_for", "nonsense").set("verify", "perhaps").set("connection", "");
    assert_eq!(step.run().code, Some(0));
    assert!(!folder.exists());
}

#[test]
fn a_folder_that_the_step_did_not_create_is_rejected_and_unchanged() {
    /// Changes the folder or its surroundings, and returns the path to remove.
    type Tamper = fn(&Step, &PathBuf) -> PathBuf;
    let rows: [(&str, Tamper); 11] = [
        ("without a marker file", |_, folder| {
            fs::remove_file(folder.join(".apple-services-connection")).unwrap();
            folder.clone()
        }),
        ("with a wrong marker file", |_, folder| {
            fs::write(folder.join(".apple-services-connection"), "something else").unwrap();
            folder.clone()
        }),
        ("whose marker file is a link", |step, folder| {
            let marker = folder.join(".apple-services-connection");
            fs::rename(&marker, step.path("work/mark")).unwrap();
            symlink(step.path("work/mark"), &marker).unwrap();
            folder.clone()
        }),
        ("that others can read", |_, folder| {
            set_mode(folder, 0o755);
            folder.clone()
        }),
        ("that is a link", |step, folder| {
            let link = step.path("tmp/apple-services-connection-link");
            symlink(folder, &link).unwrap();
            link
        }),
        ("that is a link, with a slash", |step, folder| {
            let link = step.path("tmp/apple-services-connection-link");
            symlink(folder, &link).unwrap();
            PathBuf::from(format!("{}/", link.display()))
        }),
        ("that is really a file", |step, _| {
            let file = step.path("tmp/apple-services-connection-file");
            fs::write(&file, "x").unwrap();
            file
        }),
        ("whose name lacks the Step's prefix", |step, folder| {
            let other = step.path("tmp/other");
            fs::rename(folder, &other).unwrap();
            other
        }),
        ("outside of the temporary folder", |step, folder| {
            let moved = step.path("home/apple-services-connection-x7Yz01");
            fs::rename(folder, &moved).unwrap();
            moved
        }),
        ("at a relative path", |step, folder| {
            let moved = step.path("work/apple-services-connection-x7Yz01");
            fs::rename(folder, moved).unwrap();
            PathBuf::from("apple-services-connection-x7Yz01")
        }),
        ("at a path that ends in ..", |step, _| step.path("tmp/apple-services-connection-x7Yz01/..")),
    ];
    let messages = rows.map(|(what, tamper)| {
        let (step, folder) = with_folder();
        let path = tamper(&step, &folder);
        let absolute = step.path("work").join(&path);
        let outcome = step.set("APPLE_CREDENTIALS_DIR", &path).set("APPLE_API_KEY_ID", "X").run();
        assert_eq!(outcome.code, Some(1));
        assert!(fs::symlink_metadata(&absolute).is_ok(), "the folder {what} is still there");
        let outputs = ["APPLE_API_KEY_ID", "APPLE_CREDENTIALS_DIR"].map(str::to_owned);
        assert_eq!(outcome.unset_names(), outputs.into(), "the outputs are unset anyway");
        (format!("a folder {what}"), outcome.error())
    });
    assert_messages("removal/refused", messages);
}

#[test]
fn removing_the_folder_of_an_older_run_unsets_no_variable() {
    for latest in [Some("/tmp/apple-services-connection-latest"), None] {
        let (step, folder) = with_folder();
        let step = step.set("credentials_dir", &folder).set("APPLE_API_KEY_ID", "X");
        let step = match latest {
            Some(latest) => step.set("APPLE_CREDENTIALS_DIR", latest),
            None => step,
        };
        let outcome = step.run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
        assert!(!folder.exists());
        assert!(outcome.unset_names().is_empty(), "latest: {latest:?}");
    }
}

#[test]
fn each_of_two_credentials_can_be_removed_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let run = || Step::new().connected(&api_key()).set("TMPDIR", tmp.path()).succeeds();
    let (first, second) = (run(), run());
    let remove_step = || Step::new().after(&second).set("action", "remove").set("TMPDIR", tmp.path());
    let first_folder = first.output("APPLE_CREDENTIALS_DIR");
    let outcome = remove_step().set("credentials_dir", &first_folder).run();
    assert_eq!((outcome.code, outcome.unset_names().len()), (Some(0), 0), "{}", outcome.stdout);
    assert!(!PathBuf::from(first_folder).exists());
    assert!(PathBuf::from(second.output("APP_STORE_CONNECT_API_KEY_PATH")).exists());
    let outcome = remove_step().run();
    assert_eq!((outcome.code, outcome.unset_names().len()), (Some(0), second.entries().len()));
    assert_eq!(outcome.warnings(), Vec::<String>::new());
    assert_eq!(test_support::names_in(tmp.path()).len(), 0);
}

#[test]
fn a_warning_names_the_prefix_of_outputs_that_remain() {
    let (step, folder) = with_folder();
    let step = step.set("CUSTOMER_APPLE_CREDENTIALS_DIR", &folder);
    let warnings = step.set("credentials_dir", &folder).succeeds().warnings();
    assert!(warnings.concat().contains("set `output_prefix` to CUSTOMER_"), "{warnings:?}");
    assert!(!folder.exists());
}

#[test]
fn subfolders_are_deleted_and_links_are_not_followed() {
    let (step, folder) = with_folder();
    let step = step.file("work/precious/file", "precious");
    fs::create_dir_all(folder.join("a/b/c")).unwrap();
    fs::write(folder.join("a/b/file"), "x").unwrap();
    symlink(step.path("work/precious"), folder.join("a/link")).unwrap();
    symlink(step.path("work/precious"), folder.join("link")).unwrap();
    let outcome = step.set("credentials_dir", &folder).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert!(!folder.exists());
    assert_eq!(fs::read_to_string(outcome.root.path().join("work/precious/file")).unwrap(), "precious");
}

#[test]
#[cfg(target_os = "linux")]
fn a_link_that_replaces_the_folder_during_removal_is_not_followed() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    for _ in 0..20 {
        let (step, folder) = with_folder();
        // The target of the link passes all checks that the Step makes before it removes a folder.
        let victim = step.path("tmp/victim");
        fs::create_dir(&victim).unwrap();
        set_mode(&victim, 0o700);
        fs::copy(folder.join(".apple-services-connection"), victim.join(".apple-services-connection"))
            .unwrap();
        for number in 0..200 {
            // With the same names in both folders, a removal that follows the link deletes files of the victim.
            for parent in [&folder, &victim] {
                fs::write(parent.join(format!("precious-{number}")), "precious").unwrap();
            }
        }
        let link = step.path("tmp/link");
        symlink(&victim, &link).unwrap();
        let has_ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !has_ended.load(Ordering::Relaxed) {
                    let _ = renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE);
                }
            });
            let outcome = step.set("credentials_dir", &folder).run();
            has_ended.store(true, Ordering::Relaxed);
            assert_eq!(test_support::names_in(&victim).len(), 200 + 1, "with the marker: {}", outcome.stdout);
        });
    }
}

#[test]
fn the_script_in_the_documentation_deletes_what_other_tools_leave_and_nothing_else() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("### Copies that other tools make").unwrap();
    let script = section.split("```bash\n").nth(1).unwrap().split("```").next().unwrap();
    let leftovers = [
        "home/.fastlane/spaceship/jane@example.com/cookie",
        "home/.appstoreconnect/private_keys/AuthKey_2X9R4HXF34.p8",
        "tmp/apiKey123456789/api_key.json",
    ];
    let others = ["home/.fastlane/Fastfile", "home/.appstoreconnect/config", "tmp/apiKeys.json"];
    let step = leftovers.iter().chain(&others).fold(Step::new(), |step, file| step.file(file, "x"));
    for attempt in ["first", "second"] {
        let mut shell = std::process::Command::new("bash");
        shell.args(["-euc", script]).env_clear().env("PATH", "/usr/bin:/bin");
        let shell = shell.env("HOME", step.path("home")).env("TMPDIR", step.path("tmp"));
        assert!(shell.status().unwrap().success(), "{attempt} attempt");
    }
    assert!(leftovers.iter().all(|file| !step.path(file).exists()));
    assert!(others.iter().all(|file| step.path(file).exists()));
}
