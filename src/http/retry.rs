//! When a question is put again.

use std::time::Duration;

use backon::ExponentialBuilder;
use tokio::time::Instant;

use super::failure::Failure;

const RETRIES: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How patiently a question is put again after a failure that may pass: at most four times in
/// all, after half a second, one and two, each with up to as much again by chance, or after the
/// pause that the server asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// The longest pause that a server may ask for.
    pub(crate) longest_pause: Duration,
    /// What is done when it asks for a longer one.
    pub(crate) on_longer_pause: OnLongerPause,
    /// When all of it must have ended, tries and pauses.
    pub(crate) deadline: Option<Deadline>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnLongerPause {
    /// It is asked again after [`RetryPolicy::longest_pause`].
    Shorten,
    /// It is not asked again.
    GiveUp,
}

/// The end of a time span that began when this was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    limit: Duration,
    is_of_run: bool,
    /// `None`: after the end of time.
    at: Option<Instant>,
}

impl RetryPolicy {
    /// For a document without which the build fails: worth waiting for.
    pub(crate) const DOCUMENT: Self = Self {
        longest_pause: Duration::from_secs(30),
        on_longer_pause: OnLongerPause::Shorten,
        deadline: None,
    };

    /// The pause before the next try, or `None` when there is to be none. `planned` is that of the
    /// backoff, which is `None` after the last try; only a pause's length is the server's to choose.
    pub(super) fn pause(&self, asked: Option<Duration>, planned: Option<Duration>) -> Option<Duration> {
        let pause = match (asked.unwrap_or(planned?), self.on_longer_pause) {
            (pause, _) if pause <= self.longest_pause => pause,
            (_, OnLongerPause::Shorten) => self.longest_pause,
            (_, OnLongerPause::GiveUp) => return None,
        };
        self.deadline.is_none_or(|deadline| deadline.is_after(pause)).then_some(pause)
    }
}

impl Deadline {
    #[must_use]
    pub(crate) fn after(limit: Duration) -> Self {
        Self { limit, is_of_run: false, at: Instant::now().checked_add(limit) }
    }

    /// Of all questions of a run together.
    #[must_use]
    pub(super) fn of_run(limit: Duration) -> Self {
        Self { is_of_run: true, ..Self::after(limit) }
    }

    /// The one that comes first.
    #[must_use]
    pub(super) fn earlier(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.at.is_some_and(|at| self.at.is_none_or(|own| at < own)) => other,
            _ => self,
        }
    }

    /// What a future ends with.
    ///
    /// # Errors
    /// That of a server that has not answered by then.
    pub(super) async fn bound<T>(self, future: impl Future<Output = T>) -> Result<T, Failure> {
        match self.at {
            Some(at) => tokio::time::timeout_at(at, future).await.map_err(|_| {
                if self.is_of_run { Failure::RunTimeout(self.limit) } else { Failure::Timeout(self.limit) }
            }),
            None => Ok(future.await),
        }
    }

    /// Whether it lies after a pause that begins now.
    fn is_after(self, pause: Duration) -> bool {
        self.at.is_none_or(|at| Instant::now().checked_add(pause).is_some_and(|end| end < at))
    }
}

/// The pauses between the tries, as far as no server asks for others.
pub(super) fn backoff(jitter_seed: u64) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_times(RETRIES)
        .with_jitter()
        .with_jitter_seed(jitter_seed)
}
