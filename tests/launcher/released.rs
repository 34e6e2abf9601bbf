//! The binary next to the launcher, as in a release.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use test_support::{mode, set_mode, wait_until};

use super::support::{Launcher, NAME, RELEASED, Run, sha256, which};

#[test]
fn the_binary_next_to_the_launcher_runs_and_nothing_is_cached() {
    let launcher = Launcher::released(0o755);
    launcher.run().assert_released();
    assert!(!launcher.cache().exists());
}

#[test]
fn a_binary_next_to_the_sources_runs_instead_of_a_build() {
    let launcher = Launcher::released(0o755);
    launcher.add_sources();
    launcher.run_with_cargo().assert_released();
}

#[test]
fn a_binary_that_lost_its_execute_permission_is_copied_into_the_private_cache_once() {
    let launcher = Launcher::released(0o644);
    launcher.run().assert_released();
    let hash = sha256(RELEASED.as_bytes());
    let copy = launcher.cache().join(format!("{NAME}-{hash}-{hash}"));
    assert_eq!(launcher.cached_binary(), copy);
    assert_eq!((mode(launcher.cache()), mode(&copy)), (0o700, 0o700));
    assert_eq!(mode(launcher.released_binary()), 0o644);
    let inode = fs::metadata(&copy).unwrap().ino();
    launcher.run().assert_released();
    assert_eq!(fs::metadata(&copy).unwrap().ino(), inode);
    launcher.assert_no_temporary_files();
}

#[test]
fn a_changed_binary_without_execute_permission_is_copied_again() {
    let launcher = Launcher::released(0o644);
    launcher.run().assert_released();
    fs::write(launcher.released_binary(), "#!/bin/sh\necho another\n").unwrap();
    assert_eq!(launcher.run().log, "another\n");
}

#[test]
fn the_binary_replaces_the_shell_and_gets_its_signals() {
    let launcher = Launcher::in_folder("step");
    let ready = launcher.path("tmp/ready");
    let script = format!("#!/bin/sh\necho $$ >{}.new; mv {0}.new {0}; exec sleep 60\n", ready.display());
    fs::write(launcher.released_binary(), script).unwrap();
    set_mode(launcher.released_binary(), 0o755);
    let mut child = launcher.command().spawn().unwrap();
    wait_until(|| ready.exists());
    assert_eq!(fs::read_to_string(&ready).unwrap(), format!("{}\n", child.id()));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), None);
}

#[test]
fn a_binary_that_does_not_start_is_an_error() {
    let launcher = Launcher::in_folder("step");
    fs::write(launcher.released_binary(), "\x7fELF\0 not a program").unwrap();
    for mode in [0o755, 0o644] {
        set_mode(launcher.released_binary(), mode);
        launcher.run().assert_error(&[NAME, "does not start on this system"]);
    }
}

#[test]
fn a_folder_with_neither_a_binary_for_this_system_nor_sources_is_an_error() {
    let launcher = Launcher::in_folder("step");
    launcher.run_with_cargo().assert_error(&["neither a binary for", "nor source code", "a release tag"]);
    let launcher = Launcher::released(0o755);
    launcher.replace("uname", "echo Plan9 mips");
    launcher.run_with_cargo().assert_error(&["neither a binary for Plan9 mips"]);
}

#[test]
fn the_name_of_the_steps_folder_can_have_any_characters() {
    for name in ["-step", "ends in a newline\n", "a 'quoted' \"$(name)\" \\*", "日本"] {
        let launcher = Launcher::in_folder(name);
        launcher.add_sources();
        launcher.run_with_cargo().assert_built();
        launcher.run().assert_built_earlier();
        // The path of the launcher can also be relative.
        for (folder, script) in [(&*launcher.step, "step.sh"), (&*launcher.step, "./step.sh")]
            .into_iter()
            .chain([(launcher.path("").as_path(), &*format!("./{name}/step.sh"))])
        {
            let command = launcher.command();
            let mut relative = Command::new(which("bash"));
            relative.arg(script).current_dir(folder).env_clear();
            relative.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            Run::of(relative).assert_built_earlier();
        }
        fs::write(launcher.released_binary(), RELEASED).unwrap();
        for mode in [0o755, 0o644] {
            set_mode(launcher.released_binary(), mode);
            launcher.run().assert_released();
        }
    }
}
