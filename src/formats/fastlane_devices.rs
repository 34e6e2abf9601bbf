//! The file that fastlane's `register_devices` reads.
//!
//! Source: <https://docs.fastlane.tools/actions/register_devices/>

use crate::apple::device::Device;

/// Returns tab-separated lines with a header. fastlane reads them as CSV, so a title with quotes
/// (`12.9" iPad`) is quoted.
pub(crate) fn to_text(devices: &[Device]) -> String {
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
