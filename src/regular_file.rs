//! Reads files that others may have put there. What stands at a path can be a FIFO that nobody
//! writes to, or a device without an end: nothing here waits for either.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::redact::text;
use crate::redact::{self, Text};

/// Why a file was not read.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    /// A FIFO, a socket or a device.
    NotRegular,
    TooLarge,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl ReadError {
    /// Completes a sentence that says what could not be read.
    pub(crate) fn why(&self) -> Text {
        match self {
            Self::Io(error) => redact::os(error),
            Self::NotRegular => text!("it is not a regular file"),
            Self::TooLarge => text!("it is too large"),
        }
    }
}

/// Opens a regular file, and does not wait for what is none.
///
/// # Errors
/// [`ReadError::NotRegular`], or that of the operating system.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> Result<File, ReadError> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    regular(options.custom_flags(flags.bits().cast_signed()).open(path)?)
}

/// A file that was opened without waiting, if it is a regular one.
///
/// # Errors
/// [`ReadError::NotRegular`], or that of the operating system.
pub(crate) fn regular(file: File) -> Result<File, ReadError> {
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    if kind.is_file() { Ok(file) } else { Err(ReadError::NotRegular) }
}

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// [`ReadError`]
pub(crate) fn read(path: &Path, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_open(&open(path, OpenOptions::new().read(true))?, max_bytes)
}

/// Reads a file from where it stands.
///
/// # Errors
/// [`ReadError`]
pub(crate) fn read_open(file: &File, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > max_bytes {
        return Err(ReadError::TooLarge);
    }
    // With room for all of it, and for the one that shows that it has grown: a buffer that grows
    // leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max_bytes { Err(ReadError::TooLarge) } else { Ok(bytes) }
}
