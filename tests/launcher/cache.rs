//! The cache, and when the launcher runs a binary from it.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use test_support::{mode, set_mode};

use super::support::{Launcher, NAME, NOBODY, RELEASED, Run, as_a_user, entries_below, is_root, sha256};

/// Puts an attacker's binary into the cache, under a name that the launcher looks for.
fn plant(launcher: &Launcher) -> PathBuf {
    let planted = "#!/bin/sh\necho this is the planted binary\n";
    let name = format!("{NAME}-{}-{}", sha256(RELEASED.as_bytes()), sha256(planted.as_bytes()));
    let binary = launcher.cache().join(name);
    fs::create_dir_all(launcher.cache()).unwrap();
    fs::write(&binary, planted).unwrap();
    set_mode(launcher.cache(), 0o700);
    set_mode(&binary, 0o700);
    binary
}

#[test]
fn a_binary_planted_in_a_private_cache_would_run() {
    // Proves that the launcher would find what the tests below plant.
    let launcher = Launcher::released(0o644);
    plant(&launcher);
    assert_eq!(launcher.run().log, "this is the planted binary\n");
}

/// Changes modes or files. The path is that of the planted binary.
type Attack = fn(&Launcher, &Path);

#[test]
fn a_cached_binary_that_another_user_can_change_or_replace_never_runs() {
    let attacks: [(&str, Attack); 8] = [
        ("others can write to the cache", |launcher, _| set_mode(launcher.cache(), 0o777)),
        ("the group can write to the cache", |launcher, _| set_mode(launcher.cache(), 0o770)),
        ("others can write to the sticky cache", |launcher, _| set_mode(launcher.cache(), 0o1777)),
        ("others can write to ~/.cache", |launcher, _| set_mode(launcher.path("home/.cache"), 0o777)),
        ("others can write to the home", |launcher, _| set_mode(launcher.path("home"), 0o777)),
        ("others can write to the binary", |_, binary| set_mode(binary, 0o777)),
        ("the binary is a link", |launcher, binary| {
            fs::rename(binary, launcher.path("tmp/elsewhere")).unwrap();
            symlink(launcher.path("tmp/elsewhere"), binary).unwrap();
        }),
        ("the cache is a link", |launcher, _| {
            fs::rename(launcher.cache(), launcher.path("tmp/elsewhere")).unwrap();
            symlink(launcher.path("tmp/elsewhere"), launcher.cache()).unwrap();
        }),
    ];
    for (attack, apply) in attacks {
        let launcher = Launcher::released(0o644);
        let binary = plant(&launcher);
        apply(&launcher, &binary);
        let run = launcher.run();
        assert!(!run.log.contains("planted"), "{attack}: {}", run.log);
        run.assert_released();
    }
}

#[test]
fn a_cached_binary_never_runs_if_it_or_a_folder_above_it_belongs_to_another_user() {
    assert!(is_root(), "only root can change the owner of a file: run this test as root, as .ci/run does");
    for part in 0..4 {
        let launcher = Launcher::released(0o644);
        let binary = plant(&launcher);
        let owned = [binary, launcher.cache(), launcher.path("home/.cache"), launcher.path("home")];
        chown(&owned[part], Some(NOBODY), Some(NOBODY)).unwrap();
        let run = launcher.run();
        assert!(!run.log.contains("planted"), "{}: {}", owned[part].display(), run.log);
        run.assert_released();
    }
}

#[test]
fn a_modified_cached_binary_never_runs_and_is_replaced_with_a_warning() {
    let launcher = Launcher::released(0o644);
    launcher.run().assert_released();
    let cached = launcher.cached_binary();
    fs::write(&cached, RELEASED.replace("released", "modified")).unwrap();
    let run = launcher.run();
    run.assert_warning(&[&cached.to_string_lossy(), "was modified"]);
    assert!(run.log.ends_with("this is the released binary, off\n") && run.status == Some(7), "{}", run.log);
    launcher.run().assert_released();

    let launcher = Launcher::with_sources();
    launcher.run_with_cargo().assert_built();
    fs::write(launcher.cached_binary(), RELEASED).unwrap();
    let run = launcher.run();
    run.assert_warning(&["was modified"]);
    run.assert_error(&["cargo is not on the PATH"]);

    launcher.run_with_cargo().assert_built();
    fs::write(launcher.cached_binary(), RELEASED).unwrap();
    launcher.replace("rm", "exit 1");
    launcher.run().assert_error(&["Cannot delete"]);
}

#[test]
fn without_a_writable_home_the_cache_is_a_private_folder_in_the_temporary_folder() {
    let launcher = Launcher::released(0o644);
    set_mode(launcher.path("home"), 0o555);
    for _ in 0..2 {
        Run::of(as_a_user(launcher.command())).assert_released();
    }
    assert_eq!(entries_below(&launcher.path("home")), Vec::<PathBuf>::new());
    let caches: Vec<_> =
        fs::read_dir(launcher.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(caches.iter().map(mode).collect::<Vec<_>>(), [0o700], "{caches:?}");
    launcher.assert_no_temporary_files();
}

#[test]
fn without_any_private_folder_the_error_names_both_candidates() {
    let launcher = Launcher::released(0o644);
    for folder in ["home", "tmp"] {
        set_mode(launcher.path(folder), 0o777);
    }
    launcher.run().assert_error(&[
        &launcher.cache().to_string_lossy(),
        &launcher.path("tmp").join(NAME).to_string_lossy(),
        "XDG_CACHE_HOME",
    ]);
}

#[test]
fn xdg_cache_home_moves_the_cache() {
    let launcher = Launcher::released(0o644);
    let mut command = launcher.command();
    command.env("XDG_CACHE_HOME", launcher.path("elsewhere"));
    Run::of(command).assert_released();
    assert!(launcher.path("elsewhere").join(NAME).is_dir() && !launcher.cache().exists());
}

#[test]
fn variables_named_uid_and_euid_do_not_change_the_cache() {
    let launcher = Launcher::released(0o644);
    let mut command = launcher.command();
    command.env("UID", "12345").env("EUID", "12345");
    Run::of(command).assert_released();
    assert!(launcher.cached_binary().is_file());
}

#[test]
fn runs_at_the_same_time_each_get_a_complete_binary() {
    for (launcher, status) in [(Launcher::released(0o644), 7), (Launcher::with_sources(), 0)] {
        let running: Vec<_> = (0..3)
            .map(|_| launcher.command_with_cargo())
            .map(|command| thread::spawn(|| Run::of(command)))
            .collect();
        for run in running {
            let run = run.join().unwrap();
            assert_eq!(run.status, Some(status), "{}", run.log);
        }
        launcher.assert_no_temporary_files();
    }
}
