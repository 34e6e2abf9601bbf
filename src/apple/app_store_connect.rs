//! The App Store Connect API, as far as it is asked whether it knows a key.
//!
//! Source: <https://developer.apple.com/documentation/appstoreconnectapi>

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Lists apps; any role may.
pub(crate) const APPS: &[&str] = &["v1", "apps"];

/// Lists bundle IDs: the Enterprise Program has no apps.
pub(crate) const BUNDLE_IDS: &[&str] = &["v1", "bundleIds"];

/// Any Developer Program agreement that the Account Holder has not accepted in time.
pub(crate) const AGREEMENT_MISSING: &str = "FORBIDDEN.REQUIRED_AGREEMENTS_MISSING_OR_EXPIRED";

/// What a list endpoint answers with 200.
#[derive(Debug, Deserialize)]
pub(crate) struct Listing {
    #[serde(rename = "data")]
    _data: Vec<IgnoredAny>,
}

/// What every endpoint answers with an error status.
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/errorresponse>
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorResponse {
    pub(crate) errors: Vec<ApiError>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ApiError {
    pub(crate) code: String,
}

impl Listing {
    /// Whether a body is such a listing: that of a proxy or a captive portal is not.
    #[must_use]
    pub(crate) fn is(body: &[u8]) -> bool {
        serde_json::from_slice::<Self>(body).is_ok()
    }
}

impl ErrorResponse {
    /// The error's code, when the body is Apple's.
    #[must_use]
    pub(crate) fn code(body: &[u8]) -> Option<String> {
        let response: Self = serde_json::from_slice(body).ok()?;
        response.errors.into_iter().next().map(|error| error.code)
    }
}
