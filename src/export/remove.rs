//! `action: remove`: deletes the folder of an earlier run, and unsets its outputs.

use std::borrow::Cow;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, stat, statat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::env::Env;
use crate::export::files::{FOLDER_PREFIX, MARKER_NAME, MARKER_TEXT};
use crate::redact::{self, Text, error_messages};
use crate::regular_file;
use crate::tools::{self, OutputPrefix};

error_messages! {
    /// Why a folder was not deleted.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum RemoveError {
        #[error("`credentials_dir` ({folder}) is not a folder that this Step created: {why}. Nothing in it was deleted. Reset the input to its default, the output APPLE_CREDENTIALS_DIR.")]
        NotOurs { folder: Text, why: &'static str },
        #[error("Cannot delete the folder in `credentials_dir` ({folder}): {why}. Delete it yourself, since it contains credentials.")]
        Failed { folder: Text, why: Text },
    }
}

/// Deletes a folder that a run of this Step created. Returns whether it existed.
///
/// # Errors
/// [`RemoveError`]
pub(crate) fn remove_folder(folder: &Path, env: &Env) -> Result<bool, RemoveError> {
    // Without a trailing slash, which would follow a link.
    let folder: PathBuf = folder.components().collect();
    let shown = || redact::path(&folder);
    let failed = |error: &io::Error| RemoveError::Failed { folder: shown(), why: redact::os(error) };
    match OwnFolder::open(&folder, env) {
        Ok(own) => own.remove().map(|()| true).map_err(|error| failed(&error)),
        Err(OpenError::Missing) => Ok(false),
        Err(OpenError::NotOurs(why)) => Err(RemoveError::NotOurs { folder: shown(), why }),
        Err(OpenError::Unreadable(error)) => Err(failed(&error)),
    }
}

enum OpenError {
    Missing,
    NotOurs(&'static str),
    Unreadable(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            ErrorKind::NotADirectory => Self::NotOurs("a part of its path is not a folder"),
            _ => Self::Unreadable(error),
        }
    }
}

/// An open folder that this Step created. Its path is resolved only once, since another process can replace
/// the folder while it is checked and emptied.
struct OwnFolder<'a> {
    parent: OwnedFd,
    name: &'a OsStr,
    folder: OwnedFd,
}

impl<'a> OwnFolder<'a> {
    /// Opens the folder and checks everything that [`crate::export::files`] guarantees.
    fn open(path: &'a Path, env: &Env) -> Result<Self, OpenError> {
        if !path.is_absolute() {
            return Err(OpenError::NotOurs("its path is not absolute"));
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(OpenError::NotOurs(OTHER_NAME));
        };
        let parent = openat(CWD, parent, FOLDER, Mode::empty()).map_err(io::Error::from)?;
        let folder = open_folder(&parent, name).map_err(|error| match error {
            Errno::NOENT => OpenError::Missing,
            // The error for a link depends on the system.
            Errno::NOTDIR | Errno::LOOP | Errno::MLINK => OpenError::NotOurs("it is a link or a file"),
            Errno::ACCESS => OpenError::NotOurs("this user can't read it"),
            error => OpenError::Unreadable(error.into()),
        })?;
        let parent_status = fstat(&parent).map_err(io::Error::from)?;
        let is_parent = |temp_dir: &Path| {
            stat(temp_dir)
                .is_ok_and(|it| (it.st_dev, it.st_ino) == (parent_status.st_dev, parent_status.st_ino))
        };
        let status = fstat(&folder).map_err(io::Error::from)?;
        let mode = Mode::from_raw_mode(status.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
        let name_text = name.to_str().unwrap_or_default();
        let requirements = [
            (name_text.starts_with(FOLDER_PREFIX), OTHER_NAME),
            (is_parent(&env.temp_dir) || is_parent(Path::new("/tmp")), "it is not in a temporary folder"),
            (status.st_uid == effective_user_id(), "it belongs to another user"),
            (mode == Mode::RWXU, "other users can read it"),
        ];
        if let Some((_, why)) = requirements.into_iter().find(|(is_met, _)| !is_met) {
            return Err(OpenError::NotOurs(why));
        }
        match has_marker(&folder) {
            Some(true) => Ok(Self { parent, name, folder }),
            Some(false) => Err(OpenError::NotOurs("its marker file is wrong")),
            None => Err(OpenError::NotOurs("its marker file is missing")),
        }
    }

    /// Deletes the marker last, so that a failed removal can be repeated.
    fn remove(&self) -> io::Result<()> {
        empty_folder(&self.folder, Some(MARKER_NAME))?;
        unlinkat(&self.folder, MARKER_NAME, AtFlags::empty())?;
        Ok(unlinkat(&self.parent, self.name, AtFlags::REMOVEDIR)?)
    }
}

/// Why a folder is rejected if its name does not start with [`FOLDER_PREFIX`].
const OTHER_NAME: &str = "its name does not begin with apple-services-connection-";

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Doesn't follow links.
fn open_folder(parent: impl AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    openat(parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())
}

fn effective_user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether the Step's marker in a folder is right; `None` if it is missing.
fn has_marker(folder: &OwnedFd) -> Option<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let marker = match openat(folder, MARKER_NAME, flags, Mode::empty()) {
        Ok(marker) => File::from(marker),
        Err(Errno::NOENT) => return None,
        Err(_) => return Some(false),
    };
    let is_own = marker.metadata().is_ok_and(|marker| marker.uid() == effective_user_id());
    let text = regular_file::require_regular(marker)
        .and_then(|marker| regular_file::read_open(&marker, MARKER_TEXT.len()));
    Some(is_own && text.is_ok_and(|text| *text == MARKER_TEXT.as_bytes()))
}

