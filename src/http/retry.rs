//! When to retry a request.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;

/// The maximum number of attempts for a request.
pub(crate) const ATTEMPTS: usize = 4;

/// When to retry after transient failures, up to [`ATTEMPTS`] attempts. The pauses between attempts are those that
/// the server asks for, or else 0.5, 1 and 2 seconds, each randomly lengthened by up to 100%.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// The longest pause that the Step makes.
    pub(crate) longest_pause: Duration,
    /// Whether a longer pause is shortened. Otherwise, it ends the attempts.
    pub(crate) shortens_pauses: bool,
    /// For all attempts and pauses together.
    pub(crate) deadline: Option<Deadline>,
}

/// A time limit that starts when this value is created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    limit: Duration,
    /// [`Failure::Timeout`] or [`Failure::RunTimeout`].
    to_failure: fn(Duration) -> Failure,
    pub(super) ends_at: Instant,
}

impl RetryPolicy {
    /// For [`super::Http::get`].
    pub(super) const DOCUMENT: Self =
        Self { longest_pause: Duration::from_secs(30), shortens_pauses: true, deadline: None };

    /// The pause before the next attempt: what the server asks for, or else `planned`. `None` to give up: after the
    /// last attempt, when `planned` is `None`, or if the pause is too long for the policy.
    pub(super) fn pause(&self, failure: &Failure, planned: Option<Duration>) -> Option<Duration> {
        let requested = if let Failure::Status { retry_after, .. } = failure { *retry_after } else { None };
        let full_pause = requested.unwrap_or(planned?);
        let pause = full_pause.min(self.longest_pause);
        if full_pause > pause && !self.shortens_pauses {
            return None;
        }
        self.deadline.is_none_or(|deadline| Instant::now() + pause < deadline.ends_at).then_some(pause)
    }
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self { limit, to_failure: Failure::Timeout, ends_at: Instant::now() + limit }
    }

    /// For all calls of [`super::Http::retry`] in a run together.
    pub(super) fn for_run(limit: Duration) -> Self {
        Self { to_failure: Failure::RunTimeout, ..Self::after(limit) }
    }

    /// Awaits a future until the deadline.
    pub(super) async fn timeout<T>(self, future: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout_at(self.ends_at, future).await.map_err(|_| (self.to_failure)(self.limit))
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn a_pause_that_the_server_asks_for_is_made_or_shortened_or_ends_the_attempts() {
        let seconds = Duration::from_secs;
        let document = RetryPolicy::DOCUMENT;
        let without_shortening =
            RetryPolicy { longest_pause: seconds(5), shortens_pauses: false, ..document };
        let ending_in = |limit| RetryPolicy { deadline: Some(Deadline::after(seconds(limit))), ..document };
        for (policy, requested, expected) in [
            (document, 30, Some(30)),
            (document, 31, Some(30)),
            (without_shortening, 5, Some(5)),
            (without_shortening, 6, None),
            (ending_in(60), 20, Some(20)),
            (ending_in(15), 20, None),
        ] {
            let retry_after = Some(seconds(requested));
            let failure = Failure::Status { status: StatusCode::SERVICE_UNAVAILABLE, retry_after };
            let pause = policy.pause(&failure, Some(seconds(1)));
            assert_eq!(pause, expected.map(seconds), "{policy:?}, {requested}");
        }
    }
}
