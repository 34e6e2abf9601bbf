//! Bitrise's build annotations, which appear on a build's page.
//!
//! The requests are those of Bitrise's plugin (`bitrise-plugins-annotations`, `service/`). Bitrise doesn't
//! document which requests the service refuses, so the stand-in refuses everything that the plugin would not send.

use serde::{Deserialize, Serialize};

use crate::Behaviour;
use crate::http::{Decision, Head, Response};
use crate::wire::Body;

/// A build's page.
#[derive(Clone, Debug, Default)]
pub struct BuildPage {
    /// The token expected in `Authorization: Bearer`.
    pub token: String,
    /// The build's slug, which is part of the path.
    pub build_slug: String,
    /// The faults of the server: one behaviour per request, in order.
    pub behaviours: Vec<Behaviour>,
}

/// The file `annotations/<name>.json` of a folder with scenarios.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuildPageFile {
    pub token: String,
    pub build_slug: String,
}

/// An annotation on a build's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotation {
    /// Identifies the annotation: a new one with the same context replaces it.
    pub context: String,
    /// The text, as Markdown.
    pub markdown: String,
    /// Its style.
    pub style: Style,
}

/// The four styles that the plugin knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "Bitrise documents only their names")]
pub enum Style {
    Default,
    Error,
    Warning,
    Info,
}

/// `PUT /v1/builds/<slug>/annotations/`
///
/// `path` is the part of the path after the base URL.
pub(crate) fn put(page: &BuildPage, head: &Head, path: &str, body: &Body) -> Decision {
    match check(page, head, path, body) {
        Ok(annotation) => {
            Decision { annotation: Some(annotation), ..Decision::ok(Response::json(200, "{}")) }
        }
        Err((status, why)) => {
            let text = serde_json::json!({"error": why}).to_string();
            Decision::refused(Response::json(status, text), why)
        }
    }
}

fn check(page: &BuildPage, head: &Head, path: &str, body: &Body) -> Result<Annotation, (u16, String)> {
    let sent: Vec<_> = head.values("Authorization").collect();
    match sent.as_slice() {
        [one] if one.strip_prefix("Bearer ") == Some(page.token.as_str()) => {}
        [_] => return Err((401, "the header Authorization does not contain the build's token".to_owned())),
        all => return Err((401, format!("{} Authorization headers", all.len()))),
    }
    let expected = format!("v1/builds/{}/annotations/", page.build_slug);
    if path != expected {
        return Err((404, format!("the path is /{path}, not /{expected}")));
    }
    if let Some(query) = head.query() {
        return Err((400, format!("unexpected query: {query}")));
    }
    let types: Vec<_> = head.values("Content-Type").collect();
    if types != ["application/json"] {
        return Err((415, format!("the header Content-Type is {types:?}, not application/json")));
    }
    let Body::Read(body) = body else {
        return Err((411, "the length of the body is unknown or too large".to_owned()));
    };
    let annotation: Annotation = serde_json::from_slice(body).map_err(|error| (400, error.to_string()))?;
    if annotation.context.is_empty() {
        return Err((400, "context is empty".to_owned()));
    }
    if annotation.markdown.is_empty() {
        return Err((400, "markdown is empty".to_owned()));
    }
    Ok(annotation)
}

/// Replaces the annotation with the same context, or adds a new one at the end.
pub(crate) fn store(stored: &mut Vec<Annotation>, annotation: Annotation) {
    match stored.iter_mut().find(|old| old.context == annotation.context) {
        Some(old) => *old = annotation,
        None => stored.push(annotation),
    }
}
