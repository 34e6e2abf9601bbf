//! What Apple defines: keys, identifiers, sessions.

pub mod api_key;
pub mod private_key;
pub mod session;
