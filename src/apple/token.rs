//! The token for requests to the App Store Connect API: a JWT, signed with the key.
//!
//! Source: <https://developer.apple.com/documentation/appstoreconnectapi/generating-tokens-for-api-requests>

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pkcs8::SecretDocument;
use secrecy::SecretString;
use serde_json::json;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::apple::api_key::ApiKey;
use crate::redact::{ISSUES, Show};

/// Apple rejects a token that was issued in the future, and clocks differ by seconds.
const BACKDATED_BY: Duration = Duration::from_secs(60);

/// Apple accepts at most 20 minutes from issue to expiry.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(20 * 60 - BACKDATED_BY.as_secs());

/// The key can't sign, although it is valid: a bug in the Step or the crypto library.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "The Step hit a bug: it cannot sign a token with the API key, which itself is valid. Please report this line at {ISSUES}."
)]
pub(crate) struct CannotSign;

impl Show for CannotSign {}

/// Signs a token that expires `lifetime` from now. Apple rejects a lifetime above [`MAX_LIFETIME`].
///
/// # Errors
/// [`CannotSign`]
pub(crate) fn sign(
    key: &ApiKey,
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<SecretString, CannotSign> {
    // An individual key has no issuer, and its tokens have the subject `user`.
    let (owner_claim, owner) = key.issuer.as_ref().map_or(("sub", "user"), |issuer| ("iss", issuer.as_str()));
    let claims = json!({
        owner_claim: owner,
        "iat": (now - BACKDATED_BY).unix_timestamp(),
        "exp": (now + lifetime).unix_timestamp(),
        "aud": if key.is_enterprise { "apple-developer-enterprise-v1" } else { "appstoreconnect-v1" },
    });
    let header = Header { kid: Some(key.id.as_str().to_owned()), ..Header::new(Algorithm::ES256) };
    let (_, der) = SecretDocument::from_pem(key.private_key.expose_pem()).map_err(|_| CannotSign)?;
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(der.as_bytes()));
    let token = Zeroizing::new(token.map_err(|_| CannotSign)?);
    Ok(SecretString::from(token.as_str()))
}
