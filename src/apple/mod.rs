//! Apple's keys, apps, teams, devices, cookies and sessions. Pure: no I/O, no logging.

pub mod api_key;
pub mod app_store_connect;
pub mod bundle_id;
pub mod cookie;
pub mod device;
pub(crate) mod olympus;
pub mod private_key;
pub mod session;
pub mod team;
pub(crate) mod token;
