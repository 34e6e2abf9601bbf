//! Files and variables in the formats of other tools: fastlane's session and key JSON, rcodesign's key
//! JSON, Bitrise's connection document, device lists.

pub mod connection;
pub(crate) mod device_list;
pub(crate) mod fastlane_key;
pub mod fastlane_session;
pub(crate) mod key_json;
pub(crate) mod rcodesign;
