//! envman's size limits. A Step that exceeds one fails the build.
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

/// How much envman accepts, in KiB. Zero or less means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Per value.
    pub env_bytes_limit_in_kb: i64,
    /// For all values in the envstore together.
    pub env_list_bytes_limit_in_kb: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { env_bytes_limit_in_kb: 256, env_list_bytes_limit_in_kb: 256 }
    }
}

/// The settings file. It can be `null`, and so can each setting.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    env_bytes_limit_in_kb: Option<i64>,
    env_list_bytes_limit_in_kb: Option<i64>,
}

error_messages! {
    /// Outputs that exceed a limit of envman. `Display` completes "Cannot export outputs: …".
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum TooLarge {
        #[error("the output {key} is {kib} KiB, and envman accepts at most {limit} KiB per value. In a Script Step before this one, raise env_bytes_limit_in_kb in ~/.envman/configs.json")]
        Value { key: Text, kib: u64, limit: i64 },
        #[error("with {key}, all outputs so far are {kib} KiB, and envman accepts at most {limit} KiB in total. In a Script Step before this one, raise env_list_bytes_limit_in_kb in ~/.envman/configs.json")]
        List { key: Text, kib: u64, limit: i64 },
    }
}

error_messages! {
    /// Settings that envman itself would reject. `Display` completes "Cannot export outputs: …".
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub enum SettingsError {
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
    /// [`SettingsError`] if the file exists and envman could not read it.
    pub fn from_settings(home: Option<&str>) -> Result<Self, SettingsError> {
        let Some(home) = home else { return Ok(Self::default()) };
        let path = Path::new(home).join(".envman/configs.json");
        let bytes = match regular_file::read(&path, MAX_SETTINGS_BYTES) {
            Err(ReadError::Io(error))
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Self::default());
            }
            read => read.map_err(|error| SettingsError::Unreadable(Text::of(&error)))?,
        };
        let settings: Option<Settings> =
            serde_json::from_slice(&bytes).map_err(|_| SettingsError::NotJson)?;
        let settings = settings.unwrap_or_default();
        let Self { env_bytes_limit_in_kb, env_list_bytes_limit_in_kb } = Self::default();
        Ok(Self {
            env_bytes_limit_in_kb: settings.env_bytes_limit_in_kb.unwrap_or(env_bytes_limit_in_kb),
            env_list_bytes_limit_in_kb: settings
                .env_list_bytes_limit_in_kb
                .unwrap_or(env_list_bytes_limit_in_kb),
        })
    }

    /// Checks the entries that set a value, as envman does. `kept_bytes` is the size of the values that stay in
    /// the envstore.
    ///
    /// # Errors
    /// [`TooLarge`] for the first output that exceeds a limit.
    pub(crate) fn check(self, kept_bytes: usize, entries: &[Entry]) -> Result<(), TooLarge> {
        let mut total = kept_bytes;
        for entry in entries {
            let Some(value) = &entry.value else { continue };
            let bytes = value.expose_secret().len();
            total += bytes;
            if exceeds(bytes, self.env_bytes_limit_in_kb) {
                let limit = self.env_bytes_limit_in_kb;
                return Err(TooLarge::Value { key: entry.name(), kib: to_kib(bytes), limit });
            }
            if exceeds(total, self.env_list_bytes_limit_in_kb) {
                let limit = self.env_list_bytes_limit_in_kb;
                return Err(TooLarge::List { key: entry.name(), kib: to_kib(total), limit });
            }
        }
        Ok(())
    }
}

fn exceeds(bytes: usize, limit_in_kb: i64) -> bool {
    u64::try_from(limit_in_kb).is_ok_and(|kb| kb > 0 && bytes as u64 > kb.saturating_mul(1024))
}

fn to_kib(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(1024)
}
