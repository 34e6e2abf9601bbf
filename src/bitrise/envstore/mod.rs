//! The envstore: the YAML file from which the Bitrise CLI reads a Step's outputs.
//!
//! ```yaml
//! envs:
//! - KEY: "value"
//!   opts:
//!     is_expand: false
//!     is_sensitive: true
//! ```
//!
//! Model: <https://github.com/bitrise-io/envman/blob/master/models/models.go>.

pub(crate) mod lock;
mod merge;

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::bitrise::entry::Entry;
use crate::bitrise::limits::{LimitError, Limits};
use crate::regular_file::{self, ReadError};

/// The Step does not read larger files. Outputs become environment variables, and Linux accepts at most 6 MiB of those.
pub(crate) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The start of the temporary name of the new envstore, which is then renamed to replace the old one.
const TEMPORARY_PREFIX: &str = ".envstore-apple-services-connection-";

/// Why outputs were not written.
#[derive(Debug)]
pub enum EnvstoreError {
    /// The file is not in the format that envman writes. envman itself may still be able to read it.
    UnknownFormat,
    /// The outputs would exceed a limit of envman.
    Limits(LimitError),
    /// The file could not be read or written.
    File(ReadError),
}

/// Writes all entries into the file at `path`, in one atomic replacement if the system allows it.
///
/// An entry replaces an existing one with the same key in place. Other existing entries stay as they are, in
/// order. The file keeps its owner, group and mode; a new file gets mode 0600. Before the call, take the
/// lock with `lock::lock`, if possible.
///
/// # Errors
/// [`EnvstoreError`]. The file then has its old content, unless it was overwritten and restoring it failed too.
pub fn write(path: &Path, entries: &[Entry], limits: Limits) -> Result<(), EnvstoreError> {
    let target = resolve_link(path);
    let (old, metadata) = read(&target).map_err(EnvstoreError::File)?;
    let text = std::str::from_utf8(&old).map_err(|_| EnvstoreError::UnknownFormat)?;
    let new = merge::merge(text, entries, limits)?;
    let written = match replace(&target, new.as_bytes(), metadata.as_ref()) {
        Err(error) if metadata.is_some() && needs_overwrite(&error) => {
            overwrite(&target, new.as_bytes(), &old)
        }
        result => result,
    };
    written.map_err(|error| EnvstoreError::File(error.into()))
}

/// Reads the file. If it does not exist, returns no bytes and no metadata.
fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Option<Metadata>), ReadError> {
    match regular_file::open(path) {
        Ok(file) => Ok((regular_file::read_open(&file, MAX_BYTES)?, Some(file.metadata()?))),
        Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(Default::default()),
        Err(error) => Err(error),
    }
}

/// Follows a link, even to a file that does not exist yet, so that the rename replaces the file and not the link.
fn resolve_link(path: &Path) -> PathBuf {
    fs::canonicalize(path)
        .or_else(|_| fs::read_link(path).map(|target| path.parent().unwrap_or(path).join(target)))
        .unwrap_or_else(|_| path.to_owned())
}

fn parent_folder(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a file that can't be replaced can perhaps be overwritten: it is bind-mounted, its folder is read-only, or
/// it has another owner, and only root can give a new file that owner.
fn needs_overwrite(error: &io::Error) -> bool {
    use ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(error.kind(), ResourceBusy | CrossesDevices | PermissionDenied | ReadOnlyFilesystem)
}

/// Replaces the file atomically.
fn replace(target: &Path, new: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    // Created with mode 0600.
    let mut file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(parent_folder(target))?;
    file.write_all(new)?;
    if let Some(old) = old {
        let created = file.as_file().metadata()?;
        if (created.uid(), created.gid()) != (old.uid(), old.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
    }
    let file = file.persist(target).map_err(|error| error.error)?;
    if let Some(old) = old {
        // After the rename, so that a run that is killed earlier leaves no file that others can read. A failure
        // doesn't matter: the outputs are exported, and the owner can read the file in any case.
        drop(file.set_permissions(fs::Permissions::from_mode(old.permissions().mode() & 0o7777)));
    }
    Ok(())
}

/// Overwrites the file, and restores the old text if that fails.
fn overwrite(target: &Path, new: &[u8], old: &[u8]) -> io::Result<()> {
    let write = |bytes: &[u8]| -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(target)?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)
    };
    write(new).inspect_err(|_| drop(write(old)))
}
