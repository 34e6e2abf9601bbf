//! The file that fastlane's `register_devices` reads.
//!
//! Source: <https://docs.fastlane.tools/actions/register_devices/>

use crate::apple::device::Device;

/// Returns tab-separated lines with a header. fastlane reads them as CSV, so a title with quotes
/// (`12.9" iPad`) is quoted.
pub(crate) fn text(devices: &[Device]) -> String {
    let mut text = "Device ID\tDevice Name\tDevice Platform\n".to_owned();
    for device in devices {
        let title = if device.title.contains('"') {
            format!("\"{}\"", device.title.replace('"', "\"\""))
        } else {
            device.title.clone()
        };
        for part in [&device.udid, "\t", &title, "\t", device.platform.as_str(), "\n"] {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::apple::device::Platform;

    use super::*;

    fn device(udid: &str, title: &str, platform: Platform) -> Device {
        Device { udid: udid.to_owned(), title: title.to_owned(), platform }
    }

    #[test]
    fn each_device_is_a_line_below_the_header() {
        let devices = [
            device("00008030-001A2B3C4D5E6F70", "Jane's iPhone 12", Platform::Ios),
            device("A1B2-C3", "Mac", Platform::Mac),
            device("FEED", "", Platform::Ios),
        ];
        assert_eq!(
            text(&devices),
            concat!(
                "Device ID\tDevice Name\tDevice Platform\n",
                "00008030-001A2B3C4D5E6F70\tJane's iPhone 12\tios\n",
                "A1B2-C3\tMac\tmac\n",
                "FEED\t\tios\n",
            )
        );
    }

    #[test]
    fn a_title_with_quotes_is_quoted_as_in_csv() {
        let file = text(&[device("FEED", "Jo's 12.9\" iPad", Platform::Ios)]);
        assert_eq!(file.lines().nth(1), Some("FEED\t\"Jo's 12.9\"\" iPad\"\tios"));
    }
}
