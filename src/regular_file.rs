//! Reads regular files only. Reading a FIFO that nobody writes to would block, and a device can be endless.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::redact::{self, Text, text};

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
    /// Completes a sentence about the file: "cannot be read (…)".
    pub(crate) fn why(&self) -> Text {
        match self {
            Self::Io(error) => redact::os(error),
            Self::NotRegular => text!("it is not a regular file"),
            Self::TooLarge => text!("it is too large"),
        }
    }
}

/// Opens a regular file without blocking.
///
/// # Errors
/// [`ReadError::NotRegular`], or the error of the operating system.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> Result<File, ReadError> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    require_regular(options.custom_flags(flags.bits().cast_signed()).open(path)?)
}

/// Returns the file if it is a regular one.
///
/// # Errors
/// [`ReadError::NotRegular`], or the error of the operating system.
pub(crate) fn require_regular(file: File) -> Result<File, ReadError> {
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    if kind.is_file() { Ok(file) } else { Err(ReadError::NotRegular) }
}

pub(crate) fn read(path: &Path, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_open(&open(path, OpenOptions::new().read(true))?, max_bytes)
}

/// Reads the rest of an open file, which may have at most `max_bytes` in all.
pub(crate) fn read_open(file: &File, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > max_bytes {
        return Err(ReadError::TooLarge);
    }
    // Reallocating would leave copies. A byte beyond the limit shows that the file has grown.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max_bytes { Err(ReadError::TooLarge) } else { Ok(bytes) }
}
