//! Apple's error responses, with Apple's texts.
//!
//! The format is Apple's `ErrorResponse`: `id`, `status`, `code`, `title`, `detail`, and `source` for a
//! query parameter. Most texts are from public reports of real responses, cited below.
//!
//! <https://developer.apple.com/documentation/appstoreconnectapi/errorresponse>

use aws_lc_rs::rand;
use serde_json::{Map, Value, json};

use crate::http::{Decision, Response};

/// An error response, and the reason for it, which only the stand-in records.
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    title: &'static str,
    detail: String,
    parameter: Option<String>,
    why: String,
}

impl Refusal {
    /// Source: fastlane's issue 21959, egodigital/node-appstore-connect's issue 3.
    pub(super) fn not_authorized(why: String) -> Self {
        Self::new(
            401,
            "NOT_AUTHORIZED",
            "Authentication credentials are missing or invalid.",
            "Provide a properly configured and signed bearer token, and make sure that it has not expired. \
             Learn more about Generating Tokens for API Requests \
             https://developer.apple.com/go/?id=api-generating-tokens",
            why,
        )
    }

    /// Source: `AvdLee/appstoreconnect-swift-sdk`'s issue 182, fastlane's issue 21544.
    pub(super) fn forbidden(why: String) -> Self {
        Self::new(
            403,
            "FORBIDDEN_ERROR",
            "This request is forbidden for security reasons",
            "The API key in use does not allow this request",
            why,
        )
    }

    /// Every request fails until the Account Holder accepts the agreement. Source:
    /// `rorkai/App-Store-Connect-CLI`'s pull request 2124.
    pub(super) fn agreement_missing() -> Self {
        Self::new(
            403,
            "FORBIDDEN.REQUIRED_AGREEMENTS_MISSING_OR_EXPIRED",
            "A required agreement is missing or has expired.",
            "This request requires an in-effect agreement that has not been signed or has expired.",
            "an agreement is missing".to_owned(),
        )
    }

    /// The response for a resource that does not exist.
    pub(super) fn not_found(path: &str) -> Self {
        Self::new(
            404,
            "NOT_FOUND",
            "The specified resource does not exist",
            &format!("The path provided does not match a defined resource type: /{path}"),
            format!("this account has no resource /{path}"),
        )
    }

    /// Has no `Retry-After`, because none of the sources expects one: `AvdLee/appstoreconnect-swift-sdk`'s
    /// issue 239, fastlane's `api_client_spec.rb`, `bitrise-io/go-xcode`'s pull request 256.
    pub(super) fn rate_limit_exceeded() -> Self {
        Self::new(
            429,
            "RATE_LIMIT_EXCEEDED",
            "The request rate limit has been reached.",
            "We've received too many requests for this API. Please wait and try again or slow down your \
             request rate.",
            "no requests are left in this hour".to_owned(),
        )
    }

    /// A parameter that the list does not have. Source: Bagbutik's issue 181.
    pub(super) fn illegal_parameter(name: &str) -> Self {
        let detail = format!("The parameter '{name}' can not be used with this request");
        let why = detail.clone();
        let title = "A given parameter is not allowed for this request";
        Self {
            parameter: Some(name.to_owned()),
            ..Self::new(400, "PARAMETER_ERROR.ILLEGAL", title, &detail, why)
        }
    }

    /// An invalid value of a parameter. `'x' is not a valid filter type`, `… field name` and
    /// `… cursor for this request` are Apple's texts. The text for an invalid `limit` imitates them.
    pub(super) fn invalid_parameter(name: &str, detail: &str) -> Self {
        let title = "A parameter has an invalid value";
        let why = format!("{name}: {detail}");
        Self {
            parameter: Some(name.to_owned()),
            ..Self::new(400, "PARAMETER_ERROR.INVALID", title, detail, why)
        }
    }

    /// The response is plain text, because `Accept` excludes JSON.
    ///
    /// <https://developer.apple.com/documentation/appstoreconnectapi/about-the-http-status-code>
    pub(super) fn not_acceptable(accept: &str) -> Decision {
        let response = Response::new(406, "text/plain", "Not Acceptable");
        Decision::refused(response, format!("the header Accept is {accept:?}"))
    }

    fn new(status: u16, code: &'static str, title: &'static str, detail: &str, why: String) -> Self {
        Self { status, code, title, detail: detail.to_owned(), parameter: None, why }
    }
}

impl From<Refusal> for Decision {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, code, title, detail, parameter, why } = refusal;
        let mut error = Map::from_iter([
            ("id".to_owned(), json!(request_id())),
            ("status".to_owned(), json!(status.to_string())),
            ("code".to_owned(), json!(code)),
            ("title".to_owned(), json!(title)),
            ("detail".to_owned(), json!(detail)),
        ]);
        if let Some(parameter) = parameter {
            error.insert("source".to_owned(), json!({"parameter": parameter}));
        }
        let body = json!({"errors": [Value::Object(error)]});
        Self::refused(Response::json(status, body.to_string()), why)
    }
}

/// A random UUID, like the one in each of Apple's errors.
pub(crate) fn request_id() -> String {
    let mut bytes = [0_u8; 16];
    // Zeros are fine if the random source fails, because clients check only the format.
    let _ignored = rand::fill(&mut bytes);
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let mut parts = Vec::new();
    let mut rest = hex.as_str();
    for length in [8, 4, 4, 4] {
        let (part, after) = rest.split_at(length);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts.join("-")
}
