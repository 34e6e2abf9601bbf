//! The file that fastlane's `register_devices` reads.
//!
//! Source: <https://docs.fastlane.tools/actions/register_devices/>

use crate::apple::device::Device;

/// Returns tab-separated lines with a header. fastlane reads them as CSV, so a title with quotes
/// (`12.9" iPad`) is quoted.
pub(crate) fn to_text(devices: &[Device]) -> String {
    let rows = devices.iter().map(|Device { udid, title, platform }| {
        let escaped = title.replace('"', "\"\"");
        let title = if escaped == *title { escaped } else { format!("\"{escaped}\"") };
        format!("{udid}\t{title}\t{}\n", platform.as_str())
    });
    std::iter::once("Device ID\tDevice Name\tDevice Platform\n".to_owned()).chain(rows).collect()
}
