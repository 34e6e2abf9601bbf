//! envman's size limits, which fail the build that goes over them.
//!
//! Source: <https://github.com/bitrise-io/envman/blob/master/envman/configs.go>

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::bitrise::entry::Entry;
use crate::redact::{Text, sentences};
use crate::regular_file::{self, ReadError};

/// More than any settings need.
const MAX_BYTES: usize = 1024 * 1024;

/// How much envman lets into the store, in KiB. Zero or less: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For one value.
    pub env_bytes_limit_in_kb: i64,
    /// For all values of the store together.
    pub env_list_bytes_limit_in_kb: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { env_bytes_limit_in_kb: 256, env_list_bytes_limit_in_kb: 256 }
    }
}

/// The settings, as far as they are set: `null` is as good as nothing, for all of them or for one.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    env_bytes_limit_in_kb: Option<i64>,
    env_list_bytes_limit_in_kb: Option<i64>,
}

sentences! {
    /// Outputs that would go over a limit of envman, which would then fail the build.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum TooLarge {
        #[error("the output {key} has {kib} KiB, and envman takes at most {limit} KiB for one value: in a Script step before this one, raise env_bytes_limit_in_kb in ~/.envman/configs.json")]
        Value { key: &'static str, kib: u64, limit: i64 },
        #[error("with {key}, all outputs so far have {kib} KiB, and envman takes at most {limit} KiB: in a Script step before this one, raise env_list_bytes_limit_in_kb in ~/.envman/configs.json")]
        List { key: &'static str, kib: u64, limit: i64 },
    }
}

sentences! {
    /// envman's settings, in a form that envman would not take.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub enum SettingsError {
        #[error("envman's settings in ~/.envman/configs.json are not valid JSON: correct or delete that file")]
        NotJson,
        #[error("envman's settings in ~/.envman/configs.json cannot be read ({0}): correct or delete that file")]
        Unreadable(Text),
    }
}

impl Limits {
    /// Reads `~/.envman/configs.json`; without that file, envman's defaults.
    ///
    /// # Errors
    /// When the file is there and is not readable as envman would read it.
    pub fn of_user(home: Option<&str>) -> Result<Self, SettingsError> {
        let Some(home) = home else { return Ok(Self::default()) };
        let bytes = match regular_file::read(&Path::new(home).join(".envman/configs.json"), MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(ReadError::Io(error))
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Self::default());
            }
            Err(error) => return Err(SettingsError::Unreadable(error.why())),
        };
        let settings: Option<Settings> =
            serde_json::from_slice(&bytes).map_err(|_| SettingsError::NotJson)?;
        let (settings, default) = (settings.unwrap_or_default(), Self::default());
        Ok(Self {
            env_bytes_limit_in_kb: settings.env_bytes_limit_in_kb.unwrap_or(default.env_bytes_limit_in_kb),
            env_list_bytes_limit_in_kb: settings
                .env_list_bytes_limit_in_kb
                .unwrap_or(default.env_list_bytes_limit_in_kb),
        })
    }

    /// Checks entries that join a store whose other values have `kept_bytes`.
    ///
    /// # Errors
    /// [`TooLarge`], naming the first output over a limit.
    pub(crate) fn check(self, kept_bytes: usize, entries: &[Entry]) -> Result<(), TooLarge> {
        let mut total = kept_bytes;
        for entry in entries {
            let bytes = entry.value_bytes();
            total += bytes;
            if exceeds(bytes, self.env_bytes_limit_in_kb) {
                let limit = self.env_bytes_limit_in_kb;
                return Err(TooLarge::Value { key: entry.key, kib: kib(bytes), limit });
            }
            if exceeds(total, self.env_list_bytes_limit_in_kb) {
                let limit = self.env_list_bytes_limit_in_kb;
                return Err(TooLarge::List { key: entry.key, kib: kib(total), limit });
            }
        }
        Ok(())
    }
}

fn exceeds(bytes: usize, limit_in_kb: i64) -> bool {
    u64::try_from(limit_in_kb).is_ok_and(|kb| kb > 0 && bytes as u64 > kb.saturating_mul(1024))
}

fn kib(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(1024)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn limits_are_envmans_defaults_unless_its_settings_say_otherwise()
    -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let home_path = home.path().to_str();
        let defaults = Limits { env_bytes_limit_in_kb: 256, env_list_bytes_limit_in_kb: 256 };
        assert_eq!(Limits::of_user(home_path), Ok(defaults));
        assert_eq!(Limits::of_user(None), Ok(defaults));
        fs::create_dir(home.path().join(".envman"))?;
        let settings = home.path().join(".envman/configs.json");
        fs::write(&settings, r#"{"env_bytes_limit_in_kb": 20}"#)?;
        assert_eq!(Limits::of_user(home_path), Ok(Limits { env_bytes_limit_in_kb: 20, ..defaults }));
        fs::write(&settings, r#"{"env_bytes_limit_in_kb": null, "env_list_bytes_limit_in_kb": 30}"#)?;
        assert_eq!(Limits::of_user(home_path), Ok(Limits { env_list_bytes_limit_in_kb: 30, ..defaults }));
        fs::write(&settings, "null")?;
        assert_eq!(Limits::of_user(home_path), Ok(defaults));
        fs::write(&settings, "no JSON")?;
        assert_eq!(Limits::of_user(home_path), Err(SettingsError::NotJson));
        Ok(())
    }

    #[test]
    fn a_limit_of_zero_or_less_is_none() {
        let value = Entry { key: "A", value: Some("x".repeat(10_000_000).into()), is_sensitive: false };
        for limit in [0, -1] {
            let limits = Limits { env_bytes_limit_in_kb: limit, env_list_bytes_limit_in_kb: limit };
            assert_eq!(limits.check(usize::MAX / 2, std::slice::from_ref(&value)), Ok(()));
        }
    }
}
