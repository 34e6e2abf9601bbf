//! envman's size limits. Exceeding one of them fails the build.
//!
//! Source: <https://github.com/bitrise-io/envman/blob/master/envman/configs.go>

use std::io::ErrorKind;
use std::path::Path;

use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::bitrise::entry::Entry;
use crate::redact::{Text, error_messages};
use crate::regular_file::{self, ReadError};

/// Larger than any settings file.
const MAX_SETTINGS_BYTES: usize = 1024 * 1024;

/// envman's limit for a setting that is missing, in KiB.
const DEFAULT_LIMIT: i64 = 256;

/// How many KiB envman accepts, as in its settings file. `None` means the default; zero or less, no limit.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Limits {
    /// Per value.
    pub env_bytes_limit_in_kb: Option<i64>,
    /// For all values in the envstore together.
    pub env_list_bytes_limit_in_kb: Option<i64>,
}

error_messages! {
    /// Outputs that exceed a limit of envman, or settings that it would reject. `Display` completes "Cannot export
    /// outputs: …".
    #[derive(Debug, thiserror::Error)]
    pub enum LimitError {
        #[error("the output {key} is {kib} KiB, and envman accepts at most {limit} KiB per value. In a Script Step before this one, raise env_bytes_limit_in_kb in ~/.envman/configs.json")]
        Value { key: Text, kib: usize, limit: i64 },
        #[error("the outputs of the build, including {key}, are {kib} KiB in total, and envman accepts at most {limit} KiB. In a Script Step before this one, raise env_list_bytes_limit_in_kb in ~/.envman/configs.json")]
        List { key: Text, kib: usize, limit: i64 },
        #[error("envman's settings in ~/.envman/configs.json are not valid JSON. Correct or delete that file")]
        NotJson,
        #[error("envman's settings in ~/.envman/configs.json cannot be read ({0}). Correct or delete that file")]
        Unreadable(Text),
    }
}

impl Limits {
    /// Reads the settings in `~/.envman/configs.json`. Without that file, envman's defaults apply.
    ///
    /// # Errors
    /// [`LimitError`] if the file exists and envman could not read it.
    pub fn from_settings(home: Option<&str>) -> Result<Self, LimitError> {
        let Some(home) = home else { return Ok(Self::default()) };
        let path = Path::new(home).join(".envman/configs.json");
        let bytes = match regular_file::read(&path, MAX_SETTINGS_BYTES) {
            Err(ReadError::Io(error))
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Self::default());
            }
            result => result.map_err(|error| LimitError::Unreadable(Text::of(&error)))?,
        };
        // The file can be `null`, and so can each setting.
        let settings: Option<Self> = serde_json::from_slice(&bytes).map_err(|_| LimitError::NotJson)?;
        Ok(settings.unwrap_or_default())
    }

    /// Checks the entries that set a value, as envman does. `kept_bytes` is the size of the values that stay in
    /// the envstore.
    ///
    /// # Errors
    /// [`LimitError`] for the first output that exceeds a limit.
    pub(crate) fn check(self, kept_bytes: usize, entries: &[Entry]) -> Result<(), LimitError> {
        let mut total = kept_bytes;
        for entry in entries {
            let Some(value) = &entry.value else { continue };
            let bytes = value.expose_secret().len();
            total += bytes;
            if let Some((kib, limit)) = excess(bytes, self.env_bytes_limit_in_kb) {
                return Err(LimitError::Value { key: entry.name(), kib, limit });
            }
            if let Some((kib, limit)) = excess(total, self.env_list_bytes_limit_in_kb) {
                return Err(LimitError::List { key: entry.name(), kib, limit });
            }
        }
        Ok(())
    }
}

/// The size in KiB and the limit, if the size exceeds the limit.
fn excess(bytes: usize, limit: Option<i64>) -> Option<(usize, i64)> {
    let (kib, limit) = (bytes.div_ceil(1024), limit.unwrap_or(DEFAULT_LIMIT));
    let is_over = usize::try_from(limit).is_ok_and(|limit| limit > 0 && kib > limit);
    is_over.then_some((kib, limit))
}
