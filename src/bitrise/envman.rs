//! envman itself, where its file cannot be written directly.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use crate::bitrise::entry::Entry;
use crate::bitrise::envstore::MAX_BYTES;
use crate::redact::text;
use crate::redact::{self, Text, sentences};
use crate::regular_file::{self, ReadError};

sentences! {
    /// Why `envman add` did not take the outputs. `Display` completes a sentence.
    #[derive(Debug, thiserror::Error)]
    pub enum AddError {
        #[error("envman is not on the PATH")]
        NotFound,
        #[error("envman add failed on {key} ({why})")]
        Failed { key: &'static str, why: Text },
        #[error("envman's store {path} cannot be read ({why})")]
        Unreadable { path: Text, why: Text },
    }
}

/// Hands the entries to `envman add`, one call each, values by standard input.
///
/// Several calls cannot be atomic: when one fails, or the run is stopped between them, the store
/// is put back as it was.
///
/// A call takes milliseconds; when all of them have not ended within the limit, one hangs.
///
/// # Errors
/// [`AddError`]; the store is then as before, as far as that file can be written.
pub(crate) async fn add_all(store: Option<&str>, entries: &[Entry], limit: Duration) -> Result<(), AddError> {
    // Without the variable, envman keeps its store in the working folder.
    let mut rollback = Rollback::of(Path::new(store.unwrap_or(".envstore.yml")))?;
    let deadline = Instant::now() + limit;
    for entry in entries {
        let in_time = tokio::time::timeout_at(deadline.into(), add(entry)).await;
        in_time.unwrap_or_else(|_| {
            let why = text!("no end after {} seconds", limit.as_secs());
            Err(AddError::Failed { key: entry.key, why })
        })?;
    }
    rollback.path = None;
    Ok(())
}

/// Puts a file back as it was, unless told otherwise.
struct Rollback {
    path: Option<PathBuf>,
    /// `None`: there was no file.
    before: Option<Zeroizing<Vec<u8>>>,
}

impl Rollback {
    fn of(path: &Path) -> Result<Self, AddError> {
        let before = match regular_file::read(path, MAX_BYTES) {
            Ok(bytes) => Some(bytes),
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(AddError::Unreadable { path: redact::path(path), why: error.why() });
            }
        };
        Ok(Self { path: Some(path.to_owned()), before })
    }
}

impl Drop for Rollback {
    fn drop(&mut self) {
        let Some(path) = &self.path else { return };
        // What envman did not touch is not written again: that, too, can fail half-way.
        if self.before.as_ref().is_some_and(|before| holds(path, before)) {
            return;
        }
        // Best effort: the error that led here is the one to report.
        drop(match &self.before {
            Some(bytes) => fs::write(path, bytes),
            None => fs::remove_file(path),
        });
    }
}

/// Whether a file holds these bytes. Read in pieces, since a store can be large.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let Ok(mut file) = regular_file::open(path, fs::OpenOptions::new().read(true)) else { return false };
    let mut piece = Zeroizing::new(vec![0; 64 * 1024]);
    let mut rest = bytes;
    loop {
        let Ok(length) = file.read(&mut piece) else { return false };
        let Some(read) = piece.get(..length) else { return false };
        match rest.strip_prefix(read) {
            Some(_) if length == 0 => return rest.is_empty(),
            Some(left) => rest = left,
            None => return false,
        }
    }
}

async fn add(entry: &Entry) -> Result<(), AddError> {
    let failed = |why: Text| AddError::Failed { key: entry.key, why };
    let mut command = Command::new("envman");
    match entry.value {
        Some(_) => command.args(["add", "--key", entry.key, "--no-expand"]),
        None => command.args(["unset", "--key", entry.key]),
    };
    if entry.is_sensitive {
        command.arg("--sensitive");
    }
    // At its debug level envman prints the values it is given.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let spawned = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => AddError::NotFound,
        _ => failed(redact::os(&error)),
    })?;
    let Running(child) = &mut Running(spawned);
    let value = entry.value.as_ref().map_or(&[][..], |value| value.expose_secret().as_bytes());
    let written = match child.stdin.take() {
        // Dropped at the end of the arm, which closes the pipe: envman reads to its end.
        Some(mut stdin) => stdin.write_all(value).await,
        None => Ok(()),
    };
    let status = child.wait().await.map_err(|error| failed(redact::os(&error)))?;
    if !status.success() {
        return Err(failed(
            status.code().map_or(text!("it was stopped"), |code| text!("exit status {}", code)),
        ));
    }
    written.map_err(|error| failed(redact::os(&error)))
}

/// An envman at work. One that is given up is ended, and has ended before anything else is done:
/// it could still write to its store.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        /// The system ends it at once, unless it hangs in the system itself.
        const LONGEST: Duration = Duration::from_secs(2);
        let began = Instant::now();
        if self.0.start_kill().is_ok() {
            while matches!(self.0.try_wait(), Ok(None)) && began.elapsed() < LONGEST {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};

    use super::*;

    #[test]
    fn a_store_that_envman_did_not_touch_is_not_written_again() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("envstore.yml");
        let written = || fs::metadata(&path).map(|file| (file.mtime(), file.mtime_nsec()));
        fs::write(&path, "envs: []")?;
        let before = written()?;
        std::thread::sleep(Duration::from_millis(20));
        drop(Rollback::of(&path)?);
        assert_eq!(written()?, before);

        let rollback = Rollback::of(&path)?;
        fs::write(&path, "envs: [{A: half")?;
        drop(rollback);
        assert_eq!(fs::read_to_string(&path)?, "envs: []");
        Ok(())
    }

    #[test]
    fn an_envman_that_is_given_up_has_ended_before_anything_else_is_done() -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _inside = runtime.enter();
        let running = Running(Command::new("sleep").arg("60").spawn()?);
        let pid = running.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let is_there = || pid.map(test_kill_process);
        assert_eq!(is_there(), Some(Ok(())));
        drop(running);
        assert_eq!(is_there(), Some(Err(Errno::SRCH)));
        Ok(())
    }
}
