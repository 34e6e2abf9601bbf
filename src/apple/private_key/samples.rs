//! Keys for tests, made on the spot.

use pkcs8::der::Decode as _;
use pkcs8::der::pem::LineEnding;
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use stand_in::keys;

use super::der::P256;

/// A key as App Store Connect hands it out.
pub(crate) fn pkcs8() -> std::io::Result<String> {
    Ok(keys::P256::generate()?.private_pem)
}

/// The same key in SEC1, as `openssl ec` writes it: with the curve, without PKCS#8 around it.
pub(crate) fn sec1(pkcs8: &str, with_curve: bool) -> Result<String, Box<dyn std::error::Error>> {
    let (_, document) = SecretDocument::from_pem(pkcs8)?;
    let info = PrivateKeyInfoRef::try_from(document.as_bytes())?;
    let mut key = ::sec1::EcPrivateKey::from_der(info.private_key.as_bytes())?;
    key.parameters = with_curve.then_some(::sec1::EcParameters::NamedCurve(P256));
    let pem = SecretDocument::encode_msg(&key)?.to_pem("EC PRIVATE KEY", LineEnding::LF)?;
    Ok(pem.to_string())
}

/// What stands between header and footer, on one line.
pub(crate) fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}
