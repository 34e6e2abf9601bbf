//! Makes two runs of this Step on one envstore wait for each other, and deletes the files of killed runs.

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

/// How often to try to take the lock. A run holds it for milliseconds, or for seconds while envman runs.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Locks the folder of the envstore at `path`, since a rename would replace a locked file.
///
/// Returns `None` if the folder can't be locked, or if another process still holds the lock after 5 seconds:
/// a lock that anyone can take must not fail a build. envman takes no lock, so outputs can still be lost if
/// `envman add` runs at the same time.
pub(crate) async fn lock(path: &Path, env: &Env) -> Option<OwnedFd> {
    let target = resolve_link(path);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, parent_folder(&target), flags, Mode::empty()).ok()?;
    for _ in 0..TRIES {
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

/// Deletes the temporary files of killed runs. Runs that are alive hold the lock. Best effort.
fn delete_leftovers(folder: &OwnedFd) {
    let Ok(entries) = Dir::read_from(folder) else { return };
    for entry in
        entries.flatten().filter(|it| it.file_name().to_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()))
    {
        let name = entry.file_name();
        let is_own_file = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|it| {
            FileType::from_raw_mode(it.st_mode) == FileType::RegularFile && it.st_uid == geteuid().as_raw()
        });
        if is_own_file {
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_run_waits_for_the_lock_for_5_seconds_at_most() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("envstore.yml");
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let pauses = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pauses);
        let sleep = move |pause: Duration| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
            count.fetch_add(usize::try_from(pause.as_millis()).unwrap_or_default(), Ordering::Relaxed);
            Box::pin(std::future::ready(()))
        };
        let env = Env { sleep: Arc::new(sleep), ..Env::for_tests(&[]) };
        let first = runtime.block_on(lock(&path, &env));
        assert!(first.is_some() && pauses.load(Ordering::Relaxed) == 0);
        assert!(runtime.block_on(lock(&path, &env)).is_none(), "the first one still holds it");
        assert_eq!(pauses.load(Ordering::Relaxed), 5000);
        drop(first);
        // Another test can be starting a process, which has a copy of the lock until it executes a program.
        let is_free = (0..100).any(|_| {
            std::thread::yield_now();
            runtime.block_on(lock(&path, &env)).is_some()
        });
        assert!(is_free);
        assert_eq!(fs::read_dir(&folder)?.count(), 0, "no lock file is left");
        Ok(())
    }

    #[test]
    fn only_temporary_files_of_killed_runs_are_deleted() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let leftover = at(&format!("{TEMPORARY_PREFIX}aB3dE6"));
        let link = at(&format!("{TEMPORARY_PREFIX}link"));
        let subfolder = at(&format!("{TEMPORARY_PREFIX}folder"));
        let others = [at("envstore.yml"), at(".envstore-backup"), at(".envstore.yml"), link, subfolder];
        let [store, backup, default, link, subfolder] = &others;
        for file in [store, backup, default, &leftover] {
            fs::write(file, "x")?;
        }
        std::os::unix::fs::symlink(store, link)?;
        fs::create_dir(subfolder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        assert!(runtime.block_on(lock(store, &Env::for_tests(&[]))).is_some());
        assert!(!leftover.exists());
        assert!(others.iter().all(|path| fs::symlink_metadata(path).is_ok()));
        Ok(())
    }
}
