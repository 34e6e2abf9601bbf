//! The environment that the binary gets, and the tools that the launcher needs.

use std::fs;
use std::process::Command;

use test_support::set_mode;

use super::support::{Launcher, Run, TOOLS, as_a_user, which};

/// A program that prints its environment.
const PRINTS_ITS_ENVIRONMENT: &str = "fn main() {
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    for variable in variables { println!(\"{variable:?}\"); }
}
";

/// The environment that the program printed, without `_`, which bash sets to the path of the program.
fn printed_environment(run: &Run) -> Vec<&str> {
    assert_eq!(run.status, Some(0), "{}", run.log);
    run.log.lines().filter(|line| line.starts_with("(\"") && !line.starts_with("(\"_\"")).collect()
}

#[test]
fn the_binary_gets_the_environment_unchanged() {
    let sources = Launcher::with_sources();
    sources.write("src/main.rs", PRINTS_ITS_ENVIRONMENT);
    assert_eq!(sources.run_with_cargo().status, Some(0));
    let program = sources.cached_binary();

    let executable = Launcher::released(0o755);
    let not_executable = Launcher::released(0o644);
    for launcher in [&executable, &not_executable] {
        fs::write(launcher.released_binary(), fs::read(&program).unwrap()).unwrap();
    }
    let unbuilt = Launcher::with_sources();
    unbuilt.replace("cargo", &fake_cargo(&format!("cp '{}' \"$binary\"", program.display())));

    // Every word of the launcher could be one of its variables. The names added below have a meaning for bash.
    let script = fs::read_to_string(sources.step.join("step.sh")).unwrap();
    let mut names: Vec<&str> = script.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    names.extend(["CDPATH", "GLOBIGNORE", "IFS", "OPTIND", "OLDPWD", "PS1", "SHLVL", "UID", "BASH_SOURCE"]);
    names.retain(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
    // Leaves out the variables that tell the launcher where to look, and SECONDS, which bash keeps changing.
    names.retain(|name| !["PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "SECONDS"].contains(name));
    fs::write(sources.path("startup"), ":\n").unwrap();

    for (option, value) in [
        ("SHELLOPTS", "allexport:errexit:noclobber:noglob:nounset:physical"),
        ("SHELLOPTS", "posix:monitor:keyword"),
        ("BASHOPTS", "failglob:dotglob"),
        ("POSIXLY_CORRECT", "1"),
        ("BASH_FUNC_fail%%", "() {  echo a function of the user\n}"),
        ("CDPATH", "/"),
    ] {
        for (launcher, origin) in [
            (&executable, "released"),
            (&not_executable, "without execute permission"),
            (&sources, "built earlier"),
            (&unbuilt, "built now"),
        ] {
            let mut command = launcher.command();
            command.envs(names.iter().map(|name| (name, "of the user"))).env("MY-OWN.NAME", "x");
            command.env("BASH_ENV", sources.path("startup")).env(option, value);
            // For comparison, the environment that a bash script passes on if it only starts the program.
            let mut reference = Command::new(which("bash"));
            fs::write(launcher.path("script"), format!("exec {}\n", program.display())).unwrap();
            reference.arg(launcher.path("script")).env_clear();
            reference.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let (run, reference) = (Run::of(command), Run::of(reference));
            let expected = printed_environment(&reference);
            assert!(expected.len() > 100, "{expected:?}");
            assert_eq!(printed_environment(&run), expected, "{origin}, {option}={value}");
        }
        fs::remove_dir_all(unbuilt.cache()).unwrap();
    }
}

/// A script for [`fake_cargo`] that builds a binary with the same output as that of [`Launcher::with_sources`].
pub(crate) const PRINTS_A_LINE: &str = "echo '#!/bin/sh\necho this is the built binary' >\"$binary\"";

/// A replacement for cargo that runs this script, in which `$binary` is the path of the binary to build.
pub(crate) fn fake_cargo(script: &str) -> String {
    format!(
        "while [ $# != 0 ]; do [ \"$1\" != --target-dir ] || target=$2; shift; done
        mkdir -p \"$target/source\"; binary=$target/source/apple-services-connection
        {script}"
    )
}

#[test]
fn the_error_for_a_missing_tool_names_it() {
    let (built, executable) = (Launcher::with_sources(), Launcher::released(0o755));
    let not_executable = Launcher::released(0o644);
    built.run_with_cargo().assert_built();
    for tool in TOOLS.into_iter().filter(|tool| *tool != "bash") {
        // Without sha256sum, the launcher looks for openssl.
        let missing = if tool == "sha256sum" { "openssl" } else { tool };
        let message = format!("The launcher needs {missing}, which is not on the PATH.");
        for launcher in [&built, &not_executable] {
            Run::of(launcher.command_without(tool)).assert_error(&[&message]);
        }
        let run = Run::of(executable.command_without(tool));
        if tool == "uname" { run.assert_error(&[&message]) } else { run.assert_released() }
    }
}

#[test]
fn a_tool_that_fails_never_makes_the_launcher_run_an_older_build() {
    let launcher = Launcher::with_sources();
    launcher.run_with_cargo().assert_built();
    launcher.write("src/main.rs", "fn main() { println!(\"changed\"); }\n");
    for tool in ["find", "id", "mktemp", "sha256sum", "sort", "uname", "xargs"] {
        for script in ["exit 1", "cat; exit 1"] {
            launcher.replace(tool, script);
            launcher.run().assert_error(&[]);
        }
        fs::remove_file(launcher.path("tools").join(tool)).unwrap();
    }
}

#[test]
fn openssl_makes_the_checksums_where_sha256sum_is_missing() {
    let launcher = Launcher::with_sources();
    launcher.replace("cargo", &fake_cargo(PRINTS_A_LINE));
    let tools: Vec<_> = TOOLS.into_iter().filter(|tool| *tool != "sha256sum").chain(["openssl"]).collect();
    let run = || Run::of(launcher.command_with_tools(&tools));
    run().assert_built();
    run().assert_built_earlier();
    launcher.write("src/main.rs", "fn main() { println!(\"changed\"); }\n");
    run().assert_built();
}

#[test]
fn sources_that_cannot_be_read_or_listed_are_an_error() {
    for path in ["src/main.rs", "src", "Cargo.toml", "step.yml", "Cargo.lock"] {
        let launcher = Launcher::with_sources();
        set_mode(launcher.step.join(path), 0);
        Run::of(as_a_user(launcher.command())).assert_error(&["Cannot read the Step's source code"]);
    }
    for path in ["Cargo.lock", "step.yml"] {
        let launcher = Launcher::with_sources();
        fs::remove_file(launcher.step.join(path)).unwrap();
        launcher.run_with_cargo().assert_error(&["Cannot read the Step's source code"]);
    }
}

#[test]
fn options_of_the_users_bash_do_not_hide_a_changed_source() {
    for (name, value) in [
        ("SHELLOPTS", "noglob"),
        ("SHELLOPTS", "noclobber:nounset:errexit"),
        ("BASHOPTS", "nullglob:failglob"),
        ("GLOBIGNORE", "*"),
        ("CDPATH", "/"),
        ("POSIXLY_CORRECT", "1"),
    ] {
        let launcher = Launcher::with_sources();
        launcher.replace("cargo", &fake_cargo(PRINTS_A_LINE));
        let run = || {
            let mut command = launcher.command();
            command.env(name, value);
            Run::of(command)
        };
        run().assert_built();
        run().assert_built_earlier();
        launcher.write("src/main.rs", "fn main() {}\n");
        run().assert_built();
    }
}

#[test]
fn a_tool_that_fails_gives_one_error_that_refers_to_its_message() {
    for (tool, message) in [
        ("uname", "uname failed"),
        ("cp", "Cannot store the Step's binary"),
        ("chmod", "Cannot store the Step's binary"),
        ("mv", "Cannot store the Step's binary"),
        ("mktemp", "Cannot create a folder"),
    ] {
        let launcher = Launcher::with_sources();
        launcher.replace("cargo", &fake_cargo(PRINTS_A_LINE));
        launcher.replace(tool, "echo a message >&2; exit 1");
        let run = launcher.run();
        run.assert_error(&[message, "see the message above"]);
        assert!(run.log.contains("a message\n"), "{}", run.log);
    }
}
