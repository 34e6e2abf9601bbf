//! What Apple defines: keys, identifiers, devices, cookies, sessions.

pub mod api_key;
pub(crate) mod app_store_connect;
pub mod cookie;
pub mod device;
pub mod key_text;
pub(crate) mod olympus;
pub mod private_key;
pub mod session;
pub(crate) mod token;
