//! The edge: everything that a run takes from the machine it runs on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

/// Waits for a time span. Tests put a recorder here.
pub type Sleep = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What the machine gives: environment, clock, folders, randomness, and a way to wait.
#[derive(Clone)]
pub struct Host {
    /// Environment variables whose values are UTF-8.
    pub env: BTreeMap<String, String>,
    /// Names of environment variables whose values are not.
    pub env_not_utf8: Vec<String>,
    /// The time of day, UTC.
    pub now: fn() -> OffsetDateTime,
    /// Where the private folder of a run is made.
    pub temp_dir: PathBuf,
    pub sleep: Sleep,
    /// How long all questions to servers may take together, with the pauses between them.
    pub network_time: Duration,
    /// How long `envman add` may take, all calls together.
    pub envman_time: Duration,
    /// Spreads the pauses between tries, so that builds that failed together do not retry together.
    pub jitter_seed: u64,
}

impl Host {
    /// The real machine. Call inside a tokio runtime with its timer on.
    #[must_use]
    pub fn system() -> Self {
        let mut env = BTreeMap::new();
        let mut env_not_utf8 = Vec::new();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => drop(env.insert(name, value)),
                Err(_) => env_not_utf8.push(name),
            }
        }
        let now = OffsetDateTime::now_utc();
        Self {
            env,
            env_not_utf8,
            now: OffsetDateTime::now_utc,
            // An empty TMPDIR is as good as none.
            temp_dir: Some(std::env::temp_dir())
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or_else(|| PathBuf::from("/tmp")),
            sleep: Arc::new(|span| Box::pin(tokio::time::sleep(span))),
            // With what the summary may take, less than 90 seconds for a run.
            network_time: Duration::from_secs(70),
            envman_time: Duration::from_secs(12),
            jitter_seed: u64::from(now.nanosecond()) ^ u64::from(std::process::id()),
        }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a variable is set to something that is not UTF-8.
    #[must_use]
    pub fn is_not_utf8(&self, name: &str) -> bool {
        self.env_not_utf8.iter().any(|set| set == name)
    }
}
