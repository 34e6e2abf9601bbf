//! Where a request may be sent on to.

use reqwest::redirect::{Action, Attempt};

use super::loopback::is_loopback;

pub(super) const MAX_REDIRECTS: usize = 5;

#[derive(Debug, thiserror::Error)]
pub(super) enum RefusedRedirect {
    #[error("too many redirects")]
    TooMany,
    #[error("redirect to plain http")]
    ToHttp { from: &'static str },
}

/// Follows at most five, and never from https to http.
pub(super) fn follow(attempt: Attempt<'_>) -> Action {
    let came_by_https = attempt.previous().iter().any(|url| url.scheme() == "https");
    let goes_in_the_clear = attempt.url().scheme() != "https";
    if goes_in_the_clear && (came_by_https || !is_loopback(attempt.url())) {
        let from = if came_by_https { "https" } else { "this machine" };
        return attempt.error(RefusedRedirect::ToHttp { from });
    }
    // `previous` also counts the first request.
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(RefusedRedirect::TooMany);
    }
    attempt.follow()
}
