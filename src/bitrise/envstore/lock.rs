//! Makes a run wait while another run of this Step writes the same envstore, and deletes the temporary
//! files of killed runs.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, openat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{TEMPORARY_PREFIX, parent_folder, resolve_link};
use crate::env::Env;

/// A run holds the lock for milliseconds, or for seconds while envman runs.
const MAX_ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Locks the folder of the envstore at `path`. The envstore itself can't be locked, since each run replaces it.
///
/// Returns `None` if the folder can't be locked, or if another process still holds the lock after 5 seconds: any
/// process can take this lock, so a held one must not fail a build. envman takes no lock, so outputs can still be
/// lost if `envman add` runs at the same time.
pub(crate) async fn lock(path: &Path, env: &Env) -> Option<OwnedFd> {
    let target = resolve_link(path);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, parent_folder(&target), flags, Mode::empty()).ok()?;
    for _ in 0..MAX_ATTEMPTS {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                delete_leftovers(&folder);
                return Some(folder);
            }
            Err(Errno::WOULDBLOCK) => (env.sleep)(PAUSE).await,
            Err(_) => return None,
        }
    }
    None
}

/// Deletes the temporary files of killed runs, best effort. A file can be in use only if its run did not get the lock.
fn delete_leftovers(folder: &OwnedFd) {
    let Ok(entries) = Dir::read_from(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_own_file = || {
            statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|status| {
                FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
                    && status.st_uid == geteuid().as_raw()
            })
        };
        if name.to_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) && is_own_file() {
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::env::Sleep;

    #[test]
    fn a_run_waits_at_most_5_seconds_for_the_lock() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("envstore.yml");
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (recorder, pauses) = mpsc::channel();
        let sleep: Sleep = Arc::new(move |pause| {
            recorder.send(pause).unwrap();
            Box::pin(ready(()))
        });
        let env = Env { sleep, ..Env::for_tests(&[]) };
        let first = runtime.block_on(lock(&path, &env));
        assert!(first.is_some() && pauses.try_recv().is_err(), "a free lock is taken without a pause");
        assert!(runtime.block_on(lock(&path, &env)).is_none(), "a lock that is held is not taken");
        assert_eq!(pauses.try_iter().sum::<Duration>(), Duration::from_secs(5));
        Ok(())
    }
}
