//! Files and variables in the formats of other tools: fastlane's session and key JSON, rcodesign's key
//! JSON, Bitrise's connection document, fastlane's list of devices.

pub mod connection;
pub(crate) mod fastlane_devices;
pub(crate) mod fastlane_key;
pub mod fastlane_session;
pub(crate) mod key_json;
pub(crate) mod rcodesign;

use serde::Serialize;
use zeroize::Zeroizing;

/// Writes a document that contains secrets as one line of JSON.
fn to_json(document: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // A buffer that grows leaves copies behind. Few documents exceed this capacity.
    let mut json = Zeroizing::new(Vec::with_capacity(64 * 1024));
    // Strings, numbers and bools in memory serialize without errors.
    drop(serde_json::to_writer(&mut *json, document));
    json
}
