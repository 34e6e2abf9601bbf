//! Exports through the `envman` command, for envstores that this Step can't write itself.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use crate::bitrise::entry::Entry;
use crate::bitrise::envstore::MAX_BYTES;
use crate::env::Env;
use crate::redact::{self, Text, error_messages, text};
use crate::regular_file::{self, ReadError};

error_messages! {
    /// Why `envman` failed. `Display` completes a sentence.
    #[derive(Debug, thiserror::Error)]
    pub enum EnvmanError {
        #[error("envman is not on the PATH")]
        NotFound,
        #[error("envman failed on {key} ({why})")]
        Failed { key: Text, why: Text },
        #[error("the envstore {path} cannot be read ({why})")]
        Unreadable { path: Text, why: Text },
    }
}

/// Runs `envman add` or `envman unset` once per entry, with the value on standard input. `store` is the envstore
/// that the environment sets for envman, if any.
///
/// Several calls are not atomic, so the envstore is restored if one fails or the run is interrupted.
///
/// # Errors
/// [`EnvmanError`], after an attempt to restore the envstore.
pub(crate) async fn export(store: Option<&Path>, entries: &[Entry], env: &Env) -> Result<(), EnvmanError> {
    // Without ENVMAN_ENVSTORE_PATH, envman uses this file (`cli/cli.go`).
    let mut rollback = Rollback::new(store.unwrap_or(Path::new(".envstore.yml")))?;
    let limit = env.envman_time_limit;
    let deadline = Instant::now() + limit;
    for entry in entries {
        let result = tokio::time::timeout_at(deadline.into(), run_envman(entry, env)).await;
        result.unwrap_or_else(|_| {
            let why = text!("it did not finish within {} seconds", limit.as_secs());
            Err(EnvmanError::Failed { key: entry.name(), why })
        })?;
    }
    rollback.path = None;
    Ok(())
}

/// Restores a file on drop, unless `path` is cleared.
struct Rollback {
    path: Option<PathBuf>,
    /// The original content; `None` if the file did not exist.
    original: Option<Zeroizing<Vec<u8>>>,
}

impl Rollback {
    fn new(path: &Path) -> Result<Self, EnvmanError> {
        let original = match regular_file::read(path, MAX_BYTES) {
            Ok(bytes) => Some(bytes),
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(EnvmanError::Unreadable { path: redact::path(path), why: Text::of(&error) });
            }
        };
        Ok(Self { path: Some(path.to_owned()), original })
    }
}

impl Drop for Rollback {
    fn drop(&mut self) {
        let Some(path) = &self.path else { return };
        // Don't write to an unchanged file: if writing failed halfway, it would be damaged.
        if regular_file::read(path, MAX_BYTES).ok() == self.original {
            return;
        }
        // Best effort: the caller reports the error that led here.
        drop(match &self.original {
            Some(bytes) => fs::write(path, bytes),
            None => fs::remove_file(path),
        });
    }
}

async fn run_envman(entry: &Entry, env: &Env) -> Result<(), EnvmanError> {
    let failure = |why: Text| EnvmanError::Failed { key: entry.name(), why };
    let mut command = Command::new("envman");
    // Not the environment of the process, which differs from that of the run in tests.
    command.env_clear().envs(env.vars.iter().map(|(name, value)| (name, value.expose_secret())));
    match entry.value {
        Some(_) => command.args(["add", "--key", &entry.key, "--no-expand"]),
        None => command.args(["unset", "--key", &entry.key]),
    };
    if entry.is_sensitive {
        command.arg("--sensitive");
    }
    // At its debug level, envman prints the values.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let spawned = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => EnvmanError::NotFound,
        _ => failure(redact::os(&error)),
    })?;
    let mut guard = KillOnDrop(spawned);
    let child = &mut guard.0;
    let value = entry.value.as_ref().map_or(&[][..], |value| value.expose_secret().as_bytes());
    let written = match child.stdin.take() {
        // Dropping `stdin` closes the pipe. Otherwise, envman would wait for more input.
        Some(mut stdin) => stdin.write_all(value).await,
        None => Ok(()),
    };
    let status = child.wait().await.map_err(|error| failure(redact::os(&error)))?;
    if !status.success() {
        let why = status.code().map_or(text!("a signal ended it"), |code| text!("exit status {}", code));
        return Err(failure(why));
    }
    written.map_err(|error| failure(redact::os(&error)))
}

/// Kills envman on drop, and waits until the process has ended: until then, it could write to the envstore.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        /// A killed process ends immediately, unless it hangs in a system call.
        const MAX_WAIT: Duration = Duration::from_secs(2);
        let started_at = Instant::now();
        if self.0.start_kill().is_ok() {
            while matches!(self.0.try_wait(), Ok(None)) && started_at.elapsed() < MAX_WAIT {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};

    use super::*;

    #[test]
    fn an_unchanged_envstore_is_not_written_again() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("envstore.yml");
        fs::write(&path, "envs: []")?;
        fs::File::options().write(true).open(&path)?.set_modified(SystemTime::UNIX_EPOCH)?;
        drop(Rollback::new(&path)?);
        assert_eq!(fs::metadata(&path)?.modified()?, SystemTime::UNIX_EPOCH);
        Ok(())
    }

    #[test]
    fn dropping_a_running_process_kills_it_and_waits_for_its_end() -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _guard = runtime.enter();
        let running = KillOnDrop(Command::new("sleep").arg("60").spawn()?);
        let pid = running.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let check_process = || pid.map(test_kill_process);
        assert_eq!(check_process(), Some(Ok(())), "it is running");
        drop(running);
        assert_eq!(check_process(), Some(Err(Errno::SRCH)), "no such process");
        Ok(())
    }
}
