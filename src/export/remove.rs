//! `action: remove`: deletes the folder of an earlier run, and unsets its outputs.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, stat, statat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;
use secrecy::ExposeSecret as _;

use crate::bitrise::entry::Entry;
use crate::env::Env;
use crate::export::files::{FOLDER_PREFIX, MARKER_NAME, MARKER_TEXT};
use crate::redact::{self, FatalError, Text, text};
use crate::regular_file;
use crate::tools::{self, OutputPrefix};

/// Deletes a folder that a run of this Step created. Returns whether it existed.
///
/// # Errors
/// If the folder is not this Step's, or can't be deleted.
pub(crate) fn remove_folder(folder: &Path, env: &Env) -> Result<bool, FatalError> {
    // Drops a trailing slash, which would make the system follow a link.
    let folder: PathBuf = folder.components().collect();
    let shown_path = redact::path(&folder);
    match remove_own_folder(&folder, env) {
        Ok(()) => Ok(true),
        Err(RemoveError::Missing) => Ok(false),
        Err(RemoveError::NotOurs(why)) => Err(FatalError::new(text!(
            "`credentials_dir` ({}) is not a folder that this Step created: {}. Nothing in it was deleted. Remove the input from the workflow: its default is $APPLE_CREDENTIALS_DIR.",
            shown_path,
            why
        ))),
        Err(RemoveError::Failed(error)) => Err(FatalError::new(text!(
            "Cannot delete the folder in `credentials_dir` ({}): {}. Delete it yourself, since it contains credentials.",
            shown_path,
            redact::os(&error.into())
        ))),
    }
}

/// Why a folder was not deleted.
enum RemoveError {
    Missing,
    NotOurs(&'static str),
    Failed(Errno),
}

/// Converts the error of a system call that opens the folder.
impl From<Errno> for RemoveError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            Errno::NOTDIR => Self::NotOurs("a part of its path is not a folder"),
            _ => Self::Failed(error),
        }
    }
}

/// Deletes a folder, but only if it looks like one that [`crate::export::files`] created. Resolves the path only once,
/// since another process can put another folder there between the check and the deletion.
fn remove_own_folder(path: &Path, env: &Env) -> Result<(), RemoveError> {
    if !path.is_absolute() {
        return Err(RemoveError::NotOurs("its path is not absolute"));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(RemoveError::NotOurs(WRONG_NAME));
    };
    let parent = openat(CWD, parent, FOLDER_FLAGS, Mode::empty())?;
    let folder = open_folder(&parent, name).map_err(|error| match error {
        // Systems differ in the error for a link.
        Errno::NOTDIR | Errno::LOOP | Errno::MLINK => RemoveError::NotOurs("it is a link or a file"),
        Errno::ACCESS => RemoveError::NotOurs("this user can't read it"),
        error => error.into(),
    })?;
    let identity = |status: Stat| (status.st_dev, status.st_ino);
    let parent_identity = identity(fstat(&parent)?);
    let is_parent = |temp_dir: &Path| stat(temp_dir).is_ok_and(|status| identity(status) == parent_identity);
    let status = fstat(&folder)?;
    let requirements = [
        (name.as_bytes().starts_with(FOLDER_PREFIX.as_bytes()), WRONG_NAME),
        (is_parent(&env.temp_dir) || is_parent(Path::new("/tmp")), "it is not in a temporary folder"),
        (status.st_uid == geteuid().as_raw(), "it belongs to another user"),
        (status.st_mode & 0o777 == 0o700, "other users can read it"),
    ];
    if let Some((_, why)) = requirements.into_iter().find(|(is_met, _)| !is_met) {
        return Err(RemoveError::NotOurs(why));
    }
    check_marker(&folder).map_err(RemoveError::NotOurs)?;
    // The marker is deleted last, so that a failed removal can be repeated.
    empty_folder(&folder, MARKER_NAME)
        .and_then(|()| unlinkat(&folder, MARKER_NAME, AtFlags::empty()))
        .and_then(|()| unlinkat(&parent, name, AtFlags::REMOVEDIR))
        .map_err(RemoveError::Failed)
}

/// Ends with [`FOLDER_PREFIX`].
const WRONG_NAME: &str = "its name does not begin with apple-services-connection-";

const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a folder without following links.
fn open_folder(parent: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    openat(parent, name, FOLDER_FLAGS | OFlags::NOFOLLOW, Mode::empty())
}

/// Checks the Step's marker file in a folder. The error says what is wrong.
fn check_marker(folder: &OwnedFd) -> Result<(), &'static str> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let marker = match openat(folder, MARKER_NAME, flags, Mode::empty()) {
        Ok(marker) => File::from(marker),
        Err(Errno::NOENT) => return Err("its marker file is missing"),
        Err(_) => return Err("its marker file is a link or cannot be opened"),
    };
    if !marker.metadata().is_ok_and(|marker| marker.uid() == geteuid().as_raw()) {
        return Err("its marker file belongs to another user");
    }
    let text = regular_file::require_regular(marker)
        .and_then(|marker| regular_file::read_open(&marker, MARKER_TEXT.len()));
    let is_as_written = text.is_ok_and(|text| *text == MARKER_TEXT.as_bytes());
    if is_as_written { Ok(()) } else { Err("its marker file has unexpected content") }
}

/// Deletes everything in a folder except the entry `keep`, without following links. If an entry can't be deleted,
/// deletes the others before it returns the first error.
fn empty_folder(folder: &OwnedFd, keep: &str) -> Result<(), Errno> {
    let mut first_error = None;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if ![".", "..", keep].iter().any(|kept| name.to_bytes() == kept.as_bytes())
            && let Err(error) = delete_entry(folder, name)
        {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

fn delete_entry(folder: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let status = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
        return unlinkat(folder, name, AtFlags::empty());
    }
    empty_folder(&open_folder(folder, name)?, "")?;
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}

/// Returns the outputs to unset when a folder is removed: all that are set and have this prefix. Returns none if
/// the latest run with the prefix has another folder, since the outputs can be from that run.
pub(crate) fn outputs_to_unset(folder: Option<&Path>, prefix: &OutputPrefix, env: &Env) -> Vec<Entry> {
    if folder != prefix.variable("APPLE_CREDENTIALS_DIR", env).map(Path::new) {
        return Vec::new();
    }
    let mut names = tools::output_names();
    names.sort_unstable();
    let keys = names.into_iter().map(|name| prefix.key(name));
    // Empty variables are skipped, since the CLI passes an unset output to later Steps as an empty variable.
    let set_keys = keys.filter(|key| env.var(key).is_some() || env.is_not_utf8(key));
    set_keys.map(|key| Entry { key, value: None, is_sensitive: false }).collect()
}

/// Returns a warning if a run with another prefix created the removed folder, and its outputs are still set.
pub(crate) fn outputs_left_warning(folder: Option<&Path>, prefix: &OutputPrefix, env: &Env) -> Option<Text> {
    let variables = env.vars.iter().filter(|(_, value)| Some(Path::new(value.expose_secret())) == folder);
    let mut prefixes =
        variables.filter_map(|(name, _)| OutputPrefix::from_variable(name, "APPLE_CREDENTIALS_DIR"));
    let other = prefixes.find(|other| other != prefix)?;
    Some(text!(
        "The outputs of the run that created the deleted folder are still set. To unset them too, set `output_prefix` to {}.",
        other.name("")
    ))
}
