//! Test devices, as ad-hoc and development builds are signed for them.

use std::collections::HashMap;

use serde::Deserialize;

use crate::journal::Journal;
use crate::redaction::text;
use crate::redaction::{self, Text};

/// How many characters of a title a warning repeats.
const MAX_SHOWN: usize = 60;

/// So many of the devices that are left out are named: a connection can have thousands.
const MAX_NAMED: usize = 5;

/// A registered device as the connection spells it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DeviceRecord {
    /// The UDID.
    pub device_identifier: Option<String>,
    pub title: Option<String>,
    /// `ios` and others.
    pub device_type: Option<String>,
}

/// A device with a usable UDID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Letters, digits and dashes, as it was registered.
    pub udid: String,
    /// One line.
    pub title: String,
    pub platform: Platform,
}

/// What a device runs, as far as registering it depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    Ios,
    Mac,
}

impl Platform {
    /// Whatever is not known runs iOS or a relative of it.
    fn of(device_type: &str) -> Self {
        match device_type.trim().to_ascii_lowercase().as_str() {
            "mac" | "macos" | "mac_os" => Self::Mac,
            _ => Self::Ios,
        }
    }

    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Mac => "mac",
        }
    }
}

/// Cleans the connection's devices: UDIDs of stray characters, titles of tabs and newlines.
/// A device that is there twice, dashes and case aside, is kept once. Warns of the first that are
/// left out, and of how many more there are.
#[must_use]
pub fn clean(records: &[DeviceRecord], journal: &mut Journal) -> Vec<Device> {
    let mut devices: Vec<Device> = Vec::new();
    let mut seen: HashMap<String, Text> = HashMap::new();
    let mut left_out = 0;
    for record in records {
        let udid: String = record
            .device_identifier
            .as_deref()
            .unwrap_or_default()
            .chars()
            .filter(|&c| c.is_ascii_alphanumeric() || c == '-')
            .collect();
        let title = one_line(record.title.as_deref().unwrap_or_default());
        if udid.is_empty() {
            left_out += 1;
            if left_out <= MAX_NAMED {
                journal.warn(text!("The test device \"{}\" has no UDID and is left out.", shown(&title)));
            }
            continue;
        }
        let same = udid.replace('-', "").to_ascii_lowercase();
        if let Some(first) = seen.get(&same) {
            left_out += 1;
            if left_out <= MAX_NAMED {
                journal.warn(text!(
                    "The test device \"{}\" has the same UDID as \"{}\" and is left out.",
                    shown(&title),
                    first
                ));
            }
            continue;
        }
        seen.insert(same, shown(&title));
        let platform = Platform::of(record.device_type.as_deref().unwrap_or_default());
        devices.push(Device { udid, title, platform });
    }
    if let more @ 1.. = left_out.saturating_sub(MAX_NAMED) {
        journal.warn(text!(
            "{} more test devices are left out: they have no UDID, or that of another device.",
            more
        ));
    }
    devices
}

/// As much of a title as tells devices apart in a warning; one title can be in thousands.
fn shown(title: &str) -> Text {
    redaction::named_by_service(title, MAX_SHOWN)
}

/// Without control characters, and without the blanks that they leave.
fn one_line(title: &str) -> String {
    let spaced: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(udid: &str, title: &str, device_type: Option<&str>) -> DeviceRecord {
        DeviceRecord {
            device_identifier: Some(udid.to_owned()),
            title: Some(title.to_owned()),
            device_type: device_type.map(str::to_owned),
        }
    }

    #[test]
    fn a_warning_repeats_only_the_start_of_a_long_title() {
        let mut warnings = Journal::default();
        let long = "x".repeat(1_000_000);
        let devices = clean(&[record("A", &long, None), record("A", &long, None)], &mut warnings);
        assert_eq!(devices.first().map(|device| device.title.len()), Some(1_000_000));
        assert!(
            warnings.warnings().iter().all(|warning| warning.as_str().len() < 250),
            "a warning is too long"
        );
        assert_eq!(warnings.warnings().len(), 1);
    }

    #[test]
    fn of_many_devices_that_are_left_out_the_first_five_are_named_and_the_others_counted() {
        let mut journal = Journal::default();
        let mut records = vec![record("A", "First", None), record("", "Nothing", None)];
        records.extend((0..10_000).map(|number| record("A", &format!("Copy {number}"), None)));
        assert_eq!(clean(&records, &mut journal).len(), 1);
        let said: Vec<_> = journal.warnings().iter().map(Text::as_str).collect();
        assert_eq!(said.len(), 6, "{said:?}");
        assert_eq!(
            said.last(),
            Some(&"9996 more test devices are left out: they have no UDID, or that of another device.")
        );
        let mut journal = Journal::default();
        let _devices = clean(records.get(..6).unwrap_or_default(), &mut journal);
        assert_eq!(journal.warnings().len(), 5, "no sixth line that counts none");
    }

    #[test]
    fn devices_are_cleaned_and_duplicates_dropped_with_both_titles() {
        let mut warnings = Journal::default();
        let records = [
            record(" 00008030-001A\u{200b}2B3C4D5E6F70\n", "Jane's\tiPhone\n 12", Some("ios")),
            record("00008030001a2b3c4d5e6f70", "Copy", Some("ios")),
            record("A1B2-C3", "Mac", Some("mac")),
            record("FEED", "", Some("hologram")),
            record(" , ", "Nothing", None),
        ];
        let devices = clean(&records, &mut warnings);
        let facts = |device: &Device| (device.udid.clone(), device.title.clone(), device.platform);
        let expected = [
            ("00008030-001A2B3C4D5E6F70", "Jane's iPhone 12", Platform::Ios),
            ("A1B2-C3", "Mac", Platform::Mac),
            ("FEED", "", Platform::Ios),
        ];
        let expected = expected.map(|(udid, title, platform)| (udid.to_owned(), title.to_owned(), platform));
        assert_eq!(devices.iter().map(facts).collect::<Vec<_>>(), expected);
        assert_eq!(
            warnings.warnings().iter().map(Text::as_str).collect::<Vec<_>>(),
            [
                r#"The test device "Copy" has the same UDID as "Jane's iPhone 12" and is left out."#,
                r#"The test device "Nothing" has no UDID and is left out."#,
            ]
        );
    }
}
