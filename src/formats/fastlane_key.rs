//! fastlane's API key file.
//!
//! Source: <https://docs.fastlane.tools/app-store-connect-api/#using-fastlane-api-key-json-file>

use serde::Serialize;
use zeroize::Zeroizing;

use super::to_json;
use crate::apple::api_key::{ApiKey, IssuerId};

#[derive(Serialize)]
struct Document<'a> {
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_id: Option<&'a str>,
    key: &'a str,
    in_house: bool,
}

/// Returns the key as one line of JSON.
pub(crate) fn json(key: &ApiKey) -> Zeroizing<Vec<u8>> {
    to_json(&Document {
        key_id: key.id.as_str(),
        issuer_id: key.issuer().map(IssuerId::as_str),
        key: key.private_key.expose_pem(),
        in_house: key.enterprise,
    })
}
