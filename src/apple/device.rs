//! Test devices, for which ad-hoc and development builds are signed.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A registered device in the connection. A field that is missing or not text counts as empty, so that one device
/// can't make the whole connection unusable.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeviceRecord {
    #[serde(deserialize_with = "deserialize_text")]
    pub device_identifier: String,
    #[serde(deserialize_with = "deserialize_text")]
    pub title: String,
    /// Such as `ios` or `mac`.
    #[serde(deserialize_with = "deserialize_text")]
    pub device_type: String,
}

fn deserialize_text<'de, D: Deserializer<'de>>(field: D) -> Result<String, D::Error> {
    Ok(serde_json::from_str(<&RawValue>::deserialize(field)?.get()).unwrap_or_default())
}

/// A device with a usable UDID, serialized as in the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Letters, digits and dashes, as registered.
    #[serde(rename = "device_identifier")]
    pub udid: String,
    /// The name, without line breaks.
    pub title: String,
    /// `ios` or `mac`.
    #[serde(rename = "device_type")]
    pub platform: &'static str,
}

/// A device without a UDID, or with the UDID of an earlier device.
#[derive(Debug, PartialEq, Eq)]
pub struct SkippedDevice {
    /// The name, without line breaks.
    pub title: String,
    /// The index of the earlier device with the same UDID. `None` if the UDID has no letter or digit.
    pub duplicate_of: Option<usize>,
}

/// Cleans up UDIDs and titles. Skips devices that have no UDID, or the UDID of an earlier device. UDIDs that differ only
/// in dashes and case are the same.
#[must_use]
pub fn normalize(records: &[DeviceRecord]) -> (Vec<Device>, Vec<SkippedDevice>) {
    let mut devices: Vec<Device> = Vec::new();
    let mut skipped = Vec::new();
    let mut index_by_udid: HashMap<String, usize> = HashMap::new();
    for record in records {
        let title = record.title.replace(char::is_control, " ");
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_udid_char = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        let udid: String = record.device_identifier.chars().filter(is_udid_char).collect();
        let normalized = udid.replace('-', "").to_ascii_lowercase();
        let duplicate_of = index_by_udid.get(&normalized).copied();
        if normalized.is_empty() || duplicate_of.is_some() {
            skipped.push(SkippedDevice { title, duplicate_of });
            continue;
        }
        index_by_udid.insert(normalized, devices.len());
        let device_type = record.device_type.trim();
        let is_mac = ["mac", "macos", "mac_os"].iter().any(|mac| device_type.eq_ignore_ascii_case(mac));
        // Devices of unknown types run iOS or a system derived from it.
        let platform = if is_mac { "mac" } else { "ios" };
        devices.push(Device { udid, title, platform });
    }
    (devices, skipped)
}
