//! Build annotations: what a Step says on its build's page.
//!
//! Source: Bitrise's own client, <https://github.com/bitrise-io/bitrise-plugins-annotations>

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::http::{Failure, Http, Put, endpoint, is_loopback, secret_header};
use crate::redact::{self, Text, sentences};

const TOKEN_VARIABLE: &str = "BITRISEIO_BITRISE_SERVICES_ACCESS_TOKEN";
const SLUG_VARIABLE: &str = "BITRISE_BUILD_SLUG";
const SERVICE_VARIABLE: &str = "BITRISEIO_BUILD_ANNOTATIONS_SERVICE_URL";
const DEFAULT_SERVICE: &str = "https://build-annotations.services.bitrise.io";

/// As in Bitrise's own client; nothing of a build waits longer for its page.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Who stops a run does not wait for long.
pub(crate) const TIME_LIMIT_WHEN_INTERRUPTED: Duration = Duration::from_secs(2);

/// Whose text it is: another annotation with the same context takes its place.
const CONTEXT: &str = env!("CARGO_PKG_NAME");

#[derive(Serialize)]
struct Annotation<'a> {
    context: &'static str,
    markdown: &'a str,
    style: Style,
}

/// How an annotation is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Style {
    Error,
    Warning,
    Info,
}

sentences! {
    /// Why there is no summary on the build's page.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum NotWritten {
        #[error("The summary cannot be written on the build's page: {SERVICE_VARIABLE} is not the https URL of a service. Clear that variable, or set `build_annotation` to never.")]
        InvalidServiceUrl,
        #[error("The summary cannot be written on the build's page: {TOKEN_VARIABLE} holds characters that no token has. Clear that variable, or set `build_annotation` to never.")]
        BadToken,
        #[error("The summary cannot be written on the build's page: {site} {failure}.")]
        Refused { site: Text, failure: Failure },
    }
}

/// Writes on the build's page, in the place of what the Step wrote there before. Returns whether
/// there is a page: outside of Bitrise, there is none.
///
/// # Errors
/// [`NotWritten`], which is no reason to fail a build.
pub(crate) async fn write(
    markdown: &str,
    style: Style,
    time_limit: Duration,
    env: &Env,
    http: &Http,
) -> Result<bool, NotWritten> {
    let (Some(token), Some(build)) = (env.var(TOKEN_VARIABLE), env.var(SLUG_VARIABLE)) else {
        return Ok(false);
    };
    let service = service(env).ok_or(NotWritten::InvalidServiceUrl)?;
    let site = redact::site(&service);
    let bearer = Zeroizing::new(format!("Bearer {token}"));
    let bearer = secret_header(&bearer).ok_or(NotWritten::BadToken)?;
    let annotation = Annotation { context: CONTEXT, markdown, style };
    let request = Put {
        url: endpoint(&service, &["v1", "builds", build, "annotations", ""]),
        headers: HeaderMap::from_iter([(AUTHORIZATION, bearer)]),
        // It is made of text, so there is nothing that JSON cannot say.
        json: serde_json::to_vec(&annotation).unwrap_or_default(),
        timeout: time_limit,
    };
    match http.put(request).await {
        Ok(()) => Ok(true),
        Err(failure) => Err(NotWritten::Refused { site, failure }),
    }
}

/// Where the token may go: over https, or to this machine.
fn service(env: &Env) -> Option<Url> {
    let url = Url::parse(env.var(SERVICE_VARIABLE).unwrap_or(DEFAULT_SERVICE)).ok()?;
    let is_safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        _ => false,
    };
    is_safe.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service_of(variable: Option<&str>) -> Option<String> {
        let vars: Vec<_> = variable.map(|url| (SERVICE_VARIABLE, url)).into_iter().collect();
        service(&Env::for_tests(&vars)).map(|url| url.to_string())
    }

    #[test]
    fn the_token_goes_to_bitrise_over_https_or_to_this_machine() {
        let default = "https://build-annotations.services.bitrise.io/";
        for none in [None, Some("")] {
            assert_eq!(service_of(none).as_deref(), Some(default));
        }
        for good in ["https://annotations.example.com/", "http://127.0.0.1:8080/a"] {
            assert_eq!(service_of(Some(good)).as_deref(), Some(good));
        }
        for bad in ["http://annotations.example.com", "ftp://127.0.0.1", "annotations", "https://"] {
            assert_eq!(service_of(Some(bad)), None, "{bad}");
        }
    }
}
