//! `action: remove`: takes back what an earlier run of the Step left for later Steps.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::files::{FOLDER_PREFIX, MARKER_NAME, MARKER_TEXT};
use crate::host::Host;
use crate::redaction::{self, Text, sentences};
use crate::tools;

sentences! {
    /// Why a folder is not removed. It is untouched then.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum CleanupError {
        #[error("`credentials_dir` ({folder}) is not a folder that this Step made: {why}. It was left as it is. Leave the input at its default, the Step's own output APPLE_CREDENTIALS_DIR.")]
        Foreign { folder: Text, why: &'static str },
        #[error("`credentials_dir` ({folder}) cannot be deleted ({why}): delete it by hand, since it holds credentials.")]
        Failed { folder: Text, why: Text },
    }
}

/// Deletes a folder that a run of this Step made, and nothing else.
///
/// Returns whether there was one.
///
/// # Errors
/// [`CleanupError`]
pub(crate) fn remove_folder(folder: &Path, host: &Host) -> Result<bool, CleanupError> {
    // A slash at the end would have a link followed.
    let folder: PathBuf = folder.components().collect();
    let shown = || redaction::path(&folder);
    match check(&folder, host) {
        Ok(()) => {}
        Err(Refusal::Gone) => return Ok(false),
        Err(Refusal::Foreign(why)) => return Err(CleanupError::Foreign { folder: shown(), why }),
        Err(Refusal::Unreadable(error)) => {
            return Err(CleanupError::Failed { folder: shown(), why: redaction::os(&error) });
        }
    }
    remove(&folder).map_err(|error| CleanupError::Failed { folder: shown(), why: redaction::os(&error) })?;
    Ok(true)
}

/// Deletes the mark last, so that what fails half-way can be tried again. Follows no link.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == MARKER_NAME {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_file(folder.join(MARKER_NAME))?;
    fs::remove_dir(folder)
}

enum Refusal {
    Gone,
    Foreign(&'static str),
    Unreadable(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Gone,
            ErrorKind::NotADirectory => Self::Foreign("a part of its path is not a folder"),
            _ => Self::Unreadable(error),
        }
    }
}

/// Holds the folder against everything that is true of one that [`crate::files`] made.
fn check(folder: &Path, host: &Host) -> Result<(), Refusal> {
    if !folder.is_absolute() {
        return Err(Refusal::Foreign("its path is not absolute"));
    }
    let metadata = fs::symlink_metadata(folder)?;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut temp_dirs = [host.temp_dir.as_path(), Path::new("/tmp")].into_iter().map(fs::canonicalize);
    let parent = folder.parent().map(fs::canonicalize).transpose()?;
    let user = rustix::process::geteuid().as_raw();
    let conditions = [
        (metadata.is_dir(), "it is a link or a file"),
        (name.starts_with(FOLDER_PREFIX), "it has another name"),
        (temp_dirs.any(|temp_dir| temp_dir.ok() == parent), "it does not lie in a temporary folder"),
        (metadata.uid() == user, "it belongs to another user"),
        (metadata.permissions().mode() & 0o777 == 0o700, "others may look into it"),
    ];
    if let Some((_, why)) = conditions.into_iter().find(|(holds, _)| !holds) {
        return Err(Refusal::Foreign(why));
    }
    let marker = folder.join(MARKER_NAME);
    let no_marker = |_| Refusal::Foreign("the Step's mark is missing in it");
    let metadata = fs::symlink_metadata(&marker).map_err(no_marker)?;
    let is_own = metadata.is_file() && metadata.uid() == user && metadata.len() == MARKER_TEXT.len() as u64;
    if is_own && fs::read(&marker).map_err(no_marker)? == MARKER_TEXT.as_bytes() {
        Ok(())
    } else {
        Err(Refusal::Foreign("the Step's mark in it is not right"))
    }
}

/// The output that names the folder of the latest run.
const FOLDER_OUTPUT: &str = "APPLE_CREDENTIALS_DIR";

/// The Step's outputs that are set now, and so may come from an earlier run.
#[must_use]
pub(crate) fn outputs_set(removed: Option<&Path>, host: &Host) -> Vec<&'static str> {
    let mut names = tools::output_names();
    names.sort_unstable();
    // The CLI leaves a variable empty that was taken away.
    names.retain(|name| host.var(name).is_some() || host.env_not_utf8.iter().any(|set| set == name));
    // A folder that is still there must stay known, for a removal of its own.
    if host.var(FOLDER_OUTPUT).is_some_and(|folder| removed != Some(Path::new(folder))) {
        names.retain(|name| *name != FOLDER_OUTPUT);
    }
    names
}
