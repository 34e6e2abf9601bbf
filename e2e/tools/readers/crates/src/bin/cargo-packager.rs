//! Prints the arguments with which cargo-packager runs Apple's notarytool.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use thiserror::Error;

include!(concat!(env!("OUT_DIR"), "/cargo_packager.rs"));

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("{}", env!("CARGO_PACKAGER_VERSION"));
        return Ok(());
    }
    let credentials = notarize_auth().map_err(|error| error.to_string())?;
    let mut notarytool = Command::new("xcrun");
    notarytool.notarytool_args(&credentials);
    let arguments: Vec<_> = notarytool.get_args().map(|argument| argument.to_string_lossy()).collect();
    println!("{}", serde_json::json!({ "notarytool": arguments }));
    Ok(())
}
