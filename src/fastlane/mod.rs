//! What fastlane defines: its session, its API key file, its device list.

pub(crate) mod device_list;
pub(crate) mod key_file;
pub mod session;
