//! Prints the arguments with which Tauri's bundler runs Apple's notarytool.

use std::env::{var, var_os};
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use tauri_macos_sign::NotarytoolCmdExt as _;

mod tauri_macos_sign {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    include!(concat!(env!("OUT_DIR"), "/tauri_macos_sign.rs"));
}

include!(concat!(env!("OUT_DIR"), "/tauri.rs"));

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("{}", env!("TAURI_BUNDLER_VERSION"));
        return Ok(());
    }
    let credentials = notarize_auth().map_err(|error| error.to_string())?;
    let mut notarytool = Command::new("xcrun");
    notarytool.notarytool_args(&credentials, Path::new("/nowhere"))?;
    let arguments: Vec<_> = notarytool.get_args().map(|argument| argument.to_string_lossy()).collect();
    println!("{}", serde_json::json!({ "notarytool": arguments }));
    Ok(())
}
