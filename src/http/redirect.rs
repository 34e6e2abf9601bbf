//! Which redirects to follow.

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

/// Follows up to five redirects. One to plain http must lead to this machine, and never come from https.
pub(super) fn follow(attempt: Attempt<'_>) -> Action {
    let was_https = attempt.previous().iter().any(|url| url.scheme() == "https");
    let is_http = attempt.url().scheme() != "https";
    if is_http && (was_https || !is_loopback(attempt.url())) {
        let from = if was_https { "an https:// URL" } else { "localhost" };
        return attempt.error(RefusedRedirect::ToHttp { from });
    }
    // `previous` includes the first request.
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(RefusedRedirect::TooMany);
    }
    attempt.follow()
}
