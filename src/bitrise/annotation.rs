//! Build annotations: the Step's summary on the build's page.
//!
//! Source: Bitrise's own client, <https://github.com/bitrise-io/bitrise-plugins-annotations>

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::http::{Failure, Http, endpoint, is_confidential, secret_header};
use crate::redact::{self, Text, error_messages};

const TOKEN_VARIABLE: &str = "BITRISEIO_BITRISE_SERVICES_ACCESS_TOKEN";
const BUILD_SLUG_VARIABLE: &str = "BITRISE_BUILD_SLUG";
const SERVICE_URL_VARIABLE: &str = "BITRISEIO_BUILD_ANNOTATIONS_SERVICE_URL";
const DEFAULT_SERVICE_URL: &str = "https://build-annotations.services.bitrise.io";

/// How long writing the summary can take. Bitrise's own client has the same limit.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(5);

/// An interrupted run must end soon.
pub(crate) const TIME_LIMIT_WHEN_INTERRUPTED: Duration = Duration::from_secs(2);

/// Identifies the Step's annotation on a build: a new one with the same context replaces the old one.
const CONTEXT: &str = env!("CARGO_PKG_NAME");

/// An annotation's style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Style {
    Error,
    Warning,
    Info,
}

error_messages! {
    /// Why the summary was not written.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum NotWritten {
        #[error("Cannot write the summary on the build's page: {SERVICE_URL_VARIABLE} is not an https URL. Clear that variable, or set `build_annotation` to never.")]
        InvalidServiceUrl,
        #[error("Cannot write the summary on the build's page: {TOKEN_VARIABLE} contains characters that are not allowed in a token. Clear that variable, or set `build_annotation` to never.")]
        BadToken,
        #[error("Cannot write the summary on the build's page: {site} {failure}.")]
        RequestFailed { site: Text, failure: Failure },
    }
}

/// Writes the summary on the build's page, replacing an earlier one. Returns `false` outside Bitrise, where
/// builds have no page.
///
/// # Errors
/// [`NotWritten`], which must not fail the build.
pub(crate) async fn write(
    markdown: &str,
    style: Style,
    time_limit: Duration,
    env: &Env,
    http: &Http<'_>,
) -> Result<bool, NotWritten> {
    let (Some(token), Some(build_slug)) = (env.var(TOKEN_VARIABLE), env.var(BUILD_SLUG_VARIABLE)) else {
        return Ok(false);
    };
    let service = Url::parse(env.var(SERVICE_URL_VARIABLE).unwrap_or(DEFAULT_SERVICE_URL)).ok();
    let service = service.filter(is_confidential).ok_or(NotWritten::InvalidServiceUrl)?;
    let site = redact::site(&service);
    let bearer = Zeroizing::new(format!("Bearer {token}"));
    let bearer = secret_header(&bearer).ok_or(NotWritten::BadToken)?;
    let url = endpoint(&service, &["v1", "builds", build_slug, "annotations", ""]);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let json = json!({"context": CONTEXT, "markdown": markdown, "style": style}).to_string();
    let result = http.put(url, headers, json, time_limit).await;
    result.map(|()| true).map_err(|failure| NotWritten::RequestFailed { site, failure })
}
