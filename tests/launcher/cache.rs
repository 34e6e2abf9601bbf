//! What is kept for the next run, and when it is believed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{
    BUILT_SAYS, CARGO, CURL, Launcher, NAME, NOTHING, RELEASED, RELEASED_SAYS, Run, as_a_user, files_below,
    is_root, mode, sha256,
};

#[test]
fn a_cached_binary_is_run_and_nothing_is_asked() {
    let launcher = Launcher::released(Vec::new());
    launcher.run(CURL).assert_released();
    launcher.run(NOTHING).assert_released();
    assert_eq!(launcher.requests(), 1);
    assert_eq!(mode(&launcher.cache()), 0o700);
}

#[test]
fn a_cached_binary_that_was_changed_is_replaced_and_never_run() {
    let launcher = Launcher::released(Vec::new());
    launcher.run(CURL).assert_released();
    let forged = RELEASED.replace("released", "forged");

    fs::write(launcher.cached(), &forged).unwrap();
    let run = launcher.run(CURL);
    run.assert_warning(&[&launcher.cached().to_string_lossy(), "not run"]);
    assert!(run.log.ends_with(RELEASED_SAYS) && !run.log.contains("forged"), "{}", run.log);
    launcher.run(NOTHING).assert_released();

    fs::write(launcher.cached(), &forged).unwrap();
    let run = launcher.run(NOTHING);
    run.assert_error(&["neither curl nor wget"]);
    assert!(!run.log.contains("forged"), "{}", run.log);
}

#[test]
fn a_built_binary_that_was_changed_is_built_again_and_never_run() {
    let launcher = Launcher::new();
    launcher.run(CARGO).assert_built();
    let built = files_below(&launcher.cache())
        .into_iter()
        .find(|file| file.ends_with(NAME) && !file.starts_with(launcher.cache().join("target")))
        .unwrap();
    fs::write(&built, RELEASED).unwrap();
    let run = launcher.run(CARGO);
    run.assert_warning(&[&built.to_string_lossy(), "not run"]);
    assert!(run.log.ends_with(BUILT_SAYS) && !run.log.contains("released"), "{}", run.log);
}

#[test]
fn a_cache_that_somebody_else_could_have_made_is_not_used() {
    let launcher = Launcher::released(Vec::new());
    launcher.run(CURL).assert_released();
    fs::rename(launcher.cache(), launcher.path("home/elsewhere")).unwrap();
    symlink(launcher.path("home/elsewhere"), launcher.cache()).unwrap();
    launcher.run(CURL).assert_released();
    assert_eq!(launcher.requests(), 2);
}

/// Opens something to others; the path is that of the planted binary.
type Open = fn(&Launcher, &Path);
/// What is given to another user; the path is that of the planted binary.
type Which = fn(&Launcher, &Path) -> PathBuf;

/// Plants, in a cache, a binary that says where it stands, under the names that the launcher looks for.
fn plant(launcher: &Launcher, cache: &Path) -> PathBuf {
    let forged = format!("#!/bin/sh\necho this is the planted binary in {}\n", cache.display());
    let hash = sha256(forged.as_bytes());
    fs::create_dir_all(cache.join(&hash)).unwrap();
    let binary = cache.join(&hash).join(NAME);
    fs::write(&binary, forged).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    for file in fs::read_dir(launcher.cache()).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "built") {
            fs::write(cache.join(file.file_name().unwrap()), format!("{hash}\n")).unwrap();
        }
    }
    binary
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_binary_planted_in_a_cache_that_is_closed_would_be_run() {
    // The proof that the tests below plant what the launcher looks for.
    let launcher = Launcher::new();
    launcher.run(CARGO).assert_built();
    plant(&launcher, &launcher.cache());
    assert!(launcher.run(NOTHING).log.starts_with("this is the planted binary"));
}

