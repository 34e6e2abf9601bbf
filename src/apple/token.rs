//! The token for requests to the App Store Connect API: a JWT, signed with the key.
//!
//! Source: <https://developer.apple.com/documentation/appstoreconnectapi/generating-tokens-for-api-requests>

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pkcs8::SecretDocument;
use secrecy::SecretString;
use serde::Serialize;
use time::OffsetDateTime;
use zeroize::Zeroize as _;

use crate::apple::api_key::{ApiKey, KeyOwner};
use crate::redact::ISSUES;
use crate::redact::sentences;

/// Apple rejects a token that was issued in the future. Clocks differ by seconds.
const ISSUED_BEFORE: Duration = Duration::from_secs(60);

/// Apple accepts at most 20 minutes from issue to expiry.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(20 * 60 - ISSUED_BEFORE.as_secs());

const TEAM_AUDIENCE: &str = "appstoreconnect-v1";
const ENTERPRISE_AUDIENCE: &str = "apple-developer-enterprise-v1";

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'static str>,
    iat: i64,
    exp: i64,
    aud: &'static str,
}

sentences! {
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
    let (iss, sub) = match &key.owner {
        KeyOwner::Team(issuer) => (Some(issuer.as_str()), None),
        KeyOwner::Individual => (None, Some("user")),
    };
    let claims = Claims {
        iss,
        sub,
        iat: (now - ISSUED_BEFORE).unix_timestamp(),
        exp: expiry(now, lifetime).unix_timestamp(),
        aud: if key.enterprise { ENTERPRISE_AUDIENCE } else { TEAM_AUDIENCE },
    };
    let header = Header { kid: Some(key.id.as_str().to_owned()), ..Header::new(Algorithm::ES256) };
    let (_, der) = SecretDocument::from_pem(key.private_key.expose_pem()).map_err(|_| CannotSign::Key)?;
    let mut token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(der.as_bytes()))
        .map_err(|_| CannotSign::Key)?;
    let secret = SecretString::from(token.as_str());
    token.zeroize();
    Ok(secret)
}

/// When a token that is signed now expires.
#[must_use]
pub(crate) fn expiry(now: OffsetDateTime, lifetime: Duration) -> OffsetDateTime {
    now + lifetime.min(MAX_LIFETIME)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use secrecy::ExposeSecret as _;
    use stand_in::keys;
    use time::macros::datetime;

    use super::*;
    use crate::apple::api_key::{IssuerId, KeyId};
    use crate::apple::private_key::PrivateKey;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    const NOW: OffsetDateTime = datetime!(2026-11-20 09:00 UTC);

    fn claims(
        owner: KeyOwner,
        enterprise: bool,
        lifetime: u64,
    ) -> std::result::Result<serde_json::Value, Box<dyn std::error::Error>> {
        let pair = keys::P256::generate()?;
        let key = ApiKey {
            id: KeyId::parse("2X9R4HXF34")?,
            owner,
            private_key: PrivateKey::from_bytes(pair.private_pem.as_bytes())?,
            enterprise,
            other_id_in_name: None,
        };
        let token = sign(&key, NOW, Duration::from_secs(lifetime))?;
        let (_, spki) = pkcs8::Document::from_pem(&pair.public_pem)?;
        // The public point is what follows the last tag of the SPKI: 65 bytes.
        let point = spki.as_bytes().split_at(spki.as_bytes().len() - 65).1;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let data = jsonwebtoken::decode::<serde_json::Value>(
            token.expose_secret(),
            &DecodingKey::from_ec_der(point),
            &validation,
        )?;
        assert_eq!(data.header.kid.as_deref(), Some("2X9R4HXF34"));
        assert_eq!(data.header.typ.as_deref(), Some("JWT"));
        Ok(data.claims)
    }

    fn team() -> std::result::Result<KeyOwner, Box<dyn std::error::Error>> {
        Ok(KeyOwner::Team(IssuerId::parse("57246542-96fe-1a63-e053-0824d011072a")?))
    }

    #[test]
    fn a_team_keys_token_names_its_issuer_and_is_stamped_60_seconds_back() -> Result {
        let now = NOW.unix_timestamp();
        assert_eq!(
            claims(team()?, false, 1140)?,
            serde_json::json!({
                "iss": "57246542-96fe-1a63-e053-0824d011072a",
                "iat": now - 60,
                "exp": now + 1140,
                "aud": "appstoreconnect-v1",
            })
        );
        Ok(())
    }

    #[test]
    fn an_enterprise_keys_token_is_for_the_enterprise_programs_api() -> Result {
        assert_eq!(claims(team()?, true, 60)?["aud"], "apple-developer-enterprise-v1");
        Ok(())
    }

    #[test]
    fn an_individual_keys_token_has_a_subject_and_no_issuer() -> Result {
        let claims = claims(KeyOwner::Individual, false, 60)?;
        assert_eq!((&claims["sub"], claims.get("iss")), (&serde_json::json!("user"), None));
        Ok(())
    }

    #[test]
    fn no_token_outlives_what_apple_accepts() -> Result {
        let claims = claims(team()?, false, 100_000)?;
        let lifetime = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
        assert_eq!(lifetime, Some(1200));
        Ok(())
    }
}
