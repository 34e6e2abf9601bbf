//! Test devices, for which ad-hoc and development builds are signed.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A registered device in the connection. A field that is not text counts as missing, so that one device
/// can't make the whole connection unusable.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DeviceRecord {
    #[serde(default, deserialize_with = "deserialize_text")]
    pub device_identifier: Option<String>,
    #[serde(default, deserialize_with = "deserialize_text")]
    pub title: Option<String>,
    /// Such as `ios` or `mac`.
    #[serde(default, deserialize_with = "deserialize_text")]
    pub device_type: Option<String>,
}

fn deserialize_text<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    Ok(Value::deserialize(field)?.as_str().map(str::to_owned))
}

/// A device with a usable UDID, serialized as in the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Letters, digits and dashes, as registered.
    #[serde(rename = "device_identifier")]
    pub udid: String,
    /// One line.
    pub title: String,
    #[serde(rename = "device_type")]
    pub platform: Platform,
}

/// A device that cannot be registered.
#[derive(Debug, PartialEq, Eq)]
pub struct SkippedDevice {
    /// One line.
    pub title: String,
    pub reason: SkipReason,
}

#[derive(Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Missing, not text, or without a letter or digit.
    MissingUdid,
    /// The index of the usable device with the same UDID.
    DuplicateOf(usize),
}

/// The platform that a device is registered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Ios,
    Mac,
}

impl Platform {
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Mac => "mac",
        }
    }
}

/// Cleans up UDIDs and titles, and skips devices without a UDID or with an earlier device's. UDIDs that differ only
/// in dashes and case are the same.
#[must_use]
pub fn normalize(records: &[DeviceRecord]) -> (Vec<Device>, Vec<SkippedDevice>) {
    let mut devices: Vec<Device> = Vec::new();
    let mut skipped = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for record in records {
        let udid = record.device_identifier.as_deref().unwrap_or_default();
        let udid: String = udid.chars().filter(|&c| c.is_ascii_alphanumeric() || c == '-').collect();
        let title = record.title.as_deref().unwrap_or_default();
        let words =
            title.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
        let title = words.collect::<Vec<_>>().join(" ");
        let normalized = udid.replace('-', "").to_ascii_lowercase();
        if normalized.is_empty() {
            skipped.push(SkippedDevice { title, reason: SkipReason::MissingUdid });
            continue;
        }
        if let Some(&first) = seen.get(&normalized) {
            skipped.push(SkippedDevice { title, reason: SkipReason::DuplicateOf(first) });
            continue;
        }
        seen.insert(normalized, devices.len());
        let device_type = record.device_type.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
        let platform = match device_type.as_str() {
            "mac" | "macos" | "mac_os" => Platform::Mac,
            // Devices of unknown types run iOS or a system derived from it.
            _ => Platform::Ios,
        };
        devices.push(Device { udid, title, platform });
    }
    (devices, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/step/tools.rs` and `tests/step/connection.rs` have the usual devices, duplicates and missing fields.
    #[test]
    fn fields_are_cleaned_and_count_as_missing_if_they_are_not_text() -> Result<(), serde_json::Error> {
        let records: Vec<DeviceRecord> = serde_json::from_str(
            r#"[
                {"device_identifier": "A1\u200bB2-C3\n", "title": " Jane's\niPhone\t 12", "device_type": ["mac"]},
                {"device_identifier": " -, ", "title": {}, "device_type": "mac"}
            ]"#,
        )?;
        let (devices, skipped) = normalize(&records);
        let title = "Jane's iPhone 12".to_owned();
        assert_eq!(devices, [Device { udid: "A1B2-C3".to_owned(), title, platform: Platform::Ios }]);
        assert_eq!(skipped, [SkippedDevice { title: String::new(), reason: SkipReason::MissingUdid }]);
        Ok(())
    }
}