#[test]
fn what_others_could_have_planted_is_never_run() {
    let open_for_writing: [(&str, Open); 10] = [
        ("the cache", |launcher, _| set_mode(&launcher.cache(), 0o777)),
        ("the cache, for the group", |launcher, _| set_mode(&launcher.cache(), 0o770)),
        ("the cache, sticky", |launcher, _| set_mode(&launcher.cache(), 0o1777)),
        ("the folder above", |launcher, _| set_mode(&launcher.path("home/.cache"), 0o777)),
        ("the home", |launcher, _| set_mode(&launcher.path("home"), 0o777)),
        ("the binary's folder", |_, binary| set_mode(binary.parent().unwrap(), 0o777)),
        ("the binary's folder, sticky", |_, binary| set_mode(binary.parent().unwrap(), 0o1777)),
        ("the binary", |_, binary| set_mode(binary, 0o777)),
        ("the binary, a link", |launcher, binary| {
            fs::rename(binary, launcher.path("tmp/elsewhere")).unwrap();
            symlink(launcher.path("tmp/elsewhere"), binary).unwrap();
        }),
        ("the name of the binary", |launcher, _| {
            for file in files_below(&launcher.cache()) {
                if file.extension().is_some_and(|extension| extension == "built") {
                    set_mode(&file, 0o666);
                }
            }
        }),
    ];
    let launcher = Launcher::new();
    launcher.run(CARGO).assert_built();
    fs::rename(launcher.path("home"), launcher.path("built")).unwrap();
    for (which, open) in open_for_writing {
        assert!(
            Command::new("cp")
                .arg("-Rp")
                .args([launcher.path("built"), launcher.path("home")])
                .status()
                .unwrap()
                .success()
        );
        let binary = plant(&launcher, &launcher.cache());
        open(&launcher, &binary);
        let run = launcher.run(NOTHING);
        assert!(!run.log.contains("planted"), "{which}: {}", run.log);
        run.assert_error(&["cargo is not on the PATH"]);
        fs::remove_dir_all(launcher.path("home")).unwrap();
    }
}

#[test]
fn what_belongs_to_another_user_is_never_run() {
    assert!(is_root(), "only root can give files away: run this test as root, as .ci/run does");
    let belongs_to_another: [(&str, Which); 4] = [
        ("the home", |launcher, _| launcher.path("home")),
        ("the cache", |launcher, _| launcher.cache()),
        ("the binary's folder", |_, binary| binary.parent().unwrap().to_owned()),
        ("the binary", |_, binary| binary.to_owned()),
    ];
    for (which, path) in belongs_to_another {
        let launcher = Launcher::new();
        launcher.run(CARGO).assert_built();
        let binary = plant(&launcher, &launcher.cache());
        chown(path(&launcher, &binary), Some(65534), Some(65534)).unwrap();
        let run = launcher.run(NOTHING);
        assert!(!run.log.contains("planted"), "{which}: {}", run.log);
    }
}

#[test]
fn a_cache_that_others_can_write_to_is_left_with_a_warning_for_one_in_the_temporary_folder() {
    let launcher = Launcher::released(Vec::new());
    fs::create_dir_all(launcher.cache()).unwrap();
    set_mode(&launcher.cache(), 0o777);
    let run = launcher.run(CURL);
    run.assert_warning(&[&launcher.cache().to_string_lossy(), "not used"]);
    assert!(run.log.ends_with(RELEASED_SAYS), "{}", run.log);
    assert_eq!(files_below(&launcher.cache()), Vec::<PathBuf>::new());
    launcher.run(NOTHING).assert_released();
    assert_eq!(launcher.requests(), 1);
}

#[test]
fn a_new_binary_is_not_run_from_a_folder_that_others_can_write_to() {
    let launcher = Launcher::released(Vec::new());
    let folder = launcher.cached().parent().unwrap().to_owned();
    fs::create_dir_all(&folder).unwrap();
    set_mode(&launcher.path("home/.cache"), 0o700);
    set_mode(&launcher.cache(), 0o700);
    set_mode(&folder, 0o777);
    launcher.run(CURL).assert_error(&["does not belong to this user alone", "delete"]);
}

#[test]
fn with_a_home_that_is_read_only_the_cache_is_in_the_temporary_folder() {
    let launcher = Launcher::released(Vec::new());
    fs::set_permissions(launcher.path("home"), fs::Permissions::from_mode(0o555)).unwrap();
    for _ in 0..2 {
        Run::from(as_a_user(launcher.command(CURL)).output().unwrap()).assert_released();
    }
    assert_eq!(launcher.requests(), 1);
    assert_eq!(files_below(&launcher.path("home")), Vec::<PathBuf>::new());
    let caches: Vec<_> =
        fs::read_dir(launcher.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(caches.iter().map(|cache| mode(cache)).collect::<Vec<_>>(), [0o700], "{caches:?}");
    launcher.assert_nothing_half_is_left();
}

#[test]
fn without_a_place_to_write_to_the_error_names_the_folders() {
    let launcher = Launcher::released(Vec::new());
    for folder in ["home", "tmp"] {
        fs::set_permissions(launcher.path(folder), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let run = Run::from(as_a_user(launcher.command(CURL)).output().unwrap());
    run.assert_error(&[
        &launcher.cache().to_string_lossy(),
        &launcher.path("tmp").to_string_lossy(),
        "XDG_CACHE_HOME",
    ]);
    assert_eq!(launcher.requests(), 0);
}
