//! Reads regular files only. Reading a FIFO that nobody writes to would block, and a device can be endless.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::redact::{self, Show};

/// `Display` completes a sentence about the file: "cannot be read (…)".
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{}", redact::os(.0))]
    Io(#[from] io::Error),
    /// Such as a FIFO or a device.
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it is too large")]
    TooLarge,
}

impl Show for ReadError {}

/// Opens a regular file for reading, without blocking.
pub(crate) fn open(path: &Path) -> Result<File, ReadError> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    require_regular(OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?)
}

/// Returns the file if it is a regular file.
pub(crate) fn require_regular(file: File) -> Result<File, ReadError> {
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    if kind.is_file() { Ok(file) } else { Err(ReadError::NotRegular) }
}

pub(crate) fn read(path: &Path, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_open(&open(path)?, max_bytes)
}

/// Reads an open file to its end. Fails if its size is more than `max_bytes`.
pub(crate) fn read_open(file: &File, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > max_bytes {
        return Err(ReadError::TooLarge);
    }
    // Reallocating would leave copies of a secret. Reading `max_bytes + 1` reveals a file that has grown too large.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max_bytes { Err(ReadError::TooLarge) } else { Ok(bytes) }
}
