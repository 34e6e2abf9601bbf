//! What is kept for the next run, and when it is believed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::support::{
    BUILT_SAYS, CARGO, CURL, Launcher, NAME, NOTHING, RELEASED, RELEASED_SAYS, Run, as_a_user, files_below,
    mode,
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

#[test]
fn a_cache_with_loose_permissions_is_closed() {
    let launcher = Launcher::released(Vec::new());
    fs::create_dir_all(launcher.cache()).unwrap();
    fs::set_permissions(launcher.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    launcher.run(CURL).assert_released();
    assert_eq!(mode(&launcher.cache()), 0o700);
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
