//! The surroundings of a run, which tests replace: environment variables, clock, sleep, temporary folder, time limits.
//!
//! The caller of a run passes an [`Env`], so that tests can share one process and don't have to sleep.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

/// Waits for a duration. Tests record the duration instead of waiting.
pub type Sleep = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Environment variables by name. Any value can be a secret.
pub type Vars = BTreeMap<String, SecretString>;

#[derive(Clone)]
pub struct Env {
    /// Environment variables whose values are UTF-8.
    pub vars: Vars,
    /// The names of all other environment variables.
    pub non_utf8_vars: Vec<String>,
    /// The current time, in UTC.
    pub now: fn() -> OffsetDateTime,
    /// Where a run creates its private folder.
    pub temp_dir: PathBuf,
    pub sleep: Sleep,
    /// The time limit for all requests of a run together, including pauses. The summary's request has its own.
    pub network_time_limit: Duration,
    /// The time limit for all calls of `envman add` together.
    pub envman_time_limit: Duration,
    /// Varies the pauses between attempts, so that builds that fail together don't retry together.
    pub jitter_seed: u64,
}

impl Env {
    /// The environment of this process. Its `sleep` needs a tokio runtime with the timer enabled.
    #[must_use]
    pub fn system() -> Self {
        let mut vars = Vars::default();
        let mut non_utf8_vars = Vec::new();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => {
                    vars.insert(name, value.into());
                }
                Err(_) => non_utf8_vars.push(name),
            }
        }
        Self {
            vars,
            non_utf8_vars,
            now: OffsetDateTime::now_utc,
            // An empty TMPDIR counts as unset.
            temp_dir: Some(std::env::temp_dir())
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or_else(|| PathBuf::from("/tmp")),
            sleep: Arc::new(|duration| Box::pin(tokio::time::sleep(duration))),
            // Together with the next limit and the one of the summary, keeps a run under 90 seconds.
            network_time_limit: Duration::from_secs(70),
            envman_time_limit: Duration::from_secs(12),
            jitter_seed: u64::from(OffsetDateTime::now_utc().nanosecond()) ^ u64::from(std::process::id()),
        }
    }

    /// An environment for unit tests, with these variables, a fixed clock and a sleep that returns at once.
    #[cfg(test)]
    pub(crate) fn for_tests(vars: &[(&str, &str)]) -> Self {
        Self {
            vars: vars.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect(),
            non_utf8_vars: Vec::new(),
            now: || time::macros::datetime!(2026-11-20 09:00 UTC),
            sleep: Arc::new(|_| Box::pin(std::future::ready(()))),
            jitter_seed: 1,
            ..Self::system()
        }
    }

    /// The value of a variable that is set and not empty.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(ExposeSecret::expose_secret).filter(|value| !value.is_empty())
    }

    /// Whether a variable is set to a value that is not UTF-8.
    pub(crate) fn is_not_utf8(&self, name: &str) -> bool {
        self.non_utf8_vars.iter().any(|other| other == name)
    }
}
