//! What Apple defines: keys, identifiers, devices, cookies, sessions.

pub mod api_key;
pub mod app_store_connect;
pub mod cookie;
pub mod device;
pub mod key_text;
pub mod olympus;
pub mod private_key;
pub mod session;
pub mod token;
