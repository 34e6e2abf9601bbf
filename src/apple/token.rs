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

use crate::apple::api_key::{ApiKey, KeyOwner};
use crate::redact::{ISSUES, error_messages};

/// Apple rejects a token that was issued in the future, and clocks differ by seconds.
const BACKDATED_BY: Duration = Duration::from_secs(60);

/// Apple accepts at most 20 minutes from issue to expiry.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(20 * 60 - BACKDATED_BY.as_secs());

error_messages! {
    /// The key can't sign, although it was checked: a bug in the Step or the crypto library.
    #[derive(Debug, Clone, Copy, thiserror::Error)]
    pub(crate) enum CannotSign {
        #[error("The Step hit a bug: it cannot sign a token with the API key, which itself is valid. Please report this line at {ISSUES}.")]
        Key,
    }
}

/// Signs a token that is valid for `lifetime` from now, at most [`MAX_LIFETIME`].
///
/// # Errors
/// [`CannotSign`]
pub(crate) fn sign(
    key: &ApiKey,
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<SecretString, CannotSign> {
    let (owner_claim, owner) = match &key.owner {
        KeyOwner::Team(issuer) => ("iss", issuer.as_str()),
        KeyOwner::Individual => ("sub", "user"),
    };
    let claims = json!({
        owner_claim: owner,
        "iat": (now - BACKDATED_BY).unix_timestamp(),
        "exp": expiry(now, lifetime).unix_timestamp(),
        "aud": if key.enterprise { "apple-developer-enterprise-v1" } else { "appstoreconnect-v1" },
    });
    let header = Header { kid: Some(key.id.as_str().to_owned()), ..Header::new(Algorithm::ES256) };
    let (_, der) = SecretDocument::from_pem(key.private_key.expose_pem()).map_err(|_| CannotSign::Key)?;
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(der.as_bytes()));
    let token = Zeroizing::new(token.map_err(|_| CannotSign::Key)?);
    Ok(SecretString::from(token.as_str()))
}

/// When a token that is signed now will expire.
#[must_use]
pub(crate) fn expiry(now: OffsetDateTime, lifetime: Duration) -> OffsetDateTime {
    now + lifetime.min(MAX_LIFETIME)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use secrecy::ExposeSecret as _;
    use time::macros::datetime;

    use super::*;
    use crate::apple::api_key::KeyId;
    use crate::apple::private_key::{PrivateKey, samples};

    /// The stand-in for App Store Connect checks the rest of each token that a test sends.
    #[test]
    fn a_token_is_backdated_by_60_seconds_and_never_outlives_apples_maximum()
    -> Result<(), Box<dyn std::error::Error>> {
        let now = datetime!(2026-11-20 09:00 UTC);
        let key = ApiKey {
            id: KeyId::parse("2X9R4HXF34")?,
            owner: KeyOwner::Individual,
            private_key: PrivateKey::from_bytes(samples::pkcs8()?.as_bytes())?,
            enterprise: false,
            other_id_in_name: None,
        };
        for (lifetime, left) in [(60, 60), (100_000, 1140)] {
            let token = sign(&key, now, Duration::from_secs(lifetime))?;
            let claims = token.expose_secret().split('.').nth(1).unwrap_or_default();
            let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
            assert_eq!(claims["iat"], now.unix_timestamp() - 60);
            assert_eq!(claims["exp"], now.unix_timestamp() + left);
        }
        Ok(())
    }
}
