//! When to retry a request.

use std::time::Duration;

use backon::ExponentialBuilder;
use tokio::time::Instant;

use super::failure::Failure;

/// How often a request is tried, at most.
pub(crate) const ATTEMPTS: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How long to keep trying after transient failures. There are at most [`ATTEMPTS`]. The pauses between them are
/// those that the server asks for, or else 0.5, 1 and 2 seconds, randomly lengthened to at most double.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// The longest pause that a server can ask for.
    pub(crate) longest_pause: Duration,
    pub(crate) on_longer_pause: OnLongerPause,
    /// For all attempts and pauses together.
    pub(crate) deadline: Option<Deadline>,
}

/// What to do if a server asks for a longer pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnLongerPause {
    /// Try again after [`RetryPolicy::longest_pause`].
    Shorten,
    GiveUp,
}

/// The end of a time limit that starts when this is created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    limit: Duration,
    is_for_run: bool,
    /// `None` if it is too far ahead to be represented.
    at: Option<Instant>,
}

impl RetryPolicy {
    /// For a document that the build can't continue without.
    pub(crate) const DOCUMENT: Self = Self {
        longest_pause: Duration::from_secs(30),
        on_longer_pause: OnLongerPause::Shorten,
        deadline: None,
    };

    /// The pause before the next attempt, or `None` to give up. The server asks for `requested`; the backoff
    /// plans `planned`, which is `None` after the last attempt.
    pub(super) fn pause(&self, requested: Option<Duration>, planned: Option<Duration>) -> Option<Duration> {
        let pause = match (requested.unwrap_or(planned?), self.on_longer_pause) {
            (pause, _) if pause <= self.longest_pause => pause,
            (_, OnLongerPause::Shorten) => self.longest_pause,
            (_, OnLongerPause::GiveUp) => return None,
        };
        self.deadline.is_none_or(|deadline| deadline.allows(pause)).then_some(pause)
    }
}

impl Deadline {
    #[must_use]
    pub(crate) fn after(limit: Duration) -> Self {
        Self { limit, is_for_run: false, at: Instant::now().checked_add(limit) }
    }

    /// For all requests of a run together.
    #[must_use]
    pub(super) fn for_run(limit: Duration) -> Self {
        Self { is_for_run: true, ..Self::after(limit) }
    }

    /// The earlier of the two.
    #[must_use]
    pub(super) fn earlier(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.at.is_some_and(|at| self.at.is_none_or(|own| at < own)) => other,
            _ => self,
        }
    }

    /// Awaits a future until the deadline.
    ///
    /// # Errors
    /// [`Failure::Timeout`] or [`Failure::RunTimeout`]
    pub(super) async fn timeout<T>(self, future: impl Future<Output = T>) -> Result<T, Failure> {
        match self.at {
            Some(at) => tokio::time::timeout_at(at, future).await.map_err(|_| {
                if self.is_for_run { Failure::RunTimeout(self.limit) } else { Failure::Timeout(self.limit) }
            }),
            None => Ok(future.await),
        }
    }

    /// Whether a pause that starts now ends before the deadline.
    fn allows(self, pause: Duration) -> bool {
        self.at.is_none_or(|at| Instant::now().checked_add(pause).is_some_and(|end| end < at))
    }
}

/// The pauses between attempts, unless the server asks for others.
pub(super) fn backoff(jitter_seed: u64) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_times(ATTEMPTS - 1)
        .with_jitter()
        .with_jitter_seed(jitter_seed)
}
