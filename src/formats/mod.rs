//! Files and variables in the formats of fastlane, rcodesign and Bitrise's connection.

pub mod connection;
pub mod fastlane_session;
pub(crate) mod key_json;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::apple::api_key::{ApiKey, IssuerId};
use crate::apple::device::Device;

/// fastlane's API key file, as one line of JSON.
///
/// Source: <https://docs.fastlane.tools/app-store-connect-api/#using-fastlane-api-key-json-file>
pub(crate) fn fastlane_key(key: &ApiKey) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Document<'a> {
        key_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        issuer_id: Option<&'a str>,
        key: &'a str,
        in_house: bool,
    }
    to_json(&Document {
        key_id: key.id.as_str(),
        issuer_id: key.issuer.as_ref().map(IssuerId::as_str),
        key: key.private_key.expose_pem(),
        in_house: key.is_enterprise,
    })
}

/// rcodesign's API key file, as one line of JSON. Returns `None` for a key without an issuer, which rcodesign can't use.
///
/// Source: `UnifiedApiKey` of <https://docs.rs/app-store-connect>, which `rcodesign
/// encode-app-store-connect-api-key` writes and `--api-key-file` reads.
pub(crate) fn rcodesign_key(key: &ApiKey) -> Option<Zeroizing<Vec<u8>>> {
    #[derive(Serialize)]
    struct Document<'a> {
        issuer_id: &'a str,
        key_id: &'a str,
        /// PKCS#8 in DER and base64, which is the PEM without its first and last line.
        private_key: &'a str,
    }
    let pem = key.private_key.expose_pem();
    let mut body = Zeroizing::new(String::with_capacity(pem.len()));
    body.extend(pem.lines().filter(|line| !line.starts_with("-----")));
    let issuer_id = key.issuer.as_ref()?.as_str();
    Some(to_json(&Document { issuer_id, key_id: key.id.as_str(), private_key: body.as_str() }))
}

/// The device file of fastlane's `register_devices`, which reads it as CSV with tabs, so a title that contains quotes,
/// such as `12.9" iPad`, has to be quoted.
///
/// Source: <https://docs.fastlane.tools/actions/register_devices/>
pub(crate) fn fastlane_devices(devices: &[Device]) -> String {
    let rows = devices.iter().map(|Device { udid, title, platform }| {
        let escaped = title.replace('"', "\"\"");
        let title = if escaped == *title { escaped } else { format!("\"{escaped}\"") };
        format!("{udid}\t{title}\t{platform}\n")
    });
    std::iter::once("Device ID\tDevice Name\tDevice Platform\n".to_owned()).chain(rows).collect()
}

/// Writes a document that contains secrets as one line of JSON.
fn to_json(document: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // A buffer that grows leaves unwiped copies behind. Few documents exceed this capacity.
    let mut json = Zeroizing::new(Vec::with_capacity(64 * 1024));
    // Writing strings, numbers and bools to memory can't fail.
    drop(serde_json::to_writer(&mut *json, document));
    json
}
