//! rcodesign's API key file.
//!
//! Source: `UnifiedApiKey` of <https://docs.rs/app-store-connect>, which `rcodesign
//! encode-app-store-connect-api-key` writes and `--api-key-file` reads.

use serde::Serialize;
use zeroize::Zeroizing;

use super::to_json;
use crate::apple::api_key::{ApiKey, IssuerId};

#[derive(Serialize)]
struct Document<'a> {
    issuer_id: &'a str,
    key_id: &'a str,
    /// The base64 of the PKCS#8 DER.
    private_key: &'a str,
}

/// Returns the key as one line of JSON. Returns `None` for a key without an issuer, which rcodesign can't use.
pub(crate) fn json(key: &ApiKey) -> Option<Zeroizing<Vec<u8>>> {
    let pem = key.private_key.expose_pem();
    // The lines of PEM between header and footer.
    let mut body = Zeroizing::new(String::with_capacity(pem.len()));
    body.extend(pem.lines().filter(|line| !line.starts_with("-----")));
    let issuer_id = key.issuer().map(IssuerId::as_str)?;
    Some(to_json(&Document { issuer_id, key_id: key.id.as_str(), private_key: body.as_str() }))
}