/// Deletes everything in a folder except `keep`, without following links. Goes on after an error, and returns
/// the first one.
fn empty_folder(folder: &OwnedFd, keep: Option<&str>) -> io::Result<()> {
    let mut first_error = None;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_kept = keep.is_some_and(|keep| name.to_bytes() == keep.as_bytes());
        if is_kept || matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if let Err(error) = delete_entry(folder, name) {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

fn delete_entry(folder: &OwnedFd, name: &CStr) -> io::Result<()> {
    let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        empty_folder(&open_folder(folder, name)?, None)?;
        unlinkat(folder, name, AtFlags::REMOVEDIR)?;
    } else {
        unlinkat(folder, name, AtFlags::empty())?;
    }
    Ok(())
}

/// Returns the variables to unset with a folder: all outputs with this prefix that are set, if the folder belongs
/// to the latest run with the prefix. Otherwise none, since they can belong to the latest run.
#[must_use]
pub(crate) fn outputs_to_unset(
    removed: Option<&Path>,
    prefix: &OutputPrefix,
    env: &Env,
) -> Vec<Cow<'static, str>> {
    if removed != prefix.variable("APPLE_CREDENTIALS_DIR", env).map(Path::new) {
        return Vec::new();
    }
    let mut names = tools::output_names();
    names.sort_unstable();
    let keys = names.into_iter().map(|name| prefix.key(name));
    // The CLI sets an unset variable to an empty value.
    keys.filter(|key| env.var(key).is_some() || env.is_not_utf8(key)).collect()
}

/// Returns a warning if the removed folder is that of a run with another prefix, whose outputs are still set.
#[must_use]
pub(crate) fn outputs_left_warning(removed: Option<&Path>, prefix: &OutputPrefix, env: &Env) -> Option<Text> {
    let is_of_folder = |value: &str| Some(Path::new(value)) == removed;
    let others = env.vars.iter().filter(|(_, value)| is_of_folder(value));
    let mut others =
        others.filter_map(|(name, _)| OutputPrefix::from_variable(name, "APPLE_CREDENTIALS_DIR"));
    let other = others.find(|other| other != prefix)?;
    Some(redact::text!(
        "The outputs of the run that created the folder are still set: set `output_prefix` to {} to unset them too.",
        other.name("")
    ))
}
